"""Limits follow the settings file while the sidecar runs."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from portkin.blocking.config import LimitsConfig, limits_of
from portkin.blocking.limits import Limits
from portkin.errors import ConfigError
from portkin.logs import Log
from portkin.watch import Watch


class LimitsFile(Watch):
    """Reads the limits again when the file has changed, or when told to look."""

    def __init__(
        self,
        path: Path,
        load: Callable[[], LimitsConfig],
        apply: Callable[[Limits], None],
        log: Log,
    ) -> None:
        self._load = load
        self._apply = apply
        self._log = log
        self._limits = limits_of(load())
        super().__init__(path)

    async def changed(self) -> None:
        try:
            limits = limits_of(self._load())
        except ConfigError as error:
            self._log.error("new settings refused, the old limits stay", reason=str(error))
            return
        if limits != self._limits:
            self._limits = limits
            self._apply(limits)
            self._log.info("limits of blocking reloaded", file=str(self._file))
