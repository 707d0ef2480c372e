"""The years of files whose times name none, where that of the first time is given: the log went on over New Year."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from itertools import pairwise
from zoneinfo import ZoneInfo

HOUR = 3_600_000_000
_YEAR = 365 * 24 * HOUR


@dataclass(frozen=True)
class Begin:
    """How a file begins, its times being taken for the last before it was changed where they name no year.

    Attributes:
        us: the earliest time of its first rows; infinity where it has none.
        first: the time of its first row.
        changed: when the file was, us; None where that is not known.
        yearless: whether its times name no year.
    """

    us: float
    first: int = 0
    changed: int | None = None
    yearless: bool = False


def first_years(begins: Mapping[int, Begin], year: int, tz: str) -> dict[int, tuple[int, Begin]]:
    """For each file whose times name no year: the year of its first one, and how it begins then.

    ``year`` is that of the earliest file; ``tz`` the zone of the times. Files that were written as the log went on say
    by when they were changed which came first. Copies made later do not: of them the earliest is the one behind the
    longest time of the year in which none begins.
    """
    files = {at: one for at, one in begins.items() if one.yearless}
    if not files:
        return {}
    local = {at: datetime.fromtimestamp(one.first / 1e6, UTC).astimezone(ZoneInfo(tz)) for at, one in files.items()}
    years = {at: when.year for at, when in local.items()}
    earliest = min(files, key=lambda at: files[at].first)
    if _written_meanwhile([*files.values()]):
        own = {at: year + years[at] - years[earliest] for at in files}
    else:
        in_year = {at: when.timestamp() * 1e6 - _new_year(when.year) for at, when in local.items()}
        circle = sorted(files, key=lambda at: in_year[at])
        gaps = {behind: in_year[behind] - in_year[before] for before, behind in pairwise(circle)}
        gaps[circle[0]] = in_year[circle[0]] + _YEAR - in_year[circle[-1]]
        longest = max(gaps, key=lambda at: gaps[at])
        start = in_year[longest if gaps[longest] > 1.5 * gaps[earliest] else earliest]
        own = {at: year + (in_year[at] < start) for at in files}
    moved = {at: _new_year(own[at]) - _new_year(years[at]) for at in files}
    return {at: (own[at], replace(one, us=one.first + moved[at])) for at, one in files.items()}


def _new_year(year: int) -> float:
    return datetime(year, 1, 1, tzinfo=UTC).timestamp() * 1e6


def _written_meanwhile(files: list[Begin]) -> bool:
    """Whether the file that begins last did so after another was finished: then times of change are no copies', which
    are made together."""
    changed = [math.inf if one.changed is None else one.changed for one in files]
    return max(changed) - min(changed) >= HOUR and max(one.first for one in files) >= min(changed) - 24 * HOUR
