"""The enforcer: requests in, responses out, with a block database; the backend is simulated."""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping
from contextlib import contextmanager
from ipaddress import ip_address

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from portkin.blocking.backends.backend import Batch, Dropped, HeldBlock
from portkin.blocking.block import Block, BlockKey, key_of
from portkin.blocking.database import BlockDatabase, Entry
from portkin.blocking.intervals import Intervals
from portkin.blocking.limits import Limits
from portkin.blocking.protected import ProtectedAddresses
from portkin.errors import BackendError, StorageError
from portkin.net.addresses import number_of
from portkin.net.ports import Port
from portkin.zeek.messages import BlockResponse
from support.enforcing import PROVEN, Bench, Clock, block, nets, unblock

SRC, OTHER = "203.0.113.5", "203.0.113.6"


EVERY_TICK = Intervals(check=0.0, count=0.0)
NO_COUNT = Intervals(check=0.0, count=1e9)


class Kernel:
    """A simulated nftables, with a clock, that fails on demand."""

    mode = "nftables"

    def __init__(self, clock: Clock) -> None:
        self.clock = clock
        self.ends: dict[BlockKey, float] = {}
        self.packets: dict[BlockKey, int] = {}
        self.broken = 0
        self.no_means: set[Port] = set()
        self.there = True
        self.batches: list[Batch] = []

    def setup(self, room: int = 0) -> None:
        self._fail()
        self.there = True

    def join(self) -> bool:
        self._fail()
        return self.there

    def apply(self, batch: Batch) -> dict[BlockKey, str]:
        self._fail()
        if not self.there:
            raise BackendError("no such table")
        self.batches.append(batch)
        for key, seconds, *_ in (*batch.add, *batch.extend):
            self.ends[key] = self.clock.monotonic + seconds
        for key in batch.remove:
            self.ends.pop(key, None)
        refused = [key for key in self.ends if key.port in self.no_means]
        for key in refused:
            del self.ends[key]
        return dict.fromkeys(refused, "no rule")

    def held(self) -> Mapping[BlockKey, HeldBlock]:
        self._fail()
        return self.counted(self.ends)

    def counted(self, keys) -> Mapping[BlockKey, HeldBlock]:
        left = {key: self.ends[key] - self.clock.monotonic for key in keys if key in self.ends}
        return {key: HeldBlock(seconds, self.packets.get(key, 0), 0) for key, seconds in left.items() if seconds > 0}

    def dropped(self) -> Dropped:
        return Dropped(sum(self.packets.values()), 0)

    def lost_blocks(self) -> bool:
        return not self.there

    def ipv6_fault(self) -> str:
        return ""

    def close(self) -> None:
        pass

    def _fail(self) -> None:
        if self.broken:
            self.broken -= 1
            raise BackendError("failing on demand")


class Deaf(Kernel):
    """The same, but it cannot say what it holds, as Suricata."""

    def held(self) -> None:
        return None


