"""The block database: what was recorded is there again after any crash."""

from __future__ import annotations

import re
import signal
import sqlite3
import subprocess
import sys
from ipaddress import ip_address

import pytest

from portkin.blocking.active import Ended
from portkin.blocking.block import Block, key_of
from portkin.blocking.database import BlockDatabase, Entry, open_database
from portkin.blocking.database_tables import APPLICATION, WHAT
from portkin.blocking.listing import Listing
from portkin.blocking.stats import ModeStats
from portkin.errors import StorageError
from portkin.net.ports import Port
from portkin.sqlite import refuse_foreign


def a_block(src="203.0.113.5", port="80/tcp", since=1000.0, until=1060.0, mode="nftables", rank=0):
    return Block(key_of(ip_address(src), Port.parse(port)), mode, rank, since, until)


def rows(database, *, active):
    """The rows as `portkin blocks list` reads them."""
    listing = Listing(database.path)
    found = listing.rows(active=active)
    listing.close()
    return found


@pytest.fixture
def path(tmp_path):
    return tmp_path / "folder" / "blocks.sqlite"


def test_a_block_is_there_again_after_closing(path):
    """What was added and extended is read back as it was: key, mode, rank, times."""
    database = BlockDatabase(path)
    one, other = a_block(), a_block("2001:db8::7", "53/udp", mode="holdout", rank=2)
    with database.transaction():
        database.add([Entry(one, "22/tcp", "abc", "evidence=TRW"), Entry(other)])
        one.until, one.hit = 2000.0, True
        database.extend([one])
    database.close()
    assert [one, other] == sorted(BlockDatabase(path).active(), key=lambda block: block.row)


def test_an_ended_block_is_kept_but_does_not_hold(path):
    """An ended block is no longer among the live ones, and its row says how and when it ended, and why it was."""
    database = BlockDatabase(path)
    block = a_block()
    with database.transaction():
        database.add([Entry(block, "22/tcp", "abc", "evidence=TRW")])
        database.end(Ended(each, "expired", 1060.0) for each in [block])
    (row,) = rows(database, active=False)
    assert ([], True) == (database.active(), database.known(block.key))
    wanted = {"outcome": "expired", "ended": 1060.0, "probed": "22/tcp", "table_id": "abc", "reason": "evidence=TRW"}
    assert wanted == {key: row[key] for key in wanted}


def test_a_key_cannot_be_blocked_twice_at_a_time(path):
    """A second active row of a key is refused by the file itself, and the transaction leaves nothing."""
    database = BlockDatabase(path)
    with pytest.raises(sqlite3.IntegrityError), database.transaction():
        database.add([Entry(a_block()), Entry(a_block())])
    assert [] == database.active()


def test_blocks_that_ended_early_are_known(path):
    """What ended before its time is found by its mode, so that a backend can release it; what expired is not."""
    database = BlockDatabase(path)
    removed, expired, live, other = (a_block(port=str(port)) for port in (1, 2, 3, 4))
    other.mode = "shadow"
    with database.transaction():
        database.add([Entry(block) for block in (removed, expired, live, other)])
        database.end(Ended(each, "removed", 1010.0) for each in [removed, other])
        database.end(Ended(each, "expired", 1060.0) for each in [expired])
    assert [[removed.key], []] == [
        database.ended_early("nftables", 1059.0)[:1],
        database.ended_early("nftables", 1060.0),
    ]


def test_a_process_that_does_not_release_the_lock_is_an_error(path, monkeypatch):
    """Another that keeps the lock, as one that was stopped, is waited for a while, the next time for less; the error
    names the lock file."""
    monkeypatch.setattr("portkin.blocking.database_lock.WAIT", 0.05)
    waited = []
    monkeypatch.setattr("portkin.blocking.database_lock.time.sleep", waited.append)
    monkeypatch.setattr("portkin.blocking.database_lock.time.monotonic", lambda: sum(waited))
    ours, theirs = BlockDatabase(path), BlockDatabase(path)
    for longest, again in ((0.05, 0.02), (0.02, 0.02)):
        monkeypatch.setattr("portkin.blocking.database_lock.WAIT_AGAIN", again)
        waited.clear()
        with theirs.lock(), pytest.raises(StorageError, match=re.escape(f"{path}.lock")), ours.lock():
            pass
        assert longest == pytest.approx(sum(waited), abs=0.011)
    with ours.lock():
        pass


