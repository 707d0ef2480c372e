"""Which settings of the file are not in force, since only a restart applies them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any

from portkin.config.schema import Config
from portkin.errors import ConfigError
from portkin.logs import Log
from portkin.watch import Watch

RELOADED = "enforce.limits."
"""Settings that a running sidecar takes over by itself."""


def different(one: Any, other: Any, name: str = "") -> Iterator[str]:
    """Names (``enforce.backend``) of the settings that are not equal in two dataclasses of one class."""
    for item in fields(one):
        dotted = f"{name}.{item.name}" if name else item.name
        here, there = getattr(one, item.name), getattr(other, item.name)
        if is_dataclass(here):
            yield from different(here, there, dotted)
        elif here != there:
            yield dotted


class PendingSettings(Watch):
    """Looks at the settings file when it has changed, and reports what is not in force until a restart."""

    def __init__(
        self,
        path: Path,
        in_force: Config,
        load: Callable[[], Config],
        report: Callable[[tuple[str, ...]], None],
        log: Log,
    ) -> None:
        """``load`` reads the file as at the start, flags included; ``report`` is given the names."""
        self._in_force = in_force
        self._load = load
        self._report = report
        self._log = log
        self._pending: tuple[str, ...] = ()
        super().__init__(path)

    async def changed(self) -> None:
        """Compare; a file that is wrong changes nothing, and is reported by `blocking.reload.LimitsFile`."""
        try:
            config = self._load()
        except ConfigError:
            return
        pending = tuple(name for name in different(self._in_force, config) if not name.startswith(RELOADED))
        if pending == self._pending:
            return
        self._pending = pending
        self._report(pending)
        if pending:
            self._log.warning(
                "settings changed that only a restart applies",
                settings=", ".join(pending),
                remedy="restart the sidecar",
            )
        else:
            self._log.info("the settings are again those in force", file=str(self._file))