@pytest.fixture(autouse=True, scope="module")
def _impatient():
    """A writer does not wait for another one."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("portkin.sqlite.BUSY", 0.01)
        yield


@contextmanager
def unwritable(path):
    """Meanwhile nothing can be written into the database: somebody else is writing, without end."""
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    yield
    other.execute("ROLLBACK")
    other.close()


@pytest.fixture
def bench(tmp_path):
    made = Bench(tmp_path)
    made.enforcer.start()
    return made


@pytest.fixture
def kernel():
    return Kernel(Clock())


@pytest.fixture
def kernel_bench(tmp_path, kernel):
    made = Bench(tmp_path, kernel, clock=kernel.clock)
    made.enforcer.start()
    return made


def again(bench: Bench, backend=None, limits=None, clock=None, intervals=EVERY_TICK) -> Bench:
    """The sidecar started again over the same database."""
    bench.enforcer.close()
    made = Bench(bench.path.parent, backend, limits, clock=clock or bench.clock, intervals=intervals)
    made.started = made.enforcer.start()
    return made


def key(src, port):
    return key_of(ip_address(src), Port.parse(port))


def test_a_block_is_added_then_exists_then_is_extended(bench):
    """The first request adds; the same at once changes nothing; a later one moves the end."""
    assert [("added", "")] == bench.ask(block(SRC, "80"))
    assert [("exists", "")] == bench.ask(block(SRC, "80"))
    bench.clock.pass_(30)
    assert [("extended", "")] == bench.ask(block(SRC, "80"))
    bench.clock.pass_(40)
    assert [] == bench.enforcer.tick()
    bench.clock.pass_(21)
    said = [BlockResponse("", ip_address(SRC), Port(80, "tcp"), "expired", "")]
    assert said == bench.enforcer.tick()


def test_a_shorter_request_does_not_shorten(bench):
    """A block asked for again for less time keeps its end."""
    bench.ask(block(SRC, "80", 100))
    assert [("exists", "")] == bench.ask(block(SRC, "80", 10))
    bench.clock.pass_(99)
    assert [] == bench.enforcer.tick()


def test_responses_name_their_requests_in_order(bench):
    """Many requests at once are answered one by one, each with its id, source and port."""
    requests = [block(SRC, "80"), block(OTHER, "53/udp"), unblock(SRC, "81")]
    answers = bench.enforcer.handle(requests)
    assert [(r.reqid, r.src, r.p) for r in requests] == [(a.reqid, a.src, a.p) for a in answers]
    assert ["added", "added", "removed"] == [answer.outcome for answer in answers]


def test_a_removed_key_is_left_alone_for_a_while(bench):
    """After an unblock the same key is not blocked again within the grace, others are; then it is."""
    bench.ask(block(SRC, "80"))
    assert [("removed", "")] == bench.ask(unblock(SRC, "80"))
    assert [("vetoed", "grace"), ("added", "")] == bench.ask(block(SRC, "80"), block(SRC, "81", 9999))
    bench.clock.pass_(3601)
    assert [("added", "")] == bench.ask(block(SRC, "80"))


def test_grace_outlives_the_sidecar(bench):
    """After a restart the grace still holds; an operator's order ends the grace."""
    bench.ask(block(SRC, "80"), unblock(SRC, "80"))
    bench = again(bench)
    assert [("vetoed", "grace")] == bench.ask(block(SRC, "80"))
    assert [("added", "")] == bench.ask(block(SRC, "80", why="evidence=OPERATOR"))
    assert [("exists", "")] == bench.ask(block(SRC, "80"))


def test_everything_of_one_batch_is_in_the_database(bench):
    """A block that begins and ends within one batch has its row too."""
    bench.ask(block(SRC, "80"), unblock(SRC, "80"), block(SRC, "80", why="evidence=OPERATOR"))
    rows = sqlite3.connect(bench.path).execute("SELECT outcome FROM blocks ORDER BY id").fetchall()
    assert [("removed",), (None,)] == rows


@pytest.mark.parametrize(
    ("limits", "addresses", "reason"),
    [
        (Limits(never_nets=nets("203.0.113.0/24")), ProtectedAddresses(), "never-net"),
        (Limits(never_ports=(Port(80, "tcp"),)), ProtectedAddresses(), "never-port"),
        (Limits(), ProtectedAddresses(own=frozenset({number_of(SRC)})), "own-address"),
        (Limits(), ProtectedAddresses(gateways=frozenset({number_of(SRC)})), "gateway"),
    ],
)
def test_what_may_never_be_blocked_is_vetoed_and_counted(tmp_path, limits, addresses, reason):
    """Never-block wins over every order, an operator's too; nothing is recorded, and the metrics count it."""
    bench = Bench(tmp_path, limits=limits, addresses=addresses)
    bench.enforcer.start()
    assert [("vetoed", reason)] * 2 == bench.ask(block(SRC, "80"), block(SRC, "80", why="evidence=OPERATOR"))
    assert 2.0 == bench.metric("portkin_block_vetoes_total", reason=reason)
    assert [] == sqlite3.connect(bench.path).execute("SELECT * FROM blocks").fetchall()