def test_old_rows_are_forgotten_and_live_ones_never(path):
    """Retention takes the blocks that ended before a time, and graces that are over; what holds stays."""
    database = BlockDatabase(path)
    old, new, live = a_block(port="1"), a_block(port="2"), a_block(port="3")
    with database.transaction():
        database.add([Entry(block) for block in (old, new, live)])
        database.end(Ended(each, "expired", 1000.0) for each in [old])
        database.end(Ended(each, "expired", 3000.0) for each in [new])
        database.add_grace({old.key: 1500.0})
        database.add_grace({new.key: 9000.0})
        assert 1 == database.prune(2000.0, now=2000.0)
    assert [3, 2] == [row["port"] for row in rows(database, active=False)]
    assert {new.key: 9000.0} == database.grace(0.0)


def test_a_damaged_file_is_set_aside(path):
    """A file of ours that is cut off or overwritten behind its header is renamed, and a new one created, it says."""
    BlockDatabase(path).close()
    content = path.read_bytes()[:100] + b"\xff" * 5000
    path.write_bytes(content)
    database, problem = open_database(path, now=1234.0)
    assert [] == database.active()
    assert content == (path.parent / "blocks.sqlite.damaged-1234").read_bytes()
    assert "blocks.sqlite.damaged-1234" in problem


@pytest.mark.parametrize("content", [b"this is no database" * 100, b"SQLite format 3\0" + b"\xff" * 5000, b"x"])
def test_a_file_without_our_mark_is_never_touched(path, content):
    """What is not ours, whatever is in it, stays where it is and as it is; nothing is created beside it."""
    path.parent.mkdir()
    path.write_bytes(content)
    with pytest.raises(StorageError, match=re.escape(f"{path}: this is not a block database of portkin")):
        open_database(path, now=1234.0)
    assert [("blocks.sqlite", content)] == [(file.name, file.read_bytes()) for file in path.parent.iterdir()]


def test_the_mark_is_in_the_file_from_the_first_moment(path):
    """A process killed right after it created the file leaves one that is known as ours without its log."""
    database = BlockDatabase(path)
    assert (APPLICATION).to_bytes(4, "big") == path.read_bytes()[68:72]
    database.close()


def test_a_mark_that_is_in_the_log_alone_is_seen(path, tmp_path):
    """A file whose first pages are still in its write-ahead log, as after kill -9, is ours."""
    path.parent.mkdir()
    writer = sqlite3.connect(path)
    writer.execute("PRAGMA journal_mode = WAL")
    writer.execute(f"PRAGMA application_id = {APPLICATION}")
    writer.execute("CREATE TABLE t (x)")
    (copy := tmp_path / "copy").mkdir()
    for file in path.parent.iterdir():
        (copy / file.name).write_bytes(file.read_bytes())
    writer.close()
    assert b"\0" * 4 == (copy / path.name).read_bytes()[68:72]
    refuse_foreign(copy / path.name, APPLICATION, WHAT)


def test_an_empty_file_is_taken(path):
    """A file that was created for us, with nothing in it, is filled."""
    path.parent.mkdir()
    path.touch()
    database, problem = open_database(path, now=0.0)
    assert ([], "") == (database.active(), problem)
    database.close()


@pytest.mark.parametrize(("schema", "lacks"), [(2, ["backend", "figures"]), (3, ["figures"])])
def test_a_file_of_an_earlier_schema_is_upgraded(path, schema, lacks):
    """A file of the schemas before this one keeps its blocks, and gains what it lacks."""
    database = BlockDatabase(path)
    with database.transaction():
        database.add([Entry(a_block())])
    database.close()
    with sqlite3.connect(path) as db:
        for table in lacks:
            db.execute(f"DROP TABLE {table}")
        db.execute(f"PRAGMA user_version = {schema}")
    db.close()
    database, problem = open_database(path, now=0.0)
    assert ("", [a_block().key]) == (problem, [block.key for block in database.active()])
    with database.transaction():
        database.describe_backend("shadow", True, "", 1.0)
        database.count_day({"shadow": ModeStats(probes=1)}, 1.0)
    database.close()


