"""Blocking where something fails: the file, the disk, the clock, another process; SQLite and the kernel are real."""

from __future__ import annotations

import os
import sqlite3
from contextlib import closing

import pytest

from portkin.blocking.active import Ended
from portkin.blocking.backends.nftables import SETS, Nftables, Place
from portkin.blocking.backends.nftables_table import set_sizes
from portkin.blocking.backends.shadow import Shadow
from portkin.blocking.block import Block
from portkin.blocking.database import BlockDatabase, Entry
from portkin.blocking.intervals import Intervals
from portkin.blocking.limits import Limits
from portkin.blocking.regular_work import HEALED
from support.enforcing import Bench, Clock, block, damage, started, unblock
from support.simulated_backend import OTHER, SRC, key, unwritable

GRACE = Limits(grace=600)

pytestmark = pytest.mark.usefixtures("impatient")


@pytest.fixture
def bench(tmp_path):
    return started(tmp_path, limits=GRACE)


def test_nobody_else_can_read_or_lock_the_files(tmp_path):
    """File, log and lock are for their owner alone, whatever the umask: who reads a lock may hold it for ever."""
    before = os.umask(0)
    try:
        made = started(tmp_path)
        made.ask(block(SRC, "1"))
    finally:
        os.umask(before)
    assert {0o600} == {file.stat().st_mode & 0o777 for file in tmp_path.iterdir()}


def test_a_lock_of_an_earlier_version_is_closed_to_others(tmp_path):
    """A lock that others could open is theirs no more once we start."""
    lock = tmp_path / "blocks.sqlite.lock"
    lock.touch(0o644)
    started(tmp_path)
    assert 0o600 == lock.stat().st_mode & 0o777


def test_a_file_that_was_removed_is_made_again(bench):
    """Where somebody removes the file of a running sidecar, a new one has its blocks and graces, and orders work."""
    bench.ask(block(SRC, "1", 600), block(SRC, "2", 600))
    bench.ask(unblock(SRC, "2"))
    for file in bench.path.parent.iterdir():
        file.unlink()
    bench.enforcer.tick()
    bench.enforcer.tick()
    other = Bench(bench.path.parent, clock=bench.clock, limits=GRACE)
    other.enforcer.join()
    assert [("exists", "")] == other.ask(block(SRC, "1", 600))
    assert [("vetoed", "grace")] == other.ask(block(SRC, "2", 600))
    assert [("removed", "")] == other.ask(unblock(SRC, "1"))
    assert [("removed", 1)] == [(said.outcome, said.p.number) for said in bench.enforcer.tick()]


def test_a_file_put_in_the_place_of_ours_is_used(bench, tmp_path):
    """Where an older copy is put back, what is active now is in it, and what it had as active has ended."""
    bench.ask(block(SRC, "1", 600))
    with sqlite3.connect(bench.path) as db:
        db.execute("VACUUM INTO ?", (str(tmp_path / "copy"),))
    bench.ask(unblock(SRC, "1"), block(SRC, "2", 600))
    for suffix in ("", "-wal", "-shm"):
        bench.path.with_name(bench.path.name + suffix).unlink()
    (tmp_path / "copy").rename(bench.path)
    bench.enforcer.tick()
    bench.enforcer.tick()
    assert {key(SRC, "2")} == {each.key for each in BlockDatabase(bench.path).active()}


def test_a_new_file_has_the_graces(bench):
    """After damage, what was unblocked is left alone as before, by the next start as well."""
    bench.ask(block(SRC, "1", 600))
    bench.ask(unblock(SRC, "1"))
    damage(bench)
    bench.enforcer.tick()
    assert 1 == len(list(bench.path.parent.glob("*damaged*")))
    bench.enforcer.close()
    assert [("vetoed", "grace")] == started(bench.path.parent, limits=GRACE, clock=bench.clock).ask(block(SRC, "1"))


def test_a_database_that_healed_is_ready_without_a_block(tmp_path):
    """A file that was removed is recreated; a minute later metrics say so, though nobody asked for a block."""
    bench = started(tmp_path)
    bench.ask(block(SRC, "1", 600))
    bench.path.unlink()
    ready = []
    for seconds in (1.0, 1.0, HEALED - 1.0, 1.0):
        bench.clock.pass_(seconds)
        bench.enforcer.tick()
        ready.append(bench.metric("portkin_block_database_ready"))
    assert [0.0, 0.0, 0.0, 1.0] == ready


