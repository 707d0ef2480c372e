"""SQLite files of our own: created, recognised by their marks, checked, and set aside where they are damaged."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

from portkin.errors import StorageError

BUSY = 10.0
"""Seconds that a writer waits for another."""
Opened = TypeVar("Opened")


def connect(path: Path) -> sqlite3.Connection:
    """A connection in autocommit mode, for one thread at a time. Creates no tables."""
    return sqlite3.connect(path, timeout=BUSY, isolation_level=None, check_same_thread=False)


@contextmanager
def transaction(db: sqlite3.Connection) -> Iterator[None]:
    """All changes within, or none."""
    db.execute("BEGIN IMMEDIATE")
    try:
        yield
    except BaseException:
        db.execute("ROLLBACK")
        raise
    db.execute("COMMIT")


def prepare(db: sqlite3.Connection, *, tables: str, schema: int, application: int, what: str) -> None:
    """Create the tables in a new file, or check that it is ours and sound.

    ``schema`` and ``application`` are its marks (PRAGMA user_version, application_id). Raises sqlite3.DatabaseError for
    a file that is damaged or something else than ``what``.
    """
    db.execute("PRAGMA journal_mode = WAL")
    # Durable when the process is killed; the last moments may be lost when the machine crashes.
    db.execute("PRAGMA synchronous = NORMAL")
    with transaction(db):
        marks = tuple(db.execute(f"PRAGMA {name}").fetchone()[0] for name in ("user_version", "application_id"))
        if marks == (0, 0) and not db.execute("SELECT 1 FROM sqlite_schema").fetchone():
            for statement in filter(str.strip, tables.split(";")):
                db.execute(statement)
            db.execute(f"PRAGMA user_version = {schema}")
            db.execute(f"PRAGMA application_id = {application}")
        elif marks != (schema, application):
            raise sqlite3.DatabaseError(f"not {what} of schema {schema}")
    (sound,) = db.execute("PRAGMA quick_check(1)").fetchone()
    if sound != "ok":
        raise sqlite3.DatabaseError(str(sound))


def open_or_set_aside(path: Path, now: float, opened: Callable[[], Opened], refused: str) -> tuple[Opened, str]:
    """What ``opened`` returns for the file at ``path``, and what was wrong with the file: empty, or a text for the log.

    A damaged file, or one that is something else, is renamed, with ``now`` in its name, and a new one created. Raises
    StorageError where it cannot be written; ``refused`` is the message, with {} for the reason.
    """
    try:
        return opened(), ""
    except (OSError, sqlite3.OperationalError) as error:
        raise StorageError(f"{path}: {refused.format(error)}") from None
    except sqlite3.DatabaseError as error:
        aside = path.with_name(f"{path.name}.damaged-{int(now)}")
        try:
            for suffix in ("", "-wal", "-shm"):
                part = path.with_name(path.name + suffix)
                if part.exists():
                    part.rename(aside.with_name(aside.name + suffix))
            return opened(), f"{path} cannot be used ({error}); it is kept as {aside.name}"
        except (OSError, sqlite3.Error) as second:
            raise StorageError(f"{path}: {refused.format(second)}") from None
