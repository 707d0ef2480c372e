"""The block database: every block with its reason and its end, in one SQLite file (WAL) that survives kill -9.

One row is one block, from its beginning to its end however often it was extended; ``outcome`` is null while
it is active. Other processes may read and write the file meanwhile (``portkin blocks``): a change of both database and
backend is made under `BlockDatabase.lock`, and `BlockDatabase.changed` reports that another process wrote.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import astuple, dataclass
from pathlib import Path

from portkin.blocking.active import Ended
from portkin.blocking.block import MAX_REASON, Block, BlockKey, Mode
from portkin.blocking.database_lock import DatabaseLock, lock_of
from portkin.blocking.database_tables import APPLICATION, SCHEMA, TABLES, UPGRADES, WHAT
from portkin.blocking.rows import BLOCK, block_in, key_in, values_of
from portkin.blocking.stats import ModeStats
from portkin.sqlite import Transactions, check_sound, connect, identity, open_or_set_aside, prepare

MAX_ROWS = 2_000_000
"""Rows kept, whatever the retention: some 500 MB."""
PRUNED = 5_000
"""Rows deleted at once, in some twenty milliseconds."""
_DAY = 86_400
_CLOCK_TOLERANCE = 5.0
"""Seconds that the clock may be behind the latest time in the database without being reported."""


@dataclass(frozen=True, slots=True)
class Entry:
    """A block to be recorded, with what is kept of it in the database alone."""

    block: Block
    probed: str = ""
    table_id: str = ""
    reason: str = ""


class BlockDatabase:
    """The open file. For one thread at a time. Every method may raise sqlite3.Error."""

    def __init__(self, path: Path, *, known: bool = False, check: bool = True) -> None:
        """Open or create the file; `open_database` deals with damaged ones.

        ``known``: it was ours when it was opened before; ``check``: all of it is read, in search of damage. Raises
        StorageError for a file that is not ours.
        """
        self.path = path
        path.parent.mkdir(parents=True, exist_ok=True)
        self._db = connect(path, application=APPLICATION, what=WHAT, known=known)
        self._transactions = Transactions(self._db)
        self._lock = DatabaseLock(path)
        self._files = _files(path)
        try:
            with self.lock():
                prepare(
                    self._db,
                    tables=TABLES,
                    schema=SCHEMA,
                    application=APPLICATION,
                    what=WHAT,
                    upgrades=UPGRADES,
                )
            if check:  # without the lock: nobody has to wait for that
                check_sound(self._db)
        except BaseException:
            self.close()
            raise
        self._version = self._data_version()
        self._last: int | None = None
        """The last row's id, where we know it."""
        self.unreadable: list[int] = []
        """Ids of active rows that `active` found to hold no block."""

    def close(self) -> None:
        self._db.close()
        self._lock.close()

    def gone(self) -> bool:
        """Whether the file, or its lock, was removed or replaced: other processes then use another one."""
        return _files(self.path) != self._files

    def lock(self) -> AbstractContextManager[None]:
        """Keep other processes from changing database and backend; see `DatabaseLock.held`."""
        return self._lock.held()

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """All changes within, or none."""
        try:
            with self._transactions.one():
                yield
        except BaseException:
            self._last = None
            raise

    def _data_version(self) -> int:
        (version,) = self._db.execute("PRAGMA data_version").fetchone()
        return int(version)

    def changed(self) -> bool:
        """Whether another process has written since `seen`."""
        return self._version != self._data_version()

    def seen(self) -> None:
        """What other processes have written until now was read."""
        self._version = self._data_version()
        self._last = None

    # Reading.

    def active(self) -> list[Block]:
        """The blocks that have no outcome yet, but for rows that hold none (`unreadable`)."""
        rows = self._db.execute(f"SELECT {BLOCK} FROM blocks WHERE outcome IS NULL")  # noqa: S608
        found, self.unreadable = [], []
        for row in rows:
            block = block_in(row)
            if block is None:
                self.unreadable.append(row[0])
            else:
                found.append(block)
        return found

    def grace(self, now: float) -> dict[BlockKey, float]:
        """Until when keys that were unblocked are not blocked again."""
        rows = self._db.execute("SELECT src, port, proto, until FROM grace WHERE until > ?", (now,))
        return {key: until for src, port, proto, until in rows if (key := key_in(src, port, proto)) is not None}

    def ended_early(self, mode: Mode, now: float) -> list[BlockKey]:
        """The keys with a block of this mode that ended before its time was over."""
        query = "SELECT DISTINCT src, port, proto FROM blocks WHERE outcome IS NOT NULL AND mode = ? AND until > ?"
        return [key for row in self._db.execute(query, (mode, now)) if (key := key_in(*row)) is not None]

    def reason(self, row: int) -> str:
        """Why the block of that id was asked for; empty where there is none."""
        found = self._db.execute("SELECT reason FROM blocks WHERE id = ?", (row,)).fetchone()
        return str(found[0]) if found else ""

    def known(self, key: BlockKey) -> bool:
        """Whether there is any row of the key."""
        query = "SELECT 1 FROM blocks WHERE src = ? AND port = ? AND proto = ? LIMIT 1"
        return self._db.execute(query, values_of(key)).fetchone() is not None

    def clock_behind(self, now: float) -> float:
        """How many seconds the clock is behind the latest time in the database; 0 within a tolerance."""
        row = self._db.execute("SELECT latest FROM clock").fetchone()
        behind = row[0] - now if row else 0.0
        return behind if behind > _CLOCK_TOLERANCE else 0.0

    # Writing, within a transaction.

    def stamp(self, now: float) -> None:
        """Record the time, for `clock_behind`."""
        self._db.execute("INSERT OR REPLACE INTO clock VALUES (1, ?)", (now,))

    def describe_backend(self, mode: Mode, ready: bool, ipv6_fault: str, now: float) -> None:
        """Record how the sidecar's backend is doing, for `portkin blocks list`."""
        self._db.execute("INSERT OR REPLACE INTO backend VALUES (1, ?, ?, ?, ?)", (mode, ready, ipv6_fault, now))

    def count_day(self, counted: Mapping[Mode, ModeStats], now: float) -> None:
        """Add what was counted to the figures of this day (UTC)."""
        self._db.executemany(
            "INSERT INTO figures VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (day, mode) DO UPDATE SET "
            "probes = probes + excluded.probes, blocked = blocked + excluded.blocked, new = new + excluded.new, "
            "new_blocked = new_blocked + excluded.new_blocked, blocks = blocks + excluded.blocks, "
            "useful = useful + excluded.useful, predicted = predicted + excluded.predicted, "
            "predicted_useful = predicted_useful + excluded.predicted_useful",
            [(int(now // _DAY), mode, *astuple(counts)) for mode, counts in counted.items()],
        )

    def shift(self, seconds: float) -> None:
        """The clock was changed by so many seconds: what is not over yet moves with it."""
        self._db.execute(
            "UPDATE blocks SET since = since + ?, until = until + ? WHERE outcome IS NULL", (seconds, seconds)
        )
        self.shift_grace(seconds)

    def shift_grace(self, seconds: float) -> None:
        """Every grace ends so many seconds later, or earlier where that is negative."""
        self._db.execute("UPDATE grace SET until = until + ?", (seconds,))

    def add(self, entries: Sequence[Entry]) -> None:
        """Record new blocks; sets their ``row``."""
        if not entries:
            return
        if self._last is None or self.changed():
            (self._last,) = self._db.execute("SELECT coalesce(max(id), 0) FROM blocks").fetchone()
        first, self._last = self._last + 1, self._last + len(entries)
        values = []
        for row, entry in enumerate(entries, first):
            block = entry.block
            block.row = row
            values.append(
                (
                    row,
                    *values_of(block.key),
                    block.rank,
                    entry.probed,
                    _clean(entry.table_id),
                    _clean(entry.reason),
                    block.since,
                    block.until,
                    block.mode,
                    block.hit,
                    block.packets,
                    block.bytes,
                )
            )
        self._db.executemany(
            "INSERT INTO blocks (id, src, port, proto, rank, probed, table_id, reason, since, until, mode, hit, "
            "packets, bytes) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            values,
        )

    def extend(self, blocks: Iterable[Block]) -> None:
        """Record the blocks' new ends."""
        self._each(
            "UPDATE blocks SET until = ?, hit = ?, extensions = extensions + 1 WHERE id = ?",
            [(block.until, block.hit, block.row) for block in blocks],
        )

    def correct(self, blocks: Iterable[Block]) -> None:
        """Record the blocks' times and hits without counting an extension."""
        self._db.executemany(
            "UPDATE blocks SET since = ?, until = ?, hit = ? WHERE id = ?",
            [(block.since, block.until, block.hit, block.row) for block in blocks],
        )

    def count(self, blocks: Iterable[Block]) -> None:
        """Record how many packets and bytes each block has dropped."""
        self._db.executemany(
            "UPDATE blocks SET packets = ?, bytes = ?, hit = ? WHERE id = ?",
            [(block.packets, block.bytes, block.hit, block.row) for block in blocks],
        )

    def end(self, ended: Iterable[Ended]) -> None:
        """Record that blocks have ended."""
        self._each(
            "UPDATE blocks SET outcome = ?, ended = ?, hit = ?, packets = ?, bytes = ? WHERE id = ?",
            [(outcome, at, block.hit, block.packets, block.bytes, block.row) for block, outcome, at in ended],
        )

    def end_unreadable(self, now: float) -> None:
        """Invalid rows are no longer active."""
        rows = [(now, row) for row in self.unreadable]
        self._db.executemany("UPDATE blocks SET outcome = 'error', ended = ? WHERE id = ?", rows)

    def add_grace(self, until_by_key: Mapping[BlockKey, float]) -> None:
        """The keys are not blocked again until then."""
        self._each(
            "INSERT OR REPLACE INTO grace VALUES (?, ?, ?, ?)",
            [(*values_of(key), until) for key, until in until_by_key.items()],
        )

    def remove_grace(self, keys: Iterable[BlockKey]) -> None:
        """The keys may be blocked again."""
        self._each("DELETE FROM grace WHERE src = ? AND port = ? AND proto = ?", list(map(values_of, keys)))

    def _each(self, statement: str, rows: list[tuple[object, ...]]) -> None:
        if rows:  # without one, too, SQLite takes a hundredth of a millisecond
            self._db.executemany(statement, rows)

    def prune(self, before: float, now: float) -> int:
        """Delete blocks that ended before then or are too many, and graces that are over; returns how many blocks.

        `PRUNED` at most, so that nobody has to wait for long.
        """
        self._db.execute("DELETE FROM figures WHERE day < ?", (int(before // _DAY),))
        self._db.execute("DELETE FROM grace WHERE until <= ?", (now,))
        old = (
            "SELECT id FROM blocks WHERE outcome IS NOT NULL AND ended < ? UNION ALL "
            "SELECT id FROM blocks WHERE outcome IS NOT NULL AND id <= (SELECT max(id) FROM blocks) - ? LIMIT ?"
        )
        query = f"DELETE FROM blocks WHERE id IN ({old})"  # noqa: S608
        return self._db.execute(query, (before, MAX_ROWS, PRUNED)).rowcount


def open_database(path: Path, now: float, *, known: bool = False, check: bool = True) -> tuple[BlockDatabase, str]:
    """The database at ``path``, and what was wrong with it; see `portkin.sqlite.open_or_set_aside`."""
    refused = "the block database cannot be opened ({}); set enforce.database to a file that can be written"
    return open_or_set_aside(path, now, lambda: BlockDatabase(path, known=known, check=check), refused)


def _clean(text: str) -> str:
    """The text as it can be stored: limited in length, and without the halves of characters that JSON may hold."""
    text = text[:MAX_REASON]
    return text if text.isascii() else text.encode(errors="replace").decode()


def _files(path: Path) -> tuple[object, object]:
    """Which files the database and its lock are."""
    return identity(path), identity(lock_of(path))
