"""Facts about the block database and the rates database. Nothing is created, and little of them is read."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

from portkin.blocking import database_tables
from portkin.blocking.config import database_path
from portkin.config.schema import Config
from portkin.doctor.facts import DatabaseFacts
from portkin.rates import store_schema
from portkin.rates.config import rates_database_path
from portkin.sqlite import header_of, mark_of

_PATIENCE = 1.0
"""Seconds to wait for who writes a database."""


def gather_databases(config: Config) -> tuple[DatabaseFacts, ...]:
    """The block database, and where models are set the rates database."""
    found = [_database("enforce.database", database_path(config.enforce), database_tables.APPLICATION)]
    if config.rates.model is not None:
        found.append(_database("rates.database", rates_database_path(config.rates), store_schema.APPLICATION))
    return tuple(found)


def _database(name: str, path: Path, mark: int) -> DatabaseFacts:
    return replace(_file(name, path, mark), free=_room(path.parent))


def _room(folder: Path) -> int | None:
    """Bytes that users other than root may still write there; 0 where nothing can be written, None where unknown."""
    try:
        disk = os.statvfs(folder)
    except OSError:
        return None
    return 0 if disk.f_flag & os.ST_RDONLY else disk.f_bavail * disk.f_frsize


def _file(name: str, path: Path, mark: int) -> DatabaseFacts:
    try:
        if not path.exists():
            return DatabaseFacts(name, path, "absent", writable=_can_create(path.parent))
        header = header_of(path)
    except OSError as error:
        return DatabaseFacts(name, path, "unreadable", False, error.strerror or str(error))
    writable = os.access(path, os.W_OK)
    if not header:
        return DatabaseFacts(name, path, "ours", writable, "empty")
    found = mark_of(path, header, timeout=_PATIENCE)
    if found is None:
        return DatabaseFacts(name, path, "foreign", writable, "not a SQLite file")
    if found != mark:
        return DatabaseFacts(name, path, "foreign", writable, "a SQLite file of another program")
    return DatabaseFacts(name, path, "ours", writable)


def _can_create(folder: Path) -> bool:
    """Whether this user may make the folder, or write in it."""
    while not folder.exists() and folder != folder.parent:
        folder = folder.parent
    return folder.is_dir() and os.access(folder, os.W_OK | os.X_OK)