def test_a_longer_never_list_ends_blocks_at_once(kernel_bench, kernel):
    """When the list grows, blocks that it now forbids end in database and backend, and Zeek is notified."""
    kernel_bench.ask(block(SRC, "80"), block(OTHER, "80"))
    said = kernel_bench.enforcer.set_limits(Limits(never_nets=nets(f"{SRC}/32")))
    assert [BlockResponse("", ip_address(SRC), Port(80, "tcp"), "vetoed", "never-net")] == said
    assert [key(OTHER, "80")] == list(kernel.held())
    assert [("vetoed", "never-net")] == kernel_bench.ask(block(SRC, "80"))


def test_an_address_that_becomes_ours_is_released(kernel_bench, kernel):
    """A block of an address that the machine is given later ends when that is seen."""
    kernel_bench.ask(block(SRC, "80"))
    kernel_bench.addresses = ProtectedAddresses(own=frozenset({number_of(SRC)}))
    assert [("vetoed", "own-address")] == [(said.outcome, said.detail) for said in kernel_bench.enforcer.tick()]
    assert {} == kernel.held()


def test_unproven_sources_are_not_blocked(bench):
    """Without evidence that a forger could not make, nothing is blocked."""
    assert [("vetoed", "unproven")] == bench.ask(block(SRC, "80", why="evidence=TRW probe=1"))


def test_caps_bite_and_say_so(tmp_path):
    """Ports per source, blocks in all, and new blocks per second are capped, each with a line in the log."""
    bench = Bench(tmp_path, limits=Limits(max_ports=2, max_blocks=4, max_per_second=5))
    bench.enforcer.start()
    asked = bench.ask(*(block(SRC, str(port)) for port in (1, 2, 3)))
    assert [("added", ""), ("added", ""), ("vetoed", "source-cap")] == asked
    asked = bench.ask(*(block(f"203.0.113.{n}", "1") for n in (10, 11, 12)))
    assert [("added", ""), ("added", ""), ("vetoed", "total-cap")] == asked
    assert [("removed", "")] * 2 == bench.ask(unblock("203.0.113.10", "1"), unblock("203.0.113.11", "1"))
    asked = bench.ask(block("203.0.113.20", "1"), block("203.0.113.21", "1"))
    assert [("added", ""), ("vetoed", "rate-cap")] == asked
    caps = [pairs["cap"] for _, event, pairs in bench.log.lines if event == "a cap on blocks is reached"]
    assert ["source-cap", "total-cap", "rate-cap"] == caps


def test_extending_is_not_capped(tmp_path):
    """A source at its cap still has its blocks extended."""
    bench = Bench(tmp_path, limits=Limits(max_ports=1, max_per_second=1))
    bench.enforcer.start()
    bench.ask(block(SRC, "1"))
    bench.clock.pass_(30)
    assert [("extended", "")] == bench.ask(block(SRC, "1"))


def test_holdouts_are_in_the_database_and_nowhere_else(tmp_path, kernel):
    """A prediction held out is not in the backend; once its port is probed, the key is blocked like any other."""
    bench = Bench(tmp_path, kernel, Limits(holdout=0.5), clock=kernel.clock, draw=lambda: 0.2)
    bench.enforcer.start()
    assert [("added", ""), ("vetoed", "holdout")] == bench.ask(
        block(SRC, "22"), block(SRC, "23", rank=1, probed="22", why="evidence=TRW answered=1")
    )
    assert [key(SRC, "22")] == list(kernel.held())
    assert [("vetoed", "holdout")] == bench.ask(block(SRC, "23", rank=1, probed="22", why="evidence=TRW answered=1"))
    assert [("added", "")] == bench.ask(block(SRC, "23"))
    assert {key(SRC, "22"), key(SRC, "23")} == set(kernel.held())
    rows = sqlite3.connect(bench.path).execute("SELECT port, mode, outcome, hit FROM blocks ORDER BY id").fetchall()
    assert [(22, "nftables", None, 0), (23, "holdout", "replaced", 1), (23, "nftables", None, 0)] == rows


