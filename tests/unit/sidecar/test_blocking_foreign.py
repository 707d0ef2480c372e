"""Elements of our sets that somebody else added, while the sidecar runs."""

from __future__ import annotations

import subprocess
import time

import pytest

from portkin.blocking.backends.backend import Batch, TimedKey
from portkin.blocking.limits import Limits
from support.enforcing import Bench, block, nets, unblock
from support.simulated_backend import OTHER, SRC, Kernel, key

FOREIGN = "portkin_block_foreign_elements"


def foreign_lines(bench) -> list[tuple[int, str]]:
    return [(pairs["elements"], pairs["first"]) for _, _, pairs in bench.log.lines if "elements" in pairs]


def test_what_somebody_else_added_is_reported_once_and_left_alone(kernel_bench, kernel):
    """It counts from the second look on, is in the log once for as long as it is there, and again if it comes back."""
    kernel_bench.ask(block(SRC, "1", 100))
    kernel_bench.enforcer.tick()
    added = Batch(add=[TimedKey(key(OTHER, "22"), 50.0)])
    kernel.apply(added)
    kernel_bench.enforcer.tick()
    assert ([], 0.0) == (foreign_lines(kernel_bench), kernel_bench.metric(FOREIGN))
    for _ in range(3):
        kernel_bench.enforcer.tick()
    assert ([(1, f"{OTHER} 22/tcp")], 1.0) == (foreign_lines(kernel_bench), kernel_bench.metric(FOREIGN))
    assert {key(SRC, "1"), key(OTHER, "22")} == set(kernel.held())
    kernel.clock.pass_(51)
    kernel_bench.enforcer.tick()
    assert 0.0 == kernel_bench.metric(FOREIGN)
    kernel.apply(added)
    for _ in range(2):
        kernel_bench.enforcer.tick()
    assert 2 == len(foreign_lines(kernel_bench))


def test_it_is_released_by_an_unblock(kernel_bench, kernel):
    """Whoever asks to unblock it, by Zeek or by hand, has it released."""
    kernel.apply(Batch(add=[TimedKey(key(OTHER, "22"), 50.0)]))
    assert "removed" == kernel_bench.ask(unblock(OTHER, "22"))[0][0]
    assert {} == kernel.held()


def test_what_must_never_be_blocked_is_released(tmp_path, kernel):
    """The never-block list wins, whoever added the element."""
    bench = Bench(tmp_path, kernel, Limits(never_nets=nets("192.0.2.0/24")), clock=kernel.clock)
    bench.enforcer.start()
    kernel.apply(Batch(add=[TimedKey(key("192.0.2.7", "22"), 50.0), TimedKey(key(OTHER, "22"), 50.0)]))
    for _ in range(2):
        bench.enforcer.tick()
    assert [key(OTHER, "22")] == list(kernel.held())
    assert [(1, "192.0.2.7 22/tcp"), (1, f"{OTHER} 22/tcp")] == foreign_lines(bench)


def test_what_ends_or_begins_just_now_is_not_foreign(kernel_bench, kernel):
    """A block that another process adds, and one that the database has ended a moment before the backend, are ours."""
    kernel_bench.ask(block(SRC, "1", 100))
    kernel.ends[key(SRC, "1")] += 1.0
    kernel.clock.pass_(100.5)
    kernel_bench.enforcer.tick()
    kernel.clock.pass_(1)
    other = Bench(kernel_bench.path.parent, Kernel(kernel.clock), clock=kernel.clock)
    other.enforcer.join()
    other.ask(block(OTHER, "22", 100))
    other.enforcer.close()
    kernel.apply(Batch(add=[TimedKey(key(OTHER, "22"), 100.0)]))
    for _ in range(3):
        kernel_bench.enforcer.tick()
    assert ([], 0.0) == (foreign_lines(kernel_bench), kernel_bench.metric(FOREIGN))


@pytest.mark.root
def test_a_permanent_element_in_the_kernel_is_reported(nft, tmp_path):
    """One added with nft and without a timeout: reported and left alone; a restart records it, with an end."""
    bench = Bench(tmp_path, nft, wall_clock=time.time, monotonic=time.monotonic)
    bench.enforcer.start()
    subprocess.run(["nft", "add element inet portkin tcp6 { 2001:db8::7 . 22 }"], check=True)
    for _ in range(2):
        bench.enforcer.tick()
    assert [(1, "2001:db8::7 22/tcp")] == foreign_lines(bench)
    assert float("inf") == nft.held()[key("2001:db8::7", "22")].seconds
    again = Bench(tmp_path, nft, wall_clock=time.time, monotonic=time.monotonic)
    again.enforcer.start()
    assert 0 < nft.held()[key("2001:db8::7", "22")].seconds <= Limits().max_duration
