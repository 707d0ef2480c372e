"""Bins of time, the windows that models read, and their scaling: one code for training and live service.

What a model sees live must be what it saw in training, to the last bit. So everything between "counts per
port and bin" and "the array that goes into the model" is here, and both sides call it.

A count is a float64; NaN is a bin nobody watched (unknown), 0.0 a bin that was watched and stayed empty.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, tzinfo
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from portkin.errors import ConfigError

HOUR = 3_600
DAY = 86_400
MOST_UNKNOWN = 0.5
"""A window with a larger share of unknown bins in the target's own history is not used."""

Floats = NDArray[np.floating]


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

    >>> bin_start(7_199.5, HOUR)
    3600
    """
    if width <= 0 or DAY % width:
        raise ValueError(f"a bin of {width} s does not divide a day; use 3600 or 86400")
    if width < DAY or tz == "UTC":
        return int(when // width) * width
    local = datetime.fromtimestamp(when, zone(tz))
    return int(local.replace(hour=0, minute=0, second=0, microsecond=0, fold=0).timestamp())


def next_start(start: int, width: int, tz: str = "UTC") -> int:
    """The start of the bin after the one that begins at `start`."""
    if width < DAY or tz == "UTC":
        return start + width
    local = datetime.fromtimestamp(start, zone(tz)).replace(tzinfo=None) + timedelta(days=1)
    return int(local.replace(tzinfo=zone(tz)).timestamp())


def bin_starts(first: float, last: float, width: int, tz: str = "UTC") -> NDArray[np.int64]:
    """The starts, in seconds, of all bins from the one that holds `first` to that of `last`: int64 (n,)."""
    start, end = bin_start(first, width, tz), bin_start(last, width, tz)
    if width < DAY or tz == "UTC":
        return np.arange(start, end + 1, width, dtype=np.int64)
    starts = []
    while start <= end:
        starts.append(start)
        start = next_start(start, width, tz)
    return np.array(starts, dtype=np.int64)


def label(start: int, width: int, tz: str = "UTC") -> str:
    """A bin as people read it: ``2013-03-03`` for days, ``2013-03-03T21:00Z`` for hours in UTC."""
    if width >= DAY:
        return datetime.fromtimestamp(start, zone(tz)).strftime("%Y-%m-%d")
    if tz == "UTC":
        return datetime.fromtimestamp(start, UTC).strftime("%Y-%m-%dT%H:%MZ")
    return datetime.fromtimestamp(start, zone(tz)).isoformat(timespec="minutes")


@dataclass(frozen=True)
class Scaling:
    """Zero mean and unit standard deviation per feature (Zakroum et al. 2022, VI-B); arrays of shape (f,).

    With `logarithm` that of log(1 + count): noise and campaigns multiply rates, and a burst is not all there is.
    """

    mean: Floats
    std: Floats
    logarithm: bool = False

    @classmethod
    def fit(cls, counts: Floats, *, logarithm: bool = False) -> Scaling:
        """From counts (n, f), unknown bins left out; a feature that never varies, or is unknown, keeps unit 1."""
        if logarithm:
            counts = np.log1p(counts)
        known = ~np.isnan(counts)
        number = np.maximum(known.sum(axis=0), 1)
        mean = np.where(known, counts, 0.0).sum(axis=0) / number
        std = np.sqrt(np.where(known, (counts - mean) ** 2, 0.0).sum(axis=0) / number)
        return cls(mean.astype(np.float64), np.where(std > 0, std, 1.0).astype(np.float64), logarithm)

    @property
    def usual(self) -> Floats:
        """The counts (f,) that are scaled to zero."""
        return np.expm1(self.mean) if self.logarithm else self.mean

    def apply(self, counts: Floats) -> Floats:
        """Counts (..., f) in standard deviations from the mean."""
        return ((np.log1p(counts) if self.logarithm else counts) - self.mean) / self.std

    def rate(self, scaled: Floats) -> Floats:
        """Scaled forecasts of the first feature, the target, back in counts, never negative: float64."""
        with np.errstate(over="ignore"):  # a forecast of infinitely many is one that nothing exceeds
            own = np.asarray(scaled, dtype=np.float64) * self.std[0] + self.mean[0]
            return np.maximum(np.expm1(own) if self.logarithm else own, 0.0)


def windows(counts: Floats, length: int) -> Floats:
    """Every run of `length` bins of counts (n, f), oldest first: a view (n - length + 1, length, f)."""
    if len(counts) < length:
        return np.empty((0, length, counts.shape[1]), dtype=counts.dtype)
    return sliding_window_view(counts, length, axis=0).transpose(0, 2, 1)


def usable(window: Floats, target: int, most_unknown: float = MOST_UNKNOWN) -> NDArray[np.bool_]:
    """Which windows (w, length, f) know enough of feature `target` to be forecast from: bool (w,)."""
    return np.isnan(window[:, :, target]).mean(axis=1) <= most_unknown


def fill(window: Floats, otherwise: Floats) -> Floats:
    """Windows (w, length, f) without gaps: an unknown bin repeats the last known one before it in its window.

    Where the window knows none before it, `otherwise` (f,) stands in (the training mean). Nothing outside the
    window is looked at, so a window has one meaning wherever it was cut from.
    """
    known = ~np.isnan(window)
    if known.all():
        return np.array(window)
    at = np.where(known, np.arange(window.shape[1])[None, :, None], -1)
    np.maximum.accumulate(at, axis=1, out=at)
    filled = np.take_along_axis(window, np.maximum(at, 0), axis=1)
    return np.where(at >= 0, filled, otherwise)


def model_input(window: Floats, scaling: Scaling) -> NDArray[np.float32]:
    """What a model reads for windows of counts (w, length, f): filled, scaled, float32, contiguous."""
    return np.ascontiguousarray(scaling.apply(fill(window, scaling.usual)), dtype=np.float32)
