"""The lock of the block database: one process at a time changes database and backend."""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from portkin.errors import StorageError
from portkin.files import create_private

WAIT = 10.0
"""Seconds that a process waits for the lock."""
WAIT_AGAIN = 0.5
"""Seconds that it waits after it has waited in vain, until it has the lock: what does not need it goes on."""
_POLL = 0.01


def lock_of(database: Path) -> Path:
    """The file of the lock, beside the database."""
    return database.with_name(database.name + ".lock")


class DatabaseLock:
    """The open file of a lock."""

    def __init__(self, database: Path) -> None:
        """Open or create the file beside ``database``; raises OSError where that cannot be."""
        self._path = lock_of(database)
        self._kept_waiting = False
        # For nobody else to open: who may read it may also lock it, and keep it locked.
        create_private(self._path)
        self._file = os.open(self._path, os.O_RDWR | os.O_CREAT, 0o600)
        with suppress(OSError):  # of somebody else, who trusts us with it
            os.fchmod(self._file, 0o600)

    def close(self) -> None:
        """Close the file, which releases the lock."""
        os.close(self._file)

    @contextmanager
    def held(self) -> Iterator[None]:
        """Hold the lock; the kernel releases that of a killed process.

        Raises StorageError where another process keeps the lock for `WAIT` seconds, as one that was stopped.
        """
        end = time.monotonic() + (WAIT_AGAIN if self._kept_waiting else WAIT)
        while True:
            try:
                fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                self._kept_waiting = False
                break
            except BlockingIOError:
                if time.monotonic() >= end:
                    self._kept_waiting = True
                    raise StorageError(
                        f"{self._path}: another process has held this lock for {WAIT:g} s; "
                        f"`fuser {self._path}` shows which"
                    ) from None
            time.sleep(_POLL)
        try:
            yield
        finally:
            fcntl.flock(self._file, fcntl.LOCK_UN)