def test_figures_are_counted_while_blocking(tmp_path):
    """Blocking ratio, usefulness and new-port recall of a short scan, by hand.

    Probes of 22, 23, 80, 23 again, while 22 predicts 23 and 2222: of four probes two met a block (23 twice);
    of the blocks 22, 23, 2222 and 80 one was useful; of the two new ports 23 was blocked before, 80 was not.
    """
    bench = Bench(tmp_path)
    bench.enforcer.start()
    more = "evidence=TRW answered=1"
    bench.ask(block(SRC, "22"), block(SRC, "23", rank=1, probed="22", why=more))
    bench.ask(block(SRC, "2222", rank=2, probed="22", why=more))
    for port in ("23", "80", "23"):
        bench.clock.pass_(5)
        bench.ask(block(SRC, port))
    names = ("blocking_ratio", "usefulness", "predicted_usefulness", "new_port_recall")
    assert [0.5, 0.25, 0.5, 0.5] == [bench.metric(f"portkin_{name}", mode="shadow") for name in names]
    assert 4.0 == bench.metric("portkin_blocks_active", mode="shadow")


def test_what_the_backend_counted_shows_a_hit_that_no_probe_did(kernel_bench, kernel):
    """Behind a sensor that no longer sees blocked packets, the element's counter shows that the source came."""
    kernel_bench.ask(block(SRC, "22"), block(SRC, "23", rank=1, probed="22", why="evidence=TRW answered=1"))
    kernel.packets[key(SRC, "23")] = 7
    kernel_bench.enforcer.tick()
    assert 1.0 == kernel_bench.metric("portkin_predicted_usefulness", mode="nftables")
    assert 7.0 == kernel_bench.metric("portkin_dropped_packets_total")


def test_after_a_restart_database_and_backend_agree(kernel_bench, kernel):
    """What ran out meanwhile has ended; what the backend lost is restored; what it holds of ended blocks goes."""
    kernel_bench.ask(block(SRC, "1", 10), block(SRC, "2", 100), block(SRC, "3", 100), block(SRC, "4", 100))
    kernel_bench.ask(unblock(SRC, "4"))
    del kernel.ends[key(SRC, "2")]  # killed before it got there
    kernel.ends[key(SRC, "4")] = kernel.clock.monotonic + 100  # killed before it was taken away
    kernel.clock.pass_(20)
    bench = again(kernel_bench, kernel)
    assert [("expired", 1)] == [(said.outcome, said.p.number) for said in bench.started]
    assert {key(SRC, "2"): 80.0, key(SRC, "3"): 80.0} == {p: round(h.seconds) for p, h in kernel.held().items()}


def test_an_extension_that_did_not_arrive_is_made_good(kernel_bench, kernel):
    """Where database and backend differ about an end, the database wins, in both directions."""
    kernel_bench.ask(block(SRC, "1", 100), block(SRC, "2", 100))
    kernel.ends[key(SRC, "1")] = kernel.clock.monotonic + 30
    kernel.ends[key(SRC, "2")] = kernel.clock.monotonic + 3000
    again(kernel_bench, kernel)
    assert [100, 100] == [round(held.seconds) for held in kernel.held().values()]


def test_lost_database_take_over_what_the_backend_holds(kernel_bench, kernel):
    """With the database gone, blocks in the backend are kept and recorded again, protected ones removed."""
    kernel_bench.ask(block(SRC, "1", 100), block(OTHER, "1", 100))
    kernel_bench.enforcer.close()
    for file in kernel_bench.path.parent.iterdir():
        file.unlink()
    bench = Bench(kernel_bench.path.parent, kernel, Limits(never_nets=nets(f"{OTHER}/32")), clock=kernel_bench.clock)
    bench.enforcer.start()
    assert [key(SRC, "1")] == list(kernel.held())
    kernel.clock.pass_(101)
    assert [("expired", 1)] == [(said.outcome, said.p.number) for said in bench.enforcer.tick()]


