"""Logs: key=value for people on a terminal, JSON lines for machines, to standard error."""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable, Hashable
from functools import cached_property
from typing import Any, Literal, TextIO

Level = Literal["debug", "info", "warning", "error"]
Format = Literal["auto", "text", "json"]
Log = Any
"""A bound logger of structlog; its methods (``info``, ``warning``, ...) take an event and key=value pairs."""


def make_log(level: Level = "info", format: Format = "auto", stream: TextIO | None = None) -> Log:
    """A logger to ``stream`` (standard error); ``auto`` is text on a terminal and JSON elsewhere."""
    return _Deferred(level, lambda: _make(level, format, stream if stream is not None else sys.stderr))


class _Deferred:
    """A logger that loads structlog with its first line: that takes longer than most commands, which log nothing."""

    def __init__(self, level: Level, make: Callable[[], Log]) -> None:
        self._least = logging.getLevelNamesMapping()[level.upper()]
        self._make = make

    @cached_property
    def _log(self) -> Log:
        return self._make()

    def __getattr__(self, name: str) -> Any:
        number = logging.getLevelNamesMapping().get(name.upper())
        return _nothing if number is not None and number < self._least else getattr(self._log, name)


def _nothing(*_: object, **__: object) -> None:
    """Logs a line below the level."""


def _make(level: Level, format: Format, stream: TextIO) -> Log:
    import structlog

    text = format == "text" or (format == "auto" and stream.isatty())
    order = ["timestamp", "level", "event"]
    renderer = (
        structlog.processors.LogfmtRenderer(key_order=order, drop_missing=True)
        if text
        else structlog.processors.JSONRenderer(default=str)
    )
    return structlog.wrap_logger(
        structlog.PrintLogger(stream),
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            renderer,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(getattr(logging, level.upper())),
        cache_logger_on_first_use=True,
    )


class Limiter:
    """Lets the first of a kind through at once, then one per ``every`` seconds, with how many were held back.

    ``clock`` returns seconds. Kinds are few and fixed; none is ever forgotten.
    """

    def __init__(self, every: float, clock: Callable[[], float]) -> None:
        self._every = every
        self._clock = clock
        self._next: dict[Hashable, float] = {}
        self._held: dict[Hashable, int] = {}

    def passes(self, kind: Hashable) -> int | None:
        """How many of this kind were held back since the last that passed; None to hold this one back."""
        now = self._clock()
        if now < self._next.get(kind, now):
            self._held[kind] = self._held.get(kind, 0) + 1
            return None
        self._next[kind] = now + self._every
        return self._held.pop(kind, 0)
