"""Watches files, or folders of flat files, while the sidecar runs."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path

from portkin.logs import Log

EVERY = 2.0
"""Seconds between checks unless another interval is given."""


class Watch:
    """Calls `changed` when a file, or one in a folder, has changed, or on `look`. Subclasses set ``_log``.

    All files of a folder count: one that is copied file by file is looked at again until the last of them is there.
    """

    _log: Log

    def __init__(self, *paths: Path) -> None:
        self._watched = paths
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
                        file=", ".join(map(str, self._watched)),
                    )

    async def changed(self) -> None:
        """Reload what has changed."""
        raise NotImplementedError

    def _stamp(self) -> list[tuple[str, int, int, int]]:
        """Path, time, inode and size of what is there; empty where nothing is."""
        return [found for path in self._watched for entry in _entries(path) if (found := _stamp_of(entry)) is not None]


def _entries(path: Path) -> list[Path]:
    """The files of a folder, or the file."""
    try:
        return sorted(path.iterdir()) if path.is_dir() else [path]
    except OSError:
        return []


def _stamp_of(file: Path) -> tuple[str, int, int, int] | None:
    try:
        status = file.stat()
    except OSError:
        return None
    return str(file), status.st_mtime_ns, status.st_ino, status.st_size
