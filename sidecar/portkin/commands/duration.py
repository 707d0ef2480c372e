"""Durations on the command line: seconds, or numbers with their units, as 90, 30m, 4h or 1d12h."""

from __future__ import annotations

import math
import re
from typing import Any

import click

UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86_400.0, "w": 604_800.0}
"""Seconds of each unit."""
_PART = re.compile(r"(\d+(?:\.\d+)?)(ms|[smhdw])")


def seconds_of(text: str) -> float:
    """The seconds that a duration is; ValueError for what is none, infinity and NaN among them."""
    written = text.strip().lower()
    try:
        number = float(written)
    except ValueError:
        pass
    else:
        if not math.isfinite(number):
            raise ValueError(f"{text} is no duration")
        return number
    parts = _PART.findall(written)
    if not parts or "".join(map("".join, parts)) != written:
        raise ValueError(f"{text} is no duration")
    return sum(float(number) * UNITS[unit] for number, unit in parts)


class Duration(click.FloatRange):
    """An option's value in seconds, within a range of seconds as `click.FloatRange` takes it."""

    name = "duration"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        if isinstance(value, str):
            try:
                value = seconds_of(value)
            except ValueError:
                self.fail(f"{value!r} is no duration; write seconds, or units, as 90, 30m, 4h or 1d12h", param, ctx)
        return float(super().convert(value, param, ctx))
