"""Reloads the limits when the settings file changes."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from portkin.blocking.limits import Limits
from portkin.errors import ConfigError
from portkin.logs import Log
from portkin.watch import Watch


class LimitsFile(Watch):
    """Reads the limits again when the file has changed, or on `look`."""

    def __init__(
        self,
        path: Path,
        load: Callable[[], Limits],
        apply: Callable[[Limits], None],
        log: Log,
    ) -> None:
        self._load = load
        self._apply = apply
        self._log = log
        self._limits = load()
        super().__init__(path)

    async def changed(self) -> None:
        """Read the limits; those in force stay where the file is wrong."""
        try:
            limits = self._load()
        except ConfigError as error:
            self._log.error("new settings rejected, the old limits stay", reason=str(error))
            return
        if not limits.same(self._limits):
            self._limits = limits
            self._apply(limits)
            self._log.info("limits of blocking reloaded", file=str(self._file))
