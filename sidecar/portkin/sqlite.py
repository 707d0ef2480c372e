"""SQLite files of our own: created, recognised by their marks, checked, and set aside where they are damaged.

A file without our mark is never written to or renamed: a path in the settings may name any file.
"""

from __future__ import annotations

import errno
import sqlite3
import stat
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager
from pathlib import Path
from types import MappingProxyType
from typing import TypeVar

from portkin.errors import StorageError
from portkin.files import create_private

BUSY = 10.0
"""Seconds that a writer waits for another."""
BUSY_AGAIN = 0.5
"""Seconds that it waits after it has waited in vain, until it can write: what does not need the file goes on."""
Opened = TypeVar("Opened")
_MAGIC = b"SQLite format 3\0"
_HEADER = 100
_APPLICATION_AT = 68
"""Where the header of a file has its application id (https://www.sqlite.org/fileformat.html, 1.3)."""


def connect(path: Path, *, application: int, what: str, known: bool = False) -> sqlite3.Connection:
    """A connection in autocommit mode, for one thread at a time. Creates no tables.

    ``application`` is the mark of the file, ``what`` it is called in errors; ``known``: it was ours when it was opened
    before. Raises StorageError, and touches nothing, for a file that has another mark or none.
    """
    if not known:
        refuse_foreign(path, application, what)
    # SQLite's -wal and -shm take the mode of the file. Who may read them may also keep a reading open without end, and
    # the log grows until that ends.
    # Only where there is none: closing a file drops all locks on it that this process has (fcntl(2)).
    create_private(path)
    return sqlite3.connect(path, timeout=BUSY, isolation_level=None, check_same_thread=False)


def connect_to_read(path: Path, *, application: int, what: str) -> sqlite3.Connection:
    """A connection that writes nothing and waits for no writer. Raises as `connect`."""
    refuse_foreign(path, application, what)
    return _read_only(path)


def refuse_foreign(path: Path, application: int, what: str) -> None:
    """Raise StorageError where there is a file with another mark than ``application``, or with none.

    An empty file has none, and is taken. Raises OSError where the file cannot be read.
    """
    try:
        header = header_of(path)
    except FileNotFoundError:
        return
    if header and mark_of(path, header) != application:
        raise StorageError(
            f"{path}: this is not {what} of portkin, and is left as it is; name another file in the settings, or move "
            "this one away"
        )


def header_of(path: Path) -> bytes:
    """The beginning of a file, as `mark_of` reads it; empty for an empty file.

    Raises OSError, for a pipe or device too: reading it might never end.
    """
    mode = path.stat().st_mode
    if not stat.S_ISREG(mode) and not stat.S_ISDIR(mode):
        raise OSError(errno.EINVAL, "not a regular file", str(path))
    with path.open("rb") as opened:
        return opened.read(_HEADER)


def mark_of(path: Path, header: bytes, *, timeout: float = BUSY) -> int | None:
    """The mark of a SQLite file, 0 where it has none; None for any other file.

    ``timeout``: seconds to wait for a writer.
    """
    if not header.startswith(_MAGIC):
        return None
    mark = int.from_bytes(header[_APPLICATION_AT : _APPLICATION_AT + 4], "big")
    # In the first minutes of a database its write-ahead log alone has it.
    if mark or not path.with_name(path.name + "-wal").exists():
        return mark
    try:
        with closing(_read_only(path, timeout)) as db:
            return int(db.execute("PRAGMA application_id").fetchone()[0])
    except sqlite3.Error:
        return 0


def _read_only(path: Path, timeout: float = BUSY) -> sqlite3.Connection:
    uri = f"{path.absolute().as_uri()}?mode=ro"
    return sqlite3.connect(uri, uri=True, timeout=timeout, isolation_level=None, check_same_thread=False)


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


class Transactions:
    """Transactions of one connection. After one has waited in vain for another process, the next ones wait briefly,
    until one succeeds."""

    def __init__(self, db: sqlite3.Connection) -> None:
        self._db = db
        self._in_vain = False

    @contextmanager
    def one(self) -> Iterator[None]:
        """All changes within, or none."""
        try:
            with transaction(self._db):
                yield
        except sqlite3.OperationalError as error:
            self._waited(in_vain=self._in_vain or error.sqlite_errorcode == sqlite3.SQLITE_BUSY)
            raise
        self._waited(in_vain=False)

    def _waited(self, *, in_vain: bool) -> None:
        if in_vain != self._in_vain:
            self._in_vain = in_vain
            self._db.execute(f"PRAGMA busy_timeout = {int(1000 * (BUSY_AGAIN if in_vain else BUSY))}")


def identity(path: Path) -> tuple[int, int] | None:
    """Device and inode of a file; None where there is none."""
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_dev, status.st_ino


def prepare(
    db: sqlite3.Connection,
    *,
    tables: str,
    schema: int,
    application: int,
    what: str,
    upgrades: Mapping[int, str] = MappingProxyType({}),
) -> None:
    """Create the tables in a new file, or check that it is ours; `check_sound` looks at all of it.

    ``schema`` and ``application`` are its marks (PRAGMA user_version, application_id); ``upgrades`` has, by the schema
    of an older file, the statements that make it one of ``schema``. Raises sqlite3.DatabaseError for a file that is
    something else than ``what``.
    """
    with transaction(db):
        marks = tuple(db.execute(f"PRAGMA {name}").fetchone()[0] for name in ("user_version", "application_id"))
        new = marks == (0, 0) and not db.execute("SELECT 1 FROM sqlite_schema").fetchone()
        if new or (marks[1] == application and marks[0] in upgrades):
            for statement in filter(str.strip, (tables if new else upgrades[marks[0]]).split(";")):
                db.execute(statement)
            db.execute(f"PRAGMA user_version = {schema}")
            db.execute(f"PRAGMA application_id = {application}")
        elif marks != (schema, application):
            raise sqlite3.DatabaseError(f"not {what} of schema {schema}")
    # Only now, so that the file itself has the marks, and not its log alone.
    db.execute("PRAGMA journal_mode = WAL")
    # Durable when the process is killed; the last moments may be lost when the machine crashes.
    db.execute("PRAGMA synchronous = NORMAL")


def check_sound(db: sqlite3.Connection) -> None:
    """Read all of a file, a second for a million rows. Raises sqlite3.DatabaseError where it is damaged."""
    (sound,) = db.execute("PRAGMA quick_check(1)").fetchone()
    if sound != "ok":
        raise sqlite3.DatabaseError(str(sound))


def is_damage(error: Exception) -> bool:
    """Whether an error says that the file is damaged, and not that it cannot be used now, or a row is there already."""
    return isinstance(error, sqlite3.DatabaseError) and not isinstance(
        error, (sqlite3.OperationalError, sqlite3.IntegrityError)
    )


def open_or_set_aside(path: Path, now: float, opened: Callable[[], Opened], refused: str) -> tuple[Opened, str]:
    """What ``opened`` returns for the file at ``path``, and what was wrong with the file: empty, or a text for the log.

    A damaged file of ours, or one of another schema, is renamed, with ``now`` in its name, and a new one created.
    Raises StorageError for a file that is not ours, and where it cannot be written; ``refused`` is the message, with {}
    for the reason.
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
