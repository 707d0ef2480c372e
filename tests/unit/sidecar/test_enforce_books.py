"""The books: what was written is there again, whoever died meanwhile."""

from __future__ import annotations

import re
import signal
import sqlite3
import subprocess
import sys
from ipaddress import ip_address

import pytest

from portkin.blocking.block import Block, pair_of
from portkin.blocking.database import Books, Entry, open_books
from portkin.errors import BooksError
from portkin.net.ports import Port


def a_block(src="203.0.113.5", port="80/tcp", since=1000.0, until=1060.0, mode="nftables", rank=0):
    return Block(pair_of(ip_address(src), Port.parse(port)), mode, rank, since, until)


@pytest.fixture
def path(tmp_path):
    return tmp_path / "folder" / "books.sqlite"


def test_a_block_is_there_again_after_closing(path):
    """What was begun and extended is read back as it was: pair, mode, rank, times."""
    books = Books(path)
    one, other = a_block(), a_block("2001:db8::7", "53/udp", mode="holdout", rank=2)
    with books.transaction():
        books.add([Entry(one, "22/tcp", "abc", "evidence=TRW"), Entry(other)])
        one.until, one.hit = 2000.0, True
        books.extend([one])
    books.close()
    assert [one, other] == sorted(Books(path).live(), key=lambda block: block.row)


def test_an_ended_block_is_kept_but_does_not_hold(path):
    """An ended block is no longer among the live ones, and its row says how and when it ended, and why it was."""
    books = Books(path)
    block = a_block()
    with books.transaction():
        books.add([Entry(block, "22/tcp", "abc", "evidence=TRW")])
        books.end([block], "expired", 1060.0)
    (row,) = books.rows(live=False)
    assert ([], True) == (books.live(), books.known(block.pair))
    wanted = {"outcome": "expired", "ended": 1060.0, "probed": "22/tcp", "table_id": "abc", "why": "evidence=TRW"}
    assert wanted == {key: row[key] for key in wanted}


def test_a_pair_cannot_be_blocked_twice_at_a_time(path):
    """A second live row of a pair is refused by the file itself, and the transaction leaves nothing."""
    books = Books(path)
    with pytest.raises(sqlite3.IntegrityError), books.transaction():
        books.add([Entry(a_block()), Entry(a_block())])
    assert [] == books.live()


def test_blocks_cut_short_are_known(path):
    """What ended before its time is found by its mode, so that a backend can be told; what ran out is not."""
    books = Books(path)
    removed, expired, live, other = (a_block(port=str(port)) for port in (1, 2, 3, 4))
    other.mode = "shadow"
    with books.transaction():
        books.add([Entry(block) for block in (removed, expired, live, other)])
        books.end([removed, other], "removed", 1010.0)
        books.end([expired], "expired", 1060.0)
    assert [[removed.pair], []] == [books.cut_short("nftables", 1059.0)[:1], books.cut_short("nftables", 1060.0)]


def test_a_process_that_does_not_let_go_is_an_error(path, monkeypatch):
    """Another that keeps the lock, as one that was stopped, is waited for a while; the error names the lock file."""
    monkeypatch.setattr("portkin.blocking.database._LOCK_WAIT", 0.05)
    ours, theirs = Books(path), Books(path)
    with theirs.lock(), pytest.raises(BooksError, match=re.escape(f"{path}.lock")), ours.lock():
        pass
    with ours.lock():
        pass


def test_old_rows_are_forgotten_and_live_ones_never(path):
    """Retention takes the blocks that ended before a time, and graces that are over; what holds stays."""
    books = Books(path)
    old, new, live = a_block(port="1"), a_block(port="2"), a_block(port="3")
    with books.transaction():
        books.add([Entry(block) for block in (old, new, live)])
        books.end([old], "expired", 1000.0)
        books.end([new], "expired", 3000.0)
        books.spare([old.pair], 1500.0)
        books.spare([new.pair], 9000.0)
        assert 1 == books.prune(2000.0, now=2000.0)
    assert [3, 2] == [row["port"] for row in books.rows(live=False)]
    assert {new.pair: 9000.0} == books.grace(0.0)


@pytest.mark.parametrize("content", [b"this is no database" * 100, b"SQLite format 3\0" + b"\xff" * 5000])
def test_a_damaged_file_is_set_aside(path, content):
    """A file that is no books is kept under another name, and new books are begun; the text says so."""
    path.parent.mkdir()
    path.write_bytes(content)
    books, problem = open_books(path, now=1234.0)
    assert [] == books.live()
    assert content == (path.parent / "books.sqlite.damaged-1234").read_bytes()
    assert "books.sqlite.damaged-1234" in problem


