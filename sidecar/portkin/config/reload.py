"""Follows the settings file and the never-block file while the sidecar runs.

Limits are taken over at once; of everything else it is said that only a restart applies it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any

from portkin.blocking.config import never_block_path, with_never_block
from portkin.blocking.limits import Limits
from portkin.blocking.never_block import read_never_block
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


class SettingsReload(Watch):
    """Reads both files again when one of them has changed, or on `look`.

    Each counts by itself: where one is wrong, that is logged, what was last read of it stays, and the other is applied.
    """

    def __init__(
        self,
        file: Path | None,
        in_force: Config,
        load: Callable[[], Config],
        *,
        limits: Limits,
        apply: Callable[[Limits], None],
        report: Callable[[tuple[str, ...]], None],
        log: Log,
    ) -> None:
        """``load`` reads ``file`` as at the start, flags included. ``limits`` are those in force, never-block file
        included; ``apply`` is given others, ``report`` the names of the settings that are not in force.

        Raises ConfigError for a never-block file that cannot be used.
        """
        self._in_force = in_force
        self._load = load
        self._limits = limits
        self._apply = apply
        self._report = report
        self._log = log
        self._settings = in_force
        self._pending: tuple[str, ...] = ()
        # Where it was at the start: another path is a setting that only a restart applies.
        self._never_block = never_block_path(in_force.enforce)
        self._never_nets = read_never_block(self._never_block)
        self._file = file
        super().__init__(self._never_block, *([file] if file is not None else []))

    async def changed(self) -> None:
        """Take over the limits, and compare the rest."""
        if self._file is not None:
            self._read_settings()
        try:
            self._never_nets = read_never_block(self._never_block)
        except ConfigError as error:
            self._log.error("the never-block file cannot be used, what it had before stays", reason=str(error))
        limits = with_never_block(self._settings.enforce.limits, self._never_nets)
        if not limits.same(self._limits):
            self._limits = limits
            self._apply(limits)
            self._log.info("limits of blocking reloaded", never_nets=len(limits.never_nets))

    def _read_settings(self) -> None:
        try:
            self._settings = self._load()
        except ConfigError as error:
            self._log.error("new settings rejected, those in force stay", reason=str(error))
            return
        names = different(self._in_force, self._settings)
        pending = tuple(name for name in names if not name.startswith(RELOADED))
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
