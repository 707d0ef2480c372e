"""Days that cannot be right, or lie far from all others: clocks that were never set, years that were guessed wrongly.

One such probe makes a series of decades, so that what counts by time says so.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping

_DAY = 86_400
FIRST_PLAUSIBLE = 725_846_400 // _DAY
"""The first day of 1993, since 1970: no recording of scans is older, but clocks that were never set say 1970."""
FAR = 366
"""Days without a probe between two, from which on one of them is in doubt."""


def doubtful_times(days: Mapping[int, int], what: str) -> Iterator[str]:
    """A sentence for each group of days that cannot be, or lies far from all others.

    Args:
        days: day since 1970, UTC -> how many there are of it.
        what: what is counted, for people: "probes".
    """
    early = sum(count for day, count in days.items() if day < FIRST_PLAUSIBLE)
    late = sum(count for day, count in days.items() if day > time.time() // _DAY + 1)
    if early:
        yield f"{early:,} {what} are dated before 1993, as by a clock that was never set"
    if late:
        yield f"{late:,} {what} are dated in the future"
    known = sorted(days)
    gaps = [at for at in range(1, len(known)) if known[at] - known[at - 1] > FAR]
    if gaps and not (early or late):
        at = max(gaps, key=lambda at: known[at] - known[at - 1])
        before = sum(days[day] for day in known[:at])
        few = min(before, sum(days.values()) - before)
        yield f"{few:,} {what} lie {known[at] - known[at - 1]:,} days away from all others"
