"""The books: every block with its reason and its end, in one SQLite file (WAL) that survives being killed.

One row is one block, from its beginning to its end however often it was extended; ``outcome`` is null while
it holds. Others may read and write the file meanwhile (``portkin blocks``): whoever changes both the books
and what blocks does so under `Books.lock`, and `Books.changed` tells that somebody else wrote.
"""

from __future__ import annotations

import fcntl
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from portkin.blocking.block import MOST_WHY, Block, Mode, Outcome, Pair, number_of, text_of
from portkin.errors import BooksError
from portkin.net.ports import Port
from portkin.sqlite import connect, open_or_set_aside, prepare, transaction

SCHEMA = 1
MOST_ROWS = 2_000_000
"""Blocks that are kept, whatever the retention: some 500 MB."""
_APPLICATION = 0x706B696E
"""``pkin``: the mark of our files (PRAGMA application_id)."""
_TABLES = """
CREATE TABLE blocks (
    id INTEGER PRIMARY KEY,
    src TEXT NOT NULL, port INTEGER NOT NULL, proto TEXT NOT NULL,
    rank INTEGER NOT NULL, probed TEXT NOT NULL, table_id TEXT NOT NULL, why TEXT NOT NULL,
    since REAL NOT NULL, until REAL NOT NULL, extensions INTEGER NOT NULL DEFAULT 0,
    mode TEXT NOT NULL, hit INTEGER NOT NULL DEFAULT 0,
    packets INTEGER NOT NULL DEFAULT 0, bytes INTEGER NOT NULL DEFAULT 0,
    outcome TEXT, ended REAL
);
CREATE UNIQUE INDEX live ON blocks (src, port, proto) WHERE outcome IS NULL;
CREATE INDEX pairs ON blocks (src, port, proto);
CREATE INDEX ended ON blocks (ended) WHERE outcome IS NOT NULL;
CREATE TABLE grace (
    src TEXT NOT NULL, port INTEGER NOT NULL, proto TEXT NOT NULL, until REAL NOT NULL,
    PRIMARY KEY (src, port, proto)
) WITHOUT ROWID;
CREATE TABLE clock (one INTEGER PRIMARY KEY CHECK (one = 1), latest REAL NOT NULL);
"""
_CLASH = 5.0
"""Seconds that a clock may be behind the books before that is called a clash."""
_LOCK_WAIT = 10.0
"""Seconds that a process waits for another to let go of the books."""
_LOCK_POLL = 0.01


@dataclass(frozen=True, slots=True)
class Entry:
    """What the books say of a block beyond what is kept in memory."""

    block: Block
    probed: str = ""
    table_id: str = ""
    why: str = ""


