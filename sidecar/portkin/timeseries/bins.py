"""Bins of time: equal intervals for which probes are counted. Times are seconds since the epoch."""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta, tzinfo
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import numpy as np
from numpy.typing import NDArray

from portkin.errors import ConfigError

HOUR = 3_600
DAY = 86_400


def zone(name: str) -> tzinfo:
    """The time zone of that name, as "Europe/Paris"; UTC needs no zone files. ConfigError for a name unknown here."""
    if name == "UTC":
        return UTC
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise ConfigError(
            f"{name!r} is not a time zone known here; write one as Europe/Paris, or install the system's tzdata"
        ) from None


def bin_start(when: float, width: int, tz: str = "UTC") -> int:
    """The start, in seconds since the epoch, of the bin of `width` seconds that holds `when`.

    Days begin at local midnight in `tz`, so that they follow daylight saving; shorter bins are counted from
    the epoch whatever the zone, so that every zone has the same ones.
    ValueError for a width that does not divide a day.

    >>> bin_start(7_199.5, HOUR)
    3600
    """
    if width <= 0 or DAY % width:
        raise ValueError(f"a bin of {width} s does not divide a day; use 3600 or 86400")
    if width < DAY or tz == "UTC":
        return int(when // width) * width
    return _midnight(datetime.fromtimestamp(when, zone(tz)).date(), zone(tz))


def day_start(day: date, tz: str) -> int:
    """The first second, since the epoch, of a local day. ValueError for a day that the zone skipped altogether.

    >>> day_start(date(2023, 4, 28), "Africa/Cairo")  # begins at 01:00, as the clocks skip midnight
    1682632800
    """
    found = _midnight(day, zone(tz))
    if datetime.fromtimestamp(found, zone(tz)).date() != day:
        raise ValueError(f"{day} does not exist in {tz}")
    return found


def _midnight(day: date, tz: tzinfo) -> int:
    """The first second of a local day. Where the clocks skip midnight, that is when they do."""
    before, after = (int(datetime.combine(day, time(), tz).replace(fold=fold).timestamp()) for fold in (0, 1))
    # Of a midnight that is skipped, PEP 495 has fold 0 later than fold 1, and the gap ends between them.
    while after < before:
        middle = (after + before) // 2
        if datetime.fromtimestamp(middle, tz).date() < day:
            after = middle + 1
        else:
            before = middle
    return before


def next_start(start: int, width: int, tz: str = "UTC") -> int:
    """The start of the bin after the one that begins at `start`."""
    if width < DAY or tz == "UTC":
        return start + width
    # By date: a day that begins at 01:00, as midnight is skipped, is followed by one that begins at midnight.
    found, day = start, datetime.fromtimestamp(start, zone(tz)).date()
    while found <= start:  # the zone may skip a whole day
        day += timedelta(days=1)
        found = _midnight(day, zone(tz))
    return found


def bin_starts(first: float, last: float, width: int, tz: str = "UTC") -> NDArray[np.int64]:
    """The starts, in seconds, of all bins from the one that holds `first` to that of `last`: int64 (n,).

    >>> bin_starts(1_800, 9_000, HOUR).tolist()
    [0, 3600, 7200]
    """
    start, end = bin_start(first, width, tz), bin_start(last, width, tz)
    if width < DAY or tz == "UTC":
        return np.arange(start, end + 1, width, dtype=np.int64)
    starts = []
    while start <= end:
        starts.append(start)
        start = next_start(start, width, tz)
    return np.array(starts, dtype=np.int64)


def latest_starts(last: int, number: int, width: int, tz: str = "UTC") -> list[int]:
    """The starts of that many bins, the last of which begins at `last`.

    >>> latest_starts(7_200, 3, HOUR)
    [0, 3600, 7200]
    """
    found = [last]
    while len(found) < number:
        found.append(bin_start(found[-1] - 1, width, tz))
    return found[::-1]


def label(start: int, width: int, tz: str = "UTC") -> str:
    """A bin as people read it: days by their date, shorter bins by their begin.

    >>> label(1_362_344_400, HOUR), label(1_362_268_800, DAY)
    ('2013-03-03T21:00Z', '2013-03-03')
    """
    if width >= DAY:
        return datetime.fromtimestamp(start, zone(tz)).strftime("%Y-%m-%d")
    if tz == "UTC":
        return datetime.fromtimestamp(start, UTC).strftime("%Y-%m-%dT%H:%MZ")
    return datetime.fromtimestamp(start, zone(tz)).isoformat(timespec="minutes")
