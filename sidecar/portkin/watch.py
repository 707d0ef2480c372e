"""Something follows a file while the sidecar runs."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path

from portkin.logs import Log

EVERY = 2.0
"""Seconds between looks where nothing else is set."""


class Watch:
    """Calls `changed` when the file is another one, or when told to look. Logs to the ``_log`` of who follows it."""

    _log: Log

    def __init__(self, file: Path) -> None:
        self._file = file
        self._seen = self._stamp()
        self._told = asyncio.Event()

    def look(self) -> None:
        """Take the file anew, whether or not it seems changed."""
        self._told.set()

    async def run(self, every: float = EVERY, sleep: Callable[[float], Awaitable[None]] = asyncio.sleep) -> None:
        """Look every so many seconds, and when told, for ever."""
        while True:
            waits = {asyncio.ensure_future(sleep(every)), asyncio.ensure_future(self._told.wait())}
            try:
                await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
            finally:
                for wait in waits:
                    wait.cancel()
            stamp = self._stamp()
            if self._told.is_set() or stamp != self._seen:
                self._told.clear()
                self._seen = stamp
                try:
                    await self.changed()
                except Exception:  # whatever somebody wrote into a file, it must not end what is running
                    self._log.exception(
                        "a file could not be taken anew, what was in force stays; this is a defect of portkin",
                        file=str(self._file),
                    )

    async def changed(self) -> None:
        """Take the file anew."""
        raise NotImplementedError

    def _stamp(self) -> tuple[int, int] | None:
        try:
            status = self._file.stat()
        except OSError:
            return None
        return status.st_mtime_ns, status.st_ino
