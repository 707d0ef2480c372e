"""Several processes on one block database, with the same settings or others; the backend is simulated."""

from __future__ import annotations

import os
import sqlite3

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from portkin.blocking.block import BlockKey
from portkin.blocking.database import open_database
from portkin.blocking.database_lock import DatabaseLock, lock_of
from portkin.blocking.limits import Limits
from portkin.net.addresses import number_of
from portkin.net.ports import Port
from support.enforcing import PROVEN, Bench, Clock, block, nets, unblock
from support.simulated_backend import NO_COUNT, OTHER, SRC, Deaf, Kernel, again, key, outcomes, unwritable

pytestmark = pytest.mark.usefixtures("impatient")


def test_what_another_process_writes_is_taken_over(bench):
    """A block removed by another process is gone here too, in grace, and Zeek is notified."""
    bench.ask(block(SRC, "1"), block(SRC, "2"))
    other = Bench(bench.path.parent, clock=bench.clock)
    other.enforcer.join()
    other.ask(unblock(SRC, "1"))
    other.enforcer.close()
    assert [("removed", 1)] == [(said.outcome, said.p.number) for said in bench.enforcer.tick()]
    assert [("vetoed", "grace"), ("exists", "")] == bench.ask(block(SRC, "1"), block(SRC, "2"))


def test_flushing_ends_everything_without_grace(kernel_bench, kernel):
    """All blocks end in database and backend; the next request blocks again."""
    kernel_bench.ask(block(SRC, "1"), block(OTHER, "2"))
    assert ["removed", "removed"] == [said.outcome for said in kernel_bench.enforcer.flush()]
    assert {} == kernel.held()
    assert [("added", "")] == kernel_bench.ask(block(SRC, "1"))


def joined(bench, backend=None, limits=None) -> Bench:
    """Another enforcer with the same database, as of ``portkin blocks``; a shadow if nothing else is said."""
    other = Bench(bench.path.parent, backend, limits, clock=bench.clock)
    other.enforcer.join()
    return other


def test_an_unblock_reaches_the_backend_whatever_is_known(kernel_bench, kernel):
    """A key that only the backend has is released by an unblock, and by a flush."""
    for let_go in (lambda: kernel_bench.ask(unblock(SRC, "80")), kernel_bench.enforcer.flush):
        kernel.ends[key(SRC, "80")] = kernel.clock.monotonic + 600
        let_go()
        assert {} == kernel.held()


@pytest.mark.parametrize("order", [lambda other: other.ask(unblock(SRC, "80")), lambda other: other.enforcer.flush()])
@pytest.mark.parametrize("kind", [Kernel, Deaf])
def test_what_is_removed_with_other_settings_is_released(tmp_path, order, kind):
    """A shadow that ends our block says whose it is; ours releases it at the next check, or start."""
    kernel = kind(Clock())
    bench = Bench(tmp_path, kernel, clock=kernel.clock)
    bench.enforcer.start()
    for look in (lambda: bench.enforcer.tick(), lambda: again(bench, kernel)):
        bench.ask(block(SRC, "80", 600, why="evidence=OPERATOR"))
        (said,) = order(joined(bench))
        assert "nftables releases it" in str(said)
        assert {key(SRC, "80")} == kernel.ends.keys()
        look()
        assert {} == kernel.ends


def test_a_block_begun_with_other_settings_is_replaced(kernel_bench, kernel):
    """A live block of a shadow does not stand in the way of ours; nor does an order at a cap."""
    kernel_bench.enforcer.set_limits(Limits(max_ports=1))
    joined(kernel_bench).ask(block(SRC, "80", 600))
    assert [("added", "")] == kernel_bench.ask(block(SRC, "80", 60, why="evidence=OPERATOR"))
    assert {60.0} == {held.seconds for held in kernel.held().values()}
    assert [(80, "replaced"), (80, None)] == outcomes(kernel_bench)


def test_ours_replaced_with_other_settings_is_released(kernel_bench, kernel):
    """Where a shadow has begun a block in the place of ours, the database no longer says that we block."""
    kernel_bench.ask(block(SRC, "80", 600))
    joined(kernel_bench).ask(block(SRC, "80", 60))
    assert [("removed", 80)] == [(said.outcome, said.p.number) for said in kernel_bench.enforcer.tick()]
    assert {} == kernel.held()


