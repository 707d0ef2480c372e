"""Until when what sources do was recorded: what comes after the end of a recording is unknown, and not nothing.

A chance holds for the horizon, and many a recording ends, or stops for a while, sooner than that after a probe. Such a
case counts by the share of what comes within the horizon that comes in the time that was recorded: where half of it was
to be seen, half as many cases come true as were stated, and nothing is wrong.

How soon predictions come true is learnt from those that did. One that came true after an hour would have been missed,
had the recording ended within the hour; the estimate of Lynden-Bell (1971), for what is seen only if it stays below a
limit of its own, allows for that, from the longest delay down.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import ibis.expr.types as ir
import numpy as np
from numpy.typing import NDArray

from portkin_training.core.history import stamps
from portkin_training.core.time_bins import bin_number
from portkin_training.tables.next_port.counts import HORIZON, Floats, Ints

QUIET = 100
"""A gap counts as not recorded if it is longer than the horizon, and than this many times the usual gap."""
PARTS = 200
"""Parts that the horizon is divided into."""
ENOUGH = 0.1
"""The estimate starts at the longest delay that could be observed for this share of all that came true."""
_HOUR = 3600


@dataclass(frozen=True, eq=False)
class Recorded:
    """Up to the `ends`, int64 (e,), ascending: the last probe, in microseconds since 1970, before each time without
    recording. `within` float64 (`PARTS` + 1,): the share of what comes true within the horizon that does within each
    part of it."""

    ends: Ints
    within: Floats

    def share(self, ts: Ints) -> Floats:
        """The share of what comes true after each of the stamps `ts` (n,) that was recorded, (n,)."""
        found: Floats = np.interp(time_left(self.ends, ts), np.linspace(0, 1, PARTS + 1), self.within)
        return found


def time_left(ends: Ints, ts: Ints) -> Floats:
    """For what share of the horizon the recording goes on after each of the stamps `ts` (n,), (n,)."""
    if not len(ends):
        return np.ones(len(ts))
    end = ends[np.minimum(np.searchsorted(ends, ts), len(ends) - 1)]
    left: Floats = np.clip((end - ts) / (HORIZON * 1e6), 0, 1)
    return left


@dataclass(frozen=True, eq=False)
class Delays:
    """How soon predictions came true: the weight of those that did in each part of the horizon, `came` (`PARTS`,), and
    of those that could be seen up to each part of it and no longer, `seen` (`PARTS` + 1,)."""

    came: Floats = field(default_factory=lambda: np.zeros(PARTS))
    seen: Floats = field(default_factory=lambda: np.zeros(PARTS + 1))

    def add(self, delay: Floats, left: Floats, weight: Floats) -> None:
        """Add predictions (n,) that came true: after which share of the horizon, of which so much was recorded."""
        self.came[:] += np.bincount((delay * PARTS).astype(np.int64), weight, PARTS)
        self.seen[:] += np.bincount((np.maximum(delay, left) * PARTS).astype(np.int64), weight, PARTS + 1)

    def within(self) -> Floats:
        """The share that comes true within each part of the horizon, float64 (`PARTS` + 1,); 1 where none did."""
        if not self.came.any():
            return np.ones(PARTS + 1)
        sooner = np.concatenate([[0], np.cumsum(self.seen[: PARTS - 1])])  # what could not be seen as late as this
        at_risk, all_ = np.cumsum(self.came) - sooner, self.came.sum()
        enough = (all_ - sooner >= ENOUGH * all_) & (at_risk > 0)
        now = np.divide(self.came, at_risk, out=np.zeros(PARTS), where=enough)
        before: Floats = np.cumprod(1 - np.clip(now, 0, 1)[::-1])[::-1]
        return np.concatenate([[0], before[1:], [1]])


def ends_of(probes: ir.Table) -> Ints:
    """Where recording stopped, of a probes dataset: `Recorded.ends`, int64 (e,)."""
    hour = bin_number(probes, _HOUR)
    hours = probes.group_by(hour=hour).agg(n=probes.count(), first=probes.ts.min(), last=probes.ts.max())
    found = hours.order_by("hour").to_pyarrow()
    return _ends(stamps(found["first"]), stamps(found["last"]), found["n"].to_numpy())


def ends_of_stamps(ts: Ints) -> Ints:
    """The same, int64 (e,), of the stamps of probes, int64 (n,), ascending."""
    starts = np.flatnonzero(np.diff(ts // (_HOUR * 1_000_000), prepend=-1))
    count = np.diff(starts, append=len(ts))
    return _ends(ts[starts], ts[starts + count - 1], count)


def _ends(first: Ints, last: Ints, count: NDArray[np.integer]) -> Ints:
    """Of the first and last stamps of hours with probes, and how many there were, (h,) each."""
    if not len(first):
        return first
    usual = len(first) * _HOUR / count.sum()
    gap = (first[1:] - last[:-1]) / 1e6
    return np.concatenate([last[:-1][gap > max(HORIZON, QUIET * usual)], last[-1:]])