def test_blocks_of_another_backend_do_not_become_real(bench, kernel):
    """What shadow would have blocked is not blocked when the backend becomes a real one."""
    bench.ask(block(SRC, "80"))
    kernel.clock = bench.clock
    again(bench, kernel)
    assert {} == kernel.held()


def test_a_table_taken_away_is_restored(kernel_bench, kernel):
    """After somebody flushed the ruleset, the next batch brings everything back, and so does the next look."""
    kernel_bench.ask(block(SRC, "1"))
    kernel.there, kernel.ends = False, {}
    assert [("added", "")] == kernel_bench.ask(block(SRC, "2"))
    assert {key(SRC, "1"), key(SRC, "2")} == set(kernel.held())
    kernel.there, kernel.ends = False, {}
    kernel_bench.enforcer.tick()
    assert {key(SRC, "1"), key(SRC, "2")} == set(kernel.held())


def test_a_broken_backend_is_an_error_and_then_works_again(kernel_bench, kernel):
    """While it fails, adds are answered with error and leave nothing behind; extensions hold to their old end."""
    kernel_bench.ask(block(SRC, "1", 100))
    kernel.clock.pass_(50)
    kernel.broken = 2
    asked = kernel_bench.ask(block(SRC, "1", 100), block(SRC, "2", 100))
    assert ["error", "error"] == [outcome for outcome, _ in asked]
    assert {key(SRC, "1"): 50.0} == {p: held.seconds for p, held in kernel.held().items()}
    kernel_bench.enforcer.tick()
    assert [("extended", ""), ("added", "")] == kernel_bench.ask(block(SRC, "1", 100), block(SRC, "2", 100))
    assert {100.0} == {held.seconds for held in kernel.held().values()}


def test_what_a_backend_cannot_block_is_an_error_of_that_key_alone(kernel_bench, kernel):
    """A port that Suricata has no rule for is answered with error and ended in the database; others are blocked."""
    kernel.no_means = {Port(2, "tcp")}
    assert ["added", "error"] == [outcome for outcome, _ in kernel_bench.ask(block(SRC, "1"), block(SRC, "2"))]
    assert [key(SRC, "1")] == list(kernel.held())
    kernel.there = False
    assert ["error", "added"] == [outcome for outcome, _ in kernel_bench.ask(block(SRC, "2"), block(SRC, "3"))]
    rows = sqlite3.connect(kernel_bench.path).execute("SELECT port, outcome FROM blocks ORDER BY id").fetchall()
    assert [(1, None), (2, "error"), (2, "error"), (3, None)] == rows


def test_a_backend_missing_at_the_start_is_tried_again(tmp_path, kernel):
    """A sidecar starts without its backend, answers with errors, and blocks when the backend is there."""
    kernel.broken = 1
    bench = Bench(tmp_path, kernel, clock=kernel.clock)
    bench.enforcer.start()
    assert "error" == bench.ask(block(SRC, "1"))[0][0]
    bench.enforcer.tick()
    assert [("added", "")] == bench.ask(block(SRC, "1"))


@pytest.mark.parametrize("jump", [-7200.0, 7200.0])
def test_a_clock_changed_moves_the_ends_along(kernel_bench, kernel, jump):
    """When the wall clock jumps, blocks last as long as they were meant to, and it is reported."""
    kernel_bench.ask(block(SRC, "1", 100))
    kernel.clock.wall += jump
    kernel.clock.pass_(50)
    assert [] == kernel_bench.enforcer.tick()
    kernel.clock.pass_(51)
    assert ["expired"] == [said.outcome for said in kernel_bench.enforcer.tick()]
    assert any("clock was changed" in event for event in kernel_bench.log.events("error"))


