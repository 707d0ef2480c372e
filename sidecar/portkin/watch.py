"""Watches a file, or a folder of flat files, while the sidecar runs."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path

from portkin.logs import Log

EVERY = 2.0
"""Seconds between checks unless another interval is given."""


class Watch:
    """Calls `changed` when the file, or one in the folder, has changed, or on `look`. Subclasses set ``_log``.

    All files of a folder count: one that is copied file by file is looked at again until the last of them is there.
    """

    _log: Log

    def __init__(self, path: Path) -> None:
        self._file = path
        self._seen = self._stamp()
        self._asked = asyncio.Event()

    def look(self) -> None:
        """Reload now, whether or not it seems changed."""
        self._asked.set()

    async def run(self, every: float = EVERY, sleep: Callable[[float], Awaitable[None]] = asyncio.sleep) -> None:
        """Check every ``every`` seconds, and on `look`, until cancelled."""
        while True:
            waits = {asyncio.ensure_future(sleep(every)), asyncio.ensure_future(self._asked.wait())}
            try:
                await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
            finally:
                for wait in waits:
                    wait.cancel()
            stamp = self._stamp()
            if self._asked.is_set() or stamp != self._seen:
                self._asked.clear()
                self._seen = stamp
                try:
                    await self.changed()
                except Exception:  # whatever is in the file, the sidecar goes on
                    self._log.exception(
                        "a file could not be reloaded, what was in force stays; this is a defect of portkin",
                        file=str(self._file),
                    )

    async def changed(self) -> None:
        """Reload what has changed."""
        raise NotImplementedError

    def _stamp(self) -> list[tuple[str, int, int, int]]:
        """Name, time, inode and size of what is there; empty where nothing is."""
        try:
            entries = sorted(self._file.iterdir()) if self._file.is_dir() else [self._file]
        except OSError:
            return []
        return [found for entry in entries if (found := _stamp_of(entry)) is not None]


def _stamp_of(file: Path) -> tuple[str, int, int, int] | None:
    try:
        status = file.stat()
    except OSError:
        return None
    return file.name, status.st_mtime_ns, status.st_ino, status.st_size
