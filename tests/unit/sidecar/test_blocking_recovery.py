"""The enforcer after a restart, and where the backend, the database or the clock fails; the backend is simulated."""

from __future__ import annotations

import sqlite3

import pytest

from portkin.blocking import reconcile
from portkin.blocking.block import Block
from portkin.blocking.database import BlockDatabase, Entry
from portkin.blocking.limits import Limits
from portkin.errors import StorageError
from portkin.net.ports import Port
from support.enforcing import Bench, Clock, block, nets, unblock
from support.simulated_backend import OTHER, SRC, Deaf, again, key, outcomes, unwritable

pytestmark = pytest.mark.usefixtures("impatient")


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


def test_blocks_sent_again_end_in_time_however_long_that_takes(kernel_bench, kernel, monkeypatch):
    """Of many blocks that the backend lost the last is set seconds after the first; what ends meanwhile is not set."""
    kernel_bench.ask(*(block(SRC, str(port), 100) for port in range(1, 5)), block(SRC, "5", 8))
    ends, apply = dict(kernel.ends), kernel.apply

    def slowly(batch):
        kernel.clock.pass_(5)
        return apply(batch)

    kernel.ends, kernel.apply = {}, slowly
    monkeypatch.setattr(reconcile, "BATCH_SIZE", 1)
    again(kernel_bench, kernel)
    # The clock of the first batch is that of the simulated kernel when it has it: 5 s after it was made.
    late = {place: kernel.ends.get(place, 0) - end for place, end in ends.items()}
    assert {5.0} == {late[key(SRC, str(port))] for port in range(1, 5)}
    assert 0 >= late[key(SRC, "5")]


def test_blocks_that_end_while_the_backend_is_read_are_not_missed(kernel_bench, kernel):
    """Reading many blocks takes seconds: what ran out in them is no loss, what is gone before its time is one."""
    kernel_bench.ask(block(SRC, "1", 8), block(SRC, "2", 100), block(SRC, "3", 100))
    read = kernel.held

    def slowly(expected):
        kernel.clock.pass_(5)
        return read(expected)

    kernel.held = slowly
    kernel_bench.enforcer.tick()
    kernel_bench.enforcer.tick()
    assert [] == kernel_bench.log.events("error")
    del kernel.ends[key(SRC, "3")]
    kernel_bench.enforcer.tick()
    lost = [pairs for level, event, pairs in kernel_bench.log.lines if level == "error" and "lacks blocks" in event]
    assert [{"blocks": 1}] == lost
    kernel.held = read
    assert {key(SRC, "2"), key(SRC, "3")} == kernel.held().keys()


def test_a_lost_database_takes_over_what_the_backend_holds(kernel_bench, kernel):
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


def test_a_flush_that_the_database_misses_is_an_error(kernel_bench, kernel):
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