@pytest.mark.parametrize("jump", [-7200.0, 7200.0])
def test_a_clock_changed_moves_graces_and_beginnings_along(kernel_bench, kernel, jump):
    """In memory and in the file: what was unblocked stays in grace for the rest of its hour, also after a restart."""
    kernel_bench.ask(block(SRC, "1", 100), block(SRC, "2", 100), unblock(SRC, "1"))
    kernel.clock.wall += jump
    kernel_bench.enforcer.tick()
    other = Bench(kernel_bench.path.parent, kernel, clock=kernel.clock)  # makes the first read the file again
    other.enforcer.join()
    other.ask(block(OTHER, "1", 100))
    other.enforcer.close()
    kernel.clock.pass_(3599)
    assert [("vetoed", "grace")] == kernel_bench.ask(block(SRC, "1", 100))[-1:]
    (since,) = sqlite3.connect(kernel_bench.path).execute("SELECT since FROM blocks WHERE port = 2").fetchone()
    assert 1_000_000.0 + jump == since
    bench = again(kernel_bench, kernel)
    assert [("vetoed", "grace")] == bench.ask(block(SRC, "1", 100))
    kernel.clock.pass_(2)
    assert [("added", "")] == bench.ask(block(SRC, "1", 100))


def test_a_clock_changed_while_the_file_cannot_be_written(kernel_bench, kernel):
    """The times in the file are brought in line as soon as it can be written."""
    kernel_bench.ask(block(SRC, "1", 100), block(SRC, "2", 100), unblock(SRC, "1"))
    with unwritable(kernel_bench.path):
        kernel.clock.wall += 7200
        kernel_bench.enforcer.tick()
    kernel_bench.enforcer.tick()
    database = sqlite3.connect(kernel_bench.path)
    assert [(1_007_200.0,)] == database.execute("SELECT since FROM blocks WHERE port = 2").fetchall()
    assert [(1_010_800.0,)] == database.execute("SELECT until FROM grace").fetchall()


def test_a_clock_set_back_while_we_were_away_lengthens_no_grace(kernel_bench, kernel):
    """Started with a clock a day behind the file, a grace lasts for what was left of it when the file was written."""
    kernel_bench.ask(block(SRC, "1", 100), unblock(SRC, "1"))
    kernel_bench.enforcer.tick()
    kernel.clock.wall -= 86_400
    bench = again(kernel_bench, kernel)
    kernel.clock.pass_(3599)
    assert [("vetoed", "grace")] == bench.ask(block(SRC, "1", 100))
    kernel.clock.pass_(2)
    assert [("added", "")] == bench.ask(block(SRC, "1", 100))


def test_a_clock_set_back_while_we_were_away_lengthens_nothing(kernel_bench, kernel):
    """Started with a clock behind the database, no block lasts longer from now than it was to last in all."""
    kernel_bench.ask(block(SRC, "1", 100))
    kernel_bench.enforcer.tick()
    kernel.clock.wall -= 86_400
    bench = again(kernel_bench, kernel)
    assert any("behind the block database" in event for event in bench.log.events("error"))
    kernel.clock.pass_(101)
    assert ["expired"] == [said.outcome for said in bench.enforcer.tick()]


def test_a_damaged_database_does_not_stop_blocking(kernel_bench, kernel, monkeypatch):
    """A database that breaks while in use is set aside; active blocks are in the new one, and the next block works."""
    kernel_bench.ask(block(SRC, "1", 100))

    def broken(*_):
        monkeypatch.undo()
        raise sqlite3.DatabaseError("database disk image is malformed")

    monkeypatch.setattr("portkin.blocking.database.BlockDatabase.add", broken)
    kernel_bench.path.write_bytes(b"\xee" * 8192)
    assert "error" == kernel_bench.ask(block(SRC, "2", 100))[0][0]
    assert [("added", "")] == kernel_bench.ask(block(SRC, "2", 100))
    assert {key(SRC, "1"), key(SRC, "2")} == set(kernel.held())
    assert any("block database" in event for event in kernel_bench.log.events("error"))


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


