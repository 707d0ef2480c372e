"""Logs: key=value for people on a terminal, JSON lines for machines, to standard error."""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable, Hashable
from typing import Any, Literal, TextIO

Level = Literal["debug", "info", "warning", "error"]
Format = Literal["auto", "text", "json"]
Log = Any
"""A bound logger of structlog; its methods (``info``, ``warning``, ...) take an event and key=value pairs."""


def make_log(level: Level = "info", format: Format = "auto", stream: TextIO | None = None) -> Log:
    """A logger to ``stream`` (standard error); ``auto`` is text on a terminal and JSON elsewhere."""
    import structlog  # here, since most commands log nothing, and it takes longer to load than they do

    stream = stream if stream is not None else sys.stderr
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