def test_never_wins_at_the_start_in_a_backend_that_cannot_say(tmp_path):
    """Never-block nets that grew while we were away win, though the backend is there only later."""
    kernel = Deaf(Clock())
    bench = Bench(tmp_path, kernel, clock=kernel.clock)
    bench.enforcer.start()
    bench.ask(block(SRC, "80", 600), block(OTHER, "80", 600))
    kernel.broken = 1
    bench = again(bench, kernel, Limits(never_nets=nets(f"{SRC}/32")))
    assert [("vetoed", "never-net")] == [(said.outcome, said.detail) for said in bench.started]
    bench.enforcer.tick()
    assert {key(OTHER, "80")} == kernel.ends.keys()


def test_what_others_block_is_held_against_our_limits(tmp_path, kernel):
    """A block written by another with other limits ends when we see it, if ours say never."""
    bench = Bench(tmp_path, kernel, Limits(never_nets=nets(f"{SRC}/32")), clock=kernel.clock)
    bench.enforcer.start()
    joined(bench, kernel).ask(block(SRC, "80"), block(OTHER, "80"))
    assert [("vetoed", "never-net")] == [(said.outcome, said.detail) for said in bench.enforcer.tick()]
    assert {key(OTHER, "80")} == kernel.held().keys()


ports = st.integers(1, 4).map(str)
sources = st.sampled_from(["203.0.113.5", "203.0.113.6", "198.51.100.1", "2001:db8::1"])
steps = st.lists(
    st.one_of(
        st.tuples(st.just("block"), sources, ports, st.floats(-5, 60)),
        st.tuples(st.just("unblock"), sources, ports, st.just(0.0)),
        st.tuples(st.just("pass"), sources, ports, st.floats(0, 40)),
        st.tuples(st.just("die"), sources, ports, st.floats(0, 40)),
        st.tuples(st.just("fail"), sources, ports, st.just(0.0)),
        st.tuples(st.just("unwritable"), sources, ports, st.just(0.0)),
    ),
    max_size=30,
)


def active_rows(path):
    """(key, until) of every active row."""
    found = sqlite3.connect(path).execute("SELECT src, port, proto, until FROM blocks WHERE outcome IS NULL").fetchall()
    return [(BlockKey(number_of(src), Port(port, proto)), until) for src, port, proto, until in found]


@settings(max_examples=60, deadline=None)
@given(steps)
def test_database_and_backend_never_part(tmp_path_factory, steps):
    """Whatever is asked, fails, passes and dies: all the backend holds is recorded, and ends as recorded."""
    folder = tmp_path_factory.mktemp("database")
    kernel = Kernel(Clock())
    limits = Limits(never_nets=nets("198.51.100.0/24"), max_ports=3, grace=20.0)
    bench = Bench(folder, kernel, limits, clock=kernel.clock, intervals=NO_COUNT)
    bench.enforcer.start()
    for what, src, port, seconds in steps:
        if what == "block":
            bench.ask(block(src, port, seconds, why=PROVEN))
        elif what == "unblock":
            bench.ask(unblock(src, port))
        elif what == "pass":
            kernel.clock.pass_(seconds)
            bench.enforcer.tick()
        elif what == "fail":
            kernel.broken = 1
        elif what == "unwritable":
            with unwritable(bench.path):
                bench.ask(unblock(src, port), block(src, port, 60, why=PROVEN))
            assert kernel.ends.get(key(src, port), 0.0) <= kernel.clock.monotonic or not bench.enforcer.ready
            bench.enforcer.tick()  # there is space again
        else:
            bench = again(bench, kernel, limits, intervals=NO_COUNT)
        if not bench.enforcer.ready:
            bench.enforcer.tick()  # the next look, after a failure
        active = dict(active_rows(bench.path))
        offset = kernel.clock.wall - kernel.clock.monotonic
        for held_key, end in kernel.ends.items():
            if end > kernel.clock.monotonic + 1e-6:  # 1,000,000.02 less 1,000,000 is a little more than 0.02
                assert held_key in active
                assert end + offset <= active[held_key] + 2.001
                assert held_key.src != number_of("198.51.100.1")
    bench.enforcer.close()


def test_what_root_creates_belongs_to_the_owner_of_the_folder(tmp_path, root):
    """Of `portkin blocks add` by root the service has files that it can open: database, its log and the lock."""
    path = tmp_path / "folder" / "blocks.sqlite"
    path.parent.mkdir()
    os.chown(path.parent, 12345, 12346)
    database, _ = open_database(path, now=1000.0)
    lock = DatabaseLock(path)
    made = sorted(path.parent.glob(f"{path.name}*"))
    assert {12345} == {file.stat().st_uid for file in made} and lock_of(path) in made
    lock.close()
    database.close()