def test_a_file_with_a_damaged_page_is_set_aside(path):
    """Damage inside the file is found when it is opened, not when a block is needed."""
    database = BlockDatabase(path)
    with database.transaction():
        database.add([Entry(a_block(port=str(port))) for port in range(1, 500)])
    database.close()
    data = bytearray(path.read_bytes())
    for at in range(4096, len(data) - 4096, 4096):
        data[at : at + 64] = b"\xee" * 64
    path.write_bytes(data)
    database, problem = open_database(path, now=5.0)
    assert ([], True) == (database.active(), "cannot be used" in problem)


def test_another_programs_database_is_not_written_to(path):
    """A database of somebody else is neither filled with our tables nor renamed nor switched to a write-ahead log."""
    path.parent.mkdir()
    other = sqlite3.connect(path)
    other.execute("CREATE TABLE theirs (x)")
    other.close()
    before = path.read_bytes()
    with pytest.raises(StorageError, match="not a block database"):
        open_database(path, now=5.0)
    assert [before] == [file.read_bytes() for file in path.parent.iterdir()]


def test_a_database_that_cannot_be_written_is_an_error(tmp_path):
    """A folder that cannot be made is an error that names the setting."""
    (tmp_path / "file").write_text("")
    with pytest.raises(StorageError, match=r"enforce\.database"):
        open_database(tmp_path / "file" / "blocks.sqlite", now=0.0)


def test_a_clock_behind_the_database_is_noticed(path):
    """An hour back is reported; a second is not, nor is forward."""
    database = BlockDatabase(path)
    with database.transaction():
        database.stamp(10_000.0)
    assert [3600.0, 0.0, 0.0] == [
        database.clock_behind(6400.0),
        database.clock_behind(9999.0),
        database.clock_behind(20_000.0),
    ]


def test_the_writing_of_others_is_noticed(path):
    """What another process writes shows until it was read; our own writing does not."""
    ours, theirs = BlockDatabase(path), BlockDatabase(path)
    with ours.transaction():
        ours.stamp(1.0)
    assert not ours.changed()
    with theirs.transaction():
        theirs.stamp(2.0)
    assert ours.changed()
    ours.seen()
    assert not ours.changed()


def test_text_that_is_no_text_is_kept_as_well_as_can_be(path):
    """Half characters, NULs and endless reasons are stored, shortened, without an error."""
    database = BlockDatabase(path)
    with database.transaction():
        database.add([Entry(a_block(), "80/tcp", "\ud800\0", "'; DROP TABLE blocks; --" * 1000)])
    (row,) = rows(database, active=True)
    assert ("?\0", 500) == (row["table_id"], len(row["reason"]))


def test_what_was_committed_survives_kill_9(path):
    """A process killed in the middle of writing leaves every block that it had committed, and a sound file."""
    program = (
        "import sys\n"
        "from ipaddress import ip_address\nfrom pathlib import Path\n"
        "from portkin.blocking.block import Block, key_of\nfrom portkin.blocking.database import BlockDatabase, Entry\n"
        "from portkin.net.ports import Port\n"
        "database = BlockDatabase(Path(sys.argv[1]))\n"
        "for n in range(1, 60000):\n"
        "    with database.transaction():\n"
        "        database.add([Entry(Block(key_of(ip_address('192.0.2.9'), Port(n, 'tcp')), 'shadow', 0, 1.0, 2.0))])\n"
        "    print(n, flush=True)\n"
    )
    process = subprocess.Popen([sys.executable, "-c", program, path], stdout=subprocess.PIPE, text=True)
    for line in process.stdout:
        told = int(line)
        if told == 50:
            process.send_signal(signal.SIGKILL)
            break
    process.wait()
    database, problem = open_database(path, now=0.0)
    ports = {block.key.port.number for block in database.active()}
    assert "" == problem
    assert set(range(1, told + 1)) <= ports


def test_the_database_does_not_grow_without_end(path, monkeypatch):
    """Beyond a number of rows the oldest that have ended go, however young; what holds stays."""
    monkeypatch.setattr("portkin.blocking.database.MAX_ROWS", 2)
    database = BlockDatabase(path)
    blocks = [a_block(port=str(port)) for port in range(1, 6)]
    with database.transaction():
        database.add([Entry(block) for block in blocks])
        database.end(Ended(each, "expired", 2000.0) for each in blocks[1:])
        assert 2 == database.prune(0.0, now=2000.0)
    assert [5, 4, 1] == [row["port"] for row in rows(database, active=False)]
