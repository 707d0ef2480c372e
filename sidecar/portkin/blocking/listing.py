"""Reading the block database for display, beside a sidecar that writes it: nothing waits, nothing is locked."""

from __future__ import annotations

import sqlite3
from pathlib import Path
from typing import Any, NamedTuple

from portkin.blocking.block import BlockKey, Mode
from portkin.blocking.database_tables import APPLICATION, SCHEMA, WHAT
from portkin.blocking.rows import key_in
from portkin.blocking.stats import ModeStats
from portkin.net.ports import Port
from portkin.sqlite import connect_to_read


class BackendState(NamedTuple):
    """How the sidecar's backend was doing when it last looked (``at``, seconds since 1970)."""

    mode: Mode
    ready: bool
    """Whether it had taken everything that it was given."""
    ipv6_fault: str
    """Why it blocks no IPv6 source; empty where it does."""
    at: float


class Listing:
    """The file, opened for reading. For one thread at a time. Every method may raise sqlite3.Error."""

    def __init__(self, path: Path) -> None:
        """Raises StorageError for a file that is not ours, sqlite3.Error for one that cannot be read."""
        self._db = connect_to_read(path, application=APPLICATION, what=WHAT)
        (schema,) = self._db.execute("PRAGMA user_version").fetchone()
        if schema != SCHEMA:
            self._db.close()
            raise sqlite3.DatabaseError(f"its schema is {schema}, not {SCHEMA}; start this version of the sidecar")

    def close(self) -> None:
        """Close the file."""
        self._db.close()

    def backend(self) -> BackendState | None:
        """The sidecar's backend; None before any sidecar looked at it."""
        row = self._db.execute("SELECT mode, ready, ipv6_fault, at FROM backend").fetchone()
        return BackendState(row[0], bool(row[1]), row[2], row[3]) if row else None

    def version(self) -> int:
        """Another number whenever the file was written since the last call."""
        return int(self._db.execute("PRAGMA data_version").fetchone()[0])

    def count_active(self) -> int:
        """How many blocks are active, holdouts included."""
        query = "SELECT count(*) FROM blocks INDEXED BY active WHERE outcome IS NULL"
        return int(self._db.execute(query).fetchone()[0])

    def active_keys(self) -> set[BlockKey]:
        """The keys of all active blocks, holdouts included."""
        query = "SELECT src, port, proto FROM blocks INDEXED BY active WHERE outcome IS NULL"
        return {key for row in self._db.execute(query) if (key := key_in(*row)) is not None}

    def days(self, number: int) -> list[tuple[int, Mode, ModeStats]]:
        """The figures of the latest days, the latest first: day (86,400 s since 1970, UTC), mode, counts."""
        query = "SELECT * FROM figures WHERE day > (SELECT max(day) FROM figures) - ? ORDER BY day DESC, mode"
        return [(day, mode, ModeStats(*counts)) for day, mode, *counts in self._db.execute(query, (number,))]

    def rows(
        self, *, active: bool, src: str | None = None, port: Port | None = None, limit: int = -1
    ) -> list[dict[str, Any]]:
        """The latest rows first: the active ones or all; of one source or port."""
        if active and src is None and port is None:
            # By the index of active blocks alone: beside them may be millions that have ended.
            where = ["id IN (SELECT id FROM blocks INDEXED BY active WHERE outcome IS NULL ORDER BY id DESC LIMIT ?)"]
            return self._rows(where, [limit], limit)
        where = ["1"]
        values: list[object] = []
        if active:
            where.append("outcome IS NULL")
        if src is not None:
            where.append("src = ?")
            values.append(src)
        if port is not None:
            where.append("port = ? AND proto = ?")
            values += [port.number, port.proto]
        return self._rows(where, values, limit)

    def _rows(self, where: list[str], values: list[object], limit: int) -> list[dict[str, Any]]:
        query = f"SELECT * FROM blocks WHERE {' AND '.join(where)} ORDER BY id DESC LIMIT ?"  # noqa: S608
        cursor = self._db.execute(query, (*values, limit))
        names = [column[0] for column in cursor.description]
        return [dict(zip(names, row, strict=True)) for row in cursor]