def test_a_file_with_a_damaged_page_is_set_aside(path):
    """Damage inside the file is found when it is opened, not when a block is needed."""
    books = Books(path)
    with books.transaction():
        books.add([Entry(a_block(port=str(port))) for port in range(1, 500)])
    books.close()
    data = bytearray(path.read_bytes())
    for at in range(4096, len(data) - 4096, 4096):
        data[at : at + 64] = b"\xee" * 64
    path.write_bytes(data)
    books, problem = open_books(path, now=5.0)
    assert ([], True) == (books.live(), "cannot be used" in problem)


def test_another_programs_database_is_not_written_to(path):
    """A database of somebody else is set aside, not filled with our tables."""
    path.parent.mkdir()
    other = sqlite3.connect(path)
    other.execute("CREATE TABLE theirs (x)")
    other.close()
    _, problem = open_books(path, now=5.0)
    assert "not books of blocks" in problem


def test_books_that_cannot_be_written_are_an_error(tmp_path):
    """A folder that cannot be made is an error that names the setting."""
    (tmp_path / "file").write_text("")
    with pytest.raises(BooksError, match=r"enforce\.books"):
        open_books(tmp_path / "file" / "books.sqlite", now=0.0)


def test_a_clock_behind_the_books_is_noticed(path):
    """An hour back is a clash; a second is none; forward is none."""
    books = Books(path)
    with books.transaction():
        books.stamp(10_000.0)
    assert [3600.0, 0.0, 0.0] == [books.clash(6400.0), books.clash(9999.0), books.clash(20_000.0)]


def test_the_writing_of_others_is_noticed(path):
    """What another process writes shows once; our own writing does not."""
    ours, theirs = Books(path), Books(path)
    with ours.transaction():
        ours.stamp(1.0)
    assert not ours.changed()
    with theirs.transaction():
        theirs.stamp(2.0)
    assert [True, False] == [ours.changed(), ours.changed()]


def test_text_that_is_no_text_is_kept_as_well_as_can_be(path):
    """Half characters, NULs and endless reasons are stored, shortened, without an error."""
    books = Books(path)
    with books.transaction():
        books.add([Entry(a_block(), "80/tcp", "\ud800\0", "'; DROP TABLE blocks; --" * 1000)])
    (row,) = books.rows(live=True)
    assert ("?\0", 500) == (row["table_id"], len(row["why"]))


def test_what_was_committed_survives_kill_9(path):
    """A process killed in the middle of writing leaves every block that it had committed, and a sound file."""
    program = (
        "import sys\n"
        "from ipaddress import ip_address\nfrom pathlib import Path\n"
        "from portkin.blocking.block import Block, pair_of\nfrom portkin.blocking.database import Books, Entry\n"
        "from portkin.net.ports import Port\n"
        "books = Books(Path(sys.argv[1]))\n"
        "for n in range(1, 60000):\n"
        "    with books.transaction():\n"
        "        books.add([Entry(Block(pair_of(ip_address('192.0.2.9'), Port(n, 'tcp')), 'shadow', 0, 1.0, 2.0))])\n"
        "    print(n, flush=True)\n"
    )
    process = subprocess.Popen([sys.executable, "-c", program, path], stdout=subprocess.PIPE, text=True)
    for line in process.stdout:
        told = int(line)
        if told == 50:
            process.send_signal(signal.SIGKILL)
            break
    process.wait()
    books, problem = open_books(path, now=0.0)
    ports = {block.pair.port.number for block in books.live()}
    assert "" == problem
    assert set(range(1, told + 1)) <= ports


def test_the_books_do_not_grow_without_end(path, monkeypatch):
    """Beyond a number of rows the oldest that have ended go, however young; what holds stays."""
    monkeypatch.setattr("portkin.blocking.database.MOST_ROWS", 2)
    books = Books(path)
    blocks = [a_block(port=str(port)) for port in range(1, 6)]
    with books.transaction():
        books.add([Entry(block) for block in blocks])
        books.end(blocks[1:], "expired", 2000.0)
        assert 2 == books.prune(0.0, now=2000.0)
    assert [5, 4, 1] == [row["port"] for row in books.rows(live=False)]