class ThenLocked(Shadow):
    """A shadow; after its first batch somebody else writes into the database, without end."""

    def __init__(self, path) -> None:
        self._path = path
        self.other: sqlite3.Connection | None = None

    def apply(self, batch):
        if self.other is None:
            self.other = sqlite3.connect(self._path, isolation_level=None)
            self.other.execute("BEGIN IMMEDIATE")
        return {}


def test_what_was_done_is_not_called_an_error(tmp_path):
    """Where the database fails between two batches of one call, the first is answered as done, the second as failed."""
    backend = ThenLocked(tmp_path / "blocks.sqlite")
    bench = started(tmp_path, backend, GRACE)
    # A key that is blocked and unblocked is not one batch.
    answers = bench.ask(block(SRC, "1", 600), block(SRC, "2", 600), unblock(SRC, "1"))
    assert [("added", ""), ("added", ""), ("error", True)] == [*answers[:2], (answers[2][0], "locked" in answers[2][1])]
    backend.other.close()
    bench.enforcer.tick()
    assert [("vetoed", "grace"), ("exists", "")] == bench.ask(block(SRC, "1", 600), block(SRC, "2", 600))
    assert {key(SRC, "2")} == {each.key for each in BlockDatabase(bench.path).active()}


def test_an_unblock_that_cannot_be_recorded_keeps_its_grace(bench):
    """Where the database cannot be written, a key that was unblocked is left alone all the same, and recorded later."""
    bench.ask(block(SRC, "1", 600))
    with unwritable(bench.path):
        assert ["error"] == [outcome for outcome, _ in bench.ask(unblock(SRC, "1"))]
    assert [("vetoed", "grace")] == bench.ask(block(SRC, "1", 600))
    bench.enforcer.tick()
    bench.enforcer.close()
    assert [("vetoed", "grace")] == started(bench.path.parent, limits=GRACE, clock=bench.clock).ask(block(SRC, "1"))


def test_a_plan_that_cannot_be_recorded_is_undone(bench):
    """Where a batch cannot be recorded, nothing of it is counted as active, and what it extended ends as before."""
    bench.ask(block(SRC, "1", 100))
    with unwritable(bench.path):
        assert ["error"] * 2 == [said for said, _ in bench.ask(block(SRC, "1", 900), block(SRC, "2", 900))]
    assert {"shadow": 1, "holdout": 0} == bench.enforcer.active_by_mode()
    bench.clock.pass_(101)
    assert [("expired", 1)] == [(said.outcome, said.p.number) for said in bench.enforcer.tick()]


def test_what_others_wrote_is_read_the_next_time(bench, monkeypatch):
    """Where reading what another process wrote fails, it is read again, and not taken for read."""
    bench.ask(block(SRC, "1", 600))
    other = Bench(bench.path.parent, clock=bench.clock, limits=GRACE)
    other.enforcer.join()
    other.ask(unblock(SRC, "1"), *(block(OTHER, str(port), 600) for port in range(1, 200)))
    with monkeypatch.context() as patch:
        patch.setattr("portkin.blocking.database.block_in", interrupted)
        assert [] == bench.enforcer.tick()
    assert [("removed", 1)] == [(said.outcome, said.p.number) for said in bench.enforcer.tick()]


def interrupted(row):
    """A row that cannot be read, since SQLite breaks off."""
    raise sqlite3.OperationalError("interrupted")


@pytest.mark.parametrize("value", ["src = '203.0.11s.5'", "port = 70000", "proto = 'tdp'", "until = 'x'", "mode = 'y'"])
def test_a_row_that_holds_no_block_stops_nothing(bench, value):
    """A row with a changed bit, which SQLite takes for sound, ends with an error; all others hold."""
    bench.ask(block(SRC, "1", 600), block(SRC, "2", 600))
    bench.enforcer.close()
    with sqlite3.connect(bench.path) as db:
        db.execute(f"UPDATE blocks SET {value} WHERE port = 1")
    after = started(bench.path.parent, limits=GRACE, clock=bench.clock)
    assert [("added", ""), ("exists", "")] == after.ask(block(SRC, "1", 600), block(SRC, "2", 600))
    assert any("invalid rows" in event for event in after.log.events("error"))