def outcomes(bench):
    """Port and outcome of every row of the database."""
    return sqlite3.connect(bench.path).execute("SELECT port, outcome FROM blocks ORDER BY id").fetchall()


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


@pytest.mark.parametrize("restarted", [False, True])
def test_an_unblock_that_the_backend_missed_is_made_good(tmp_path, restarted):
    """What was unblocked while the backend was away is released when it is back, after a restart too."""
    kernel = Deaf(Clock())
    bench = Bench(tmp_path, kernel, clock=kernel.clock)
    bench.enforcer.start()
    bench.ask(block(SRC, "80", 600), block(OTHER, "80", 600))
    kernel.broken = 2
    ((outcome, detail),) = bench.ask(unblock(SRC, "80"))
    assert ("removed", True) == (outcome, "releases it when it is back" in detail)
    bench = again(bench, kernel) if restarted else bench
    bench.enforcer.tick()
    assert {key(OTHER, "80")} == kernel.ends.keys()


def test_ending_a_block_needs_no_database(kernel_bench, kernel):
    """Without a writable database, vetoes and unblocks reach the backend and ends are reported; it follows later."""
    kernel_bench.ask(block(SRC, "1", 600), block(SRC, "2", 600), block(SRC, "3", 10), block(OTHER, "4", 600))
    with unwritable(kernel_bench.path):
        assert ["error"] == [outcome for outcome, _ in kernel_bench.ask(unblock(SRC, "1"))]
        said = kernel_bench.enforcer.set_limits(Limits(never_nets=nets(f"{OTHER}/32")))
        assert [("vetoed", 4)] == [(each.outcome, each.p.number) for each in said]
        assert "error" == kernel_bench.ask(block(SRC, "5"))[0][0]
        kernel.clock.pass_(11)
        assert ["expired"] == [each.outcome for each in kernel_bench.enforcer.tick()]
        assert {key(SRC, "2")} == kernel.held().keys()
        kernel.there, kernel.ends = False, {}
        kernel_bench.enforcer.tick()
        assert {key(SRC, "2")} == kernel.held().keys()
    asked = kernel_bench.ask(block(SRC, "3"), block(SRC, "1", why="evidence=OPERATOR"))
    assert ["added", "added"] == [outcome for outcome, _ in asked]
    ended = [(1, "removed"), (2, None), (3, "expired"), (4, "vetoed")]
    assert [*ended, (3, None), (1, None)] == outcomes(kernel_bench)


def test_a_flush_that_the_database_miss_is_an_error(kernel_bench, kernel):
    """Everything is released, but the order must not report success."""
    kernel_bench.ask(block(SRC, "1"))
    with unwritable(kernel_bench.path), pytest.raises(StorageError, match="locked"):
        kernel_bench.enforcer.flush()
    assert {} == kernel.held()


def test_a_row_that_exists_already_is_no_damage(tmp_path, kernel):
    """Where another process adds the same block at the last moment, that request fails; the database stays, and the
    next request is answered."""
    bench = Bench(tmp_path, kernel, clock=kernel.clock, draw=lambda: add_first() or 0.9)
    bench.enforcer.start()
    other = BlockDatabase(bench.path)
    others = [Block(key(SRC, "1"), "nftables", 0, kernel.clock.wall, kernel.clock.wall + 600)]

    def add_first():
        while others:
            with other.transaction():
                other.add([Entry(others.pop())])

    assert "error" == bench.ask(block(SRC, "1"))[0][0]
    assert [("exists", "")] == bench.ask(block(SRC, "1"))
    assert [(1, None)] == outcomes(bench)


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
            if end > kernel.clock.monotonic:
                assert held_key in active
                assert end + offset <= active[held_key] + 2.001
                assert held_key.src != number_of("198.51.100.1")
    bench.enforcer.close()