class Books:
    """An open file of books. For one thread at a time. Every method may raise sqlite3.Error."""

    def __init__(self, path: Path) -> None:
        """Open or begin the file; see `open_books`, which deals with damaged ones."""
        self.path = path
        path.parent.mkdir(parents=True, exist_ok=True)
        self._lock = path.with_name(path.name + ".lock").open("a")
        self._db = connect(path)
        try:
            with self.lock():
                prepare(self._db, tables=_TABLES, schema=SCHEMA, application=_APPLICATION, what="books of blocks")
        except BaseException:
            self.close()
            raise
        self._version = self._data_version()

    def close(self) -> None:
        self._db.close()
        self._lock.close()

    @contextmanager
    def lock(self) -> Iterator[None]:
        """Keep other processes from changing the books and what blocks; killed, we let go.

        Raises BooksError where another does not let go, as one that was stopped.
        """
        end = time.monotonic() + _LOCK_WAIT
        while True:
            try:
                fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() >= end:
                    raise BooksError(
                        f"{self._lock.name}: another process has held this lock for {_LOCK_WAIT:g} s; "
                        f"`fuser {self._lock.name}` shows which"
                    ) from None
            time.sleep(_LOCK_POLL)
        try:
            yield
        finally:
            fcntl.flock(self._lock, fcntl.LOCK_UN)

    def transaction(self) -> AbstractContextManager[None]:
        """All changes within, or none."""
        return transaction(self._db)

    def _data_version(self) -> int:
        return self._db.execute("PRAGMA data_version").fetchone()[0]

    def changed(self) -> bool:
        """Whether somebody else has written since this was last asked."""
        before, self._version = self._version, self._data_version()
        return before != self._version

    # Reading.

    def live(self) -> list[Block]:
        """The blocks that hold, or held when somebody was last here."""
        rows = self._db.execute(
            "SELECT src, port, proto, mode, rank, since, until, id, hit FROM blocks WHERE outcome IS NULL"
        )
        return [
            Block(_pair(src, port, proto), mode, rank, since, until, row, bool(hit))
            for src, port, proto, mode, rank, since, until, row, hit in rows
        ]

    def grace(self, now: float) -> dict[Pair, float]:
        """Until when pairs that were unblocked are left alone."""
        rows = self._db.execute("SELECT src, port, proto, until FROM grace WHERE until > ?", (now,))
        return {_pair(src, port, proto): until for src, port, proto, until in rows}

    def cut_short(self, mode: Mode, now: float) -> list[Pair]:
        """The pairs with a block of this mode that has ended though its time is not over."""
        query = "SELECT DISTINCT src, port, proto FROM blocks WHERE outcome IS NOT NULL AND mode = ? AND until > ?"
        return [_pair(*row) for row in self._db.execute(query, (mode, now))]

    def known(self, pair: Pair) -> bool:
        """Whether there is any row of the pair."""
        query = "SELECT 1 FROM blocks WHERE src = ? AND port = ? AND proto = ? LIMIT 1"
        return self._db.execute(query, _key(pair)).fetchone() is not None

    def rows(
        self, *, live: bool, src: str | None = None, port: Port | None = None, limit: int = -1
    ) -> list[dict[str, Any]]:
        """Rows for people, the latest first: the live ones or all; of one source or port."""
        where, values = ["1"], []
        if live:
            where.append("outcome IS NULL")
        if src is not None:
            where.append("src = ?")
            values.append(src)
        if port is not None:
            where.append("port = ? AND proto = ?")
            values += [port.number, port.proto]
        query = f"SELECT * FROM blocks WHERE {' AND '.join(where)} ORDER BY id DESC LIMIT ?"  # noqa: S608
        cursor = self._db.execute(query, (*values, limit))
        names = [column[0] for column in cursor.description]
        return [dict(zip(names, row, strict=True)) for row in cursor]

    def clash(self, now: float) -> float:
        """How many seconds the clock is behind the latest time in the books; 0 where that is nothing to mention."""
        row = self._db.execute("SELECT latest FROM clock").fetchone()
        behind = row[0] - now if row else 0.0
        return behind if behind > _CLASH else 0.0

    # Writing, within a transaction.

    def stamp(self, now: float) -> None:
        """Note the time, for `clash`."""
        self._db.execute("INSERT OR REPLACE INTO clock VALUES (1, ?)", (now,))

    def add(self, entries: Sequence[Entry]) -> None:
        """Begin blocks; sets their ``row``."""
        if not entries:
            return
        (last,) = self._db.execute("SELECT coalesce(max(id), 0) FROM blocks").fetchone()
        values = []
        for row, entry in enumerate(entries, last + 1):
            block = entry.block
            block.row = row
            values.append(
                (
                    row,
                    *_key(block.pair),
                    block.rank,
                    entry.probed,
                    _clean(entry.table_id),
                    _clean(entry.why),
                    block.since,
                    block.until,
                    block.mode,
                    block.hit,
                )
            )
        self._db.executemany(
            "INSERT INTO blocks (id, src, port, proto, rank, probed, table_id, why, since, until, mode, hit) "
            "VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            values,
        )

    def extend(self, blocks: Iterable[Block]) -> None:
        """Write down the blocks' new ends."""
        self._db.executemany(
            "UPDATE blocks SET until = ?, hit = ?, extensions = extensions + 1 WHERE id = ?",
            [(block.until, block.hit, block.row) for block in blocks],
        )

    def correct(self, blocks: Iterable[Block]) -> None:
        """Write down the blocks' ends and hits without calling it an extension."""
        self._db.executemany(
            "UPDATE blocks SET until = ?, hit = ? WHERE id = ?",
            [(block.until, block.hit, block.row) for block in blocks],
        )

    def count(self, counted: Iterable[tuple[Block, int, int]]) -> None:
        """Write down how many packets and bytes each block has kept away."""
        self._db.executemany(
            "UPDATE blocks SET packets = ?, bytes = ?, hit = ? WHERE id = ?",
            [(packets, octets, block.hit, block.row) for block, packets, octets in counted],
        )

    def end(self, blocks: Iterable[Block], outcome: Outcome, now: float) -> None:
        """Write down that blocks have ended."""
        self._db.executemany(
            "UPDATE blocks SET outcome = ?, ended = ?, hit = ? WHERE id = ?",
            [(outcome, now, block.hit, block.row) for block in blocks],
        )

    def spare(self, pairs: Iterable[Pair], until: float) -> None:
        """Leave pairs alone until then."""
        self._db.executemany(
            "INSERT OR REPLACE INTO grace VALUES (?, ?, ?, ?)", [(*_key(pair), until) for pair in pairs]
        )

    def forget_grace(self, pairs: Iterable[Pair]) -> None:
        """The pairs may be blocked again."""
        self._db.executemany("DELETE FROM grace WHERE src = ? AND port = ? AND proto = ?", map(_key, pairs))

    def prune(self, before: float, now: float) -> int:
        """Forget blocks that ended before then or are too many, and graces that are over; gives how many blocks."""
        self._db.execute("DELETE FROM grace WHERE until <= ?", (now,))
        query = "DELETE FROM blocks WHERE outcome IS NOT NULL AND (ended < ? OR id <= (SELECT max(id) FROM blocks) - ?)"
        return self._db.execute(query, (before, MOST_ROWS)).rowcount


def open_books(path: Path, now: float) -> tuple[Books, str]:
    """The books at ``path``, and what was wrong with them; see `portkin.sqlite.open_or_set_aside`."""
    refused = "the books of blocks cannot be opened ({}); set enforce.books to a file that can be written"
    return open_or_set_aside(path, now, lambda: Books(path), refused)


def _clean(text: str) -> str:
    """The text as it can be stored: not endless, and without the halves of characters that JSON may hold."""
    return text[:MOST_WHY].encode(errors="replace").decode()


def _key(pair: Pair) -> tuple[str, int, str]:
    return text_of(pair.src), pair.port.number, pair.port.proto


def _pair(src: str, port: int, proto: Any) -> Pair:
    return Pair(number_of(src), Port(port, proto))