def test_an_order_does_not_read_the_whole_file(bench):
    """`portkin blocks` beside a sidecar leaves the search for damage to that: it took long, and blocking waited."""
    now = bench.clock.wall
    database = BlockDatabase(bench.path)
    ended = [Entry(Block(key(OTHER, str(port)), "shadow", 0, now, now + 1)) for port in range(1, 2000)]
    with database.transaction():
        database.add(ended)
        database.end(Ended(entry.block, "expired", now) for entry in ended)
    database.close()
    bench.enforcer.close()
    data = bytearray(bench.path.read_bytes())
    at = data.index(b"203.0.113.6", 40_960)  # a row in the middle
    page = at // 4096 * 4096
    data[page : page + 8] = b"\xee" * 8
    bench.path.write_bytes(data)
    other = Bench(bench.path.parent, clock=bench.clock)
    other.enforcer.join()
    assert [("added", "")] == other.ask(block(SRC, "1"))
    other.enforcer.close()
    assert [] == list(bench.path.parent.glob("*damaged*"))
    after = started(bench.path.parent, clock=bench.clock)
    assert 1 == len(list(bench.path.parent.glob("*damaged*")))
    assert [("added", "")] == after.ask(block(SRC, "1"))


def test_who_waited_in_vain_waits_briefly_the_next_time(bench, monkeypatch):
    """While another process keeps the file locked, one write waits long, and those after it hold up no unblock."""

    def patience():
        return bench.enforcer._records.database._db.execute("PRAGMA busy_timeout").fetchone()[0]

    monkeypatch.setattr("portkin.sqlite.BUSY_AGAIN", 0.003)
    monkeypatch.setattr("portkin.sqlite.BUSY", 0.007)
    bench.ask(block(SRC, "1"))
    with closing(sqlite3.connect(bench.path, isolation_level=None)) as other:
        other.execute("BEGIN EXCLUSIVE")
        assert ["error"] == [outcome for outcome, _ in bench.ask(block(SRC, "2"))]
        assert 3 == patience()
        assert ["error"] == [outcome for outcome, _ in bench.ask(unblock(SRC, "1"))]
        other.execute("ROLLBACK")
    assert ["added"] == [outcome for outcome, _ in bench.ask(block(SRC, "3"))]
    assert 7 == patience()


def test_old_rows_go_in_portions(tmp_path, monkeypatch):
    """No deletion keeps a request waiting for long: one portion a tick, until nothing is left to delete."""
    monkeypatch.setattr("portkin.blocking.database.PRUNED", 10)
    monkeypatch.setattr("portkin.blocking.records.PRUNED", 10)
    bench = started(tmp_path, intervals=Intervals(check=1e9, count=1e9, prune=60.0, retention=50.0))
    bench.ask(*(block(SRC, str(port), 10) for port in range(1, 26)))
    bench.clock.pass_(100)
    left = []
    for passing in (60, 1, 1, 1):
        bench.enforcer.tick()
        with sqlite3.connect(bench.path) as db:
            left.append(db.execute("SELECT count(*) FROM blocks").fetchone()[0])
        bench.clock.pass_(passing)
    # They expire at the first tick, and are old a minute later: 25, then 10 fewer at each.
    assert [25, 15, 5, 0] == left


@pytest.mark.root
def test_a_clock_set_back_at_the_worst_moment_lengthens_nothing(bare_nft, tmp_path):
    """A step of the clock between the database and the kernel gives no block a day more."""
    clock, readings = Clock(), iter(())
    now = clock.wall
    bench = started(tmp_path, bare_nft, clock=clock, wall_clock=lambda: next(readings, clock.wall))
    # The first reading of a request is before the step, the next one after it.
    readings, clock.wall = iter([now]), now - 86_400
    bench.ask(block(SRC, "1", 60))
    assert 60 >= bare_nft.held()[key(SRC, "1")].seconds


@pytest.mark.root
@pytest.mark.parametrize("takes_sizes", [True, False], ids=["new-kernel", "old-kernel"])
def test_more_blocks_at_a_time_have_room_in_the_kernel(bare_nft, tmp_path, monkeypatch, takes_sizes):
    """Where max_blocks is raised while blocking, the sets become larger and keep what they hold, on every kernel."""
    from portkin.blocking.backends import nftables

    small = Nftables(Place(size=4))
    bench = started(tmp_path, small, Limits(max_blocks=2), intervals=Intervals(check=1e9, count=1e9))
    bench.ask(block(SRC, "1", 600), block(SRC, "2", 600))
    assert [("vetoed", "total-cap")] == bench.ask(block(SRC, "3", 600))
    if not takes_sizes:  # until Linux 6.4, a size that is given again changes nothing
        commands, times = nftables.setup_commands, iter([True])
        monkeypatch.setattr(
            nftables,
            "setup_commands",
            lambda place: commands(Place(size=4)) if next(times, False) else commands(place),
        )
    bench.enforcer.set_limits(Limits(max_blocks=1000))
    assert dict.fromkeys(SETS, 2000) == set_sizes("portkin")
    assert [("added", "")] * 998 == bench.ask(*(block(SRC, str(port), 600) for port in range(3, 1001)))
    assert 1000 == len(bare_nft.held())
    small.close()
