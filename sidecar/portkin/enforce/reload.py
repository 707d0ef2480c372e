"""Limits follow the settings file while the sidecar runs."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path

from portkin.enforce.config import LimitsConfig, limits_of
from portkin.enforce.limits import Limits
from portkin.errors import ConfigError
from portkin.logs import Log


class LimitsFile:
    """Reads the limits again when the file has changed, or when told to look."""

    def __init__(
        self,
        path: Path,
        load: Callable[[], LimitsConfig],
        apply: Callable[[Limits], None],
        log: Log,
    ) -> None:
        self._path = path
        self._load = load
        self._apply = apply
        self._log = log
        self._limits = limits_of(load())
        self._seen = self._stamp()
        self._told = asyncio.Event()

    def look(self) -> None:
        """Read the file now, whether or not it seems changed."""
        self._told.set()

    async def run(self, every: float = 2.0, sleep: Callable[[float], Awaitable[None]] = asyncio.sleep) -> None:
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
                self._read()

    def _read(self) -> None:
        try:
            limits = limits_of(self._load())
        except ConfigError as error:
            self._log.error("new settings refused, the old limits stay", reason=str(error))
            return
        if limits != self._limits:
            self._limits = limits
            self._apply(limits)
            self._log.info("limits of blocking reloaded", file=str(self._path))

    def _stamp(self) -> tuple[int, int] | None:
        try:
            status = self._path.stat()
        except OSError:
            return None
        return status.st_mtime_ns, status.st_ino
