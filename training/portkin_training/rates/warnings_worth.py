"""Whether warnings predict anything: how often a high bin follows one, against how often it does anyway."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.stats import beta

from portkin_training.rates.models.task import Floats

HIGH = 0.95
"""A bin is high that exceeds this quantile of the known bins of the 30 days before it."""
LEVEL = 0.95
"""Of the interval."""
FEWEST = 10
"""Warnings below which nothing can be said."""


@dataclass(frozen=True)
class Worth:
    """Of `warnings` that came while rates were not high, how many `hits` were followed by a high bin; `chance` is the
    share of all such bins that were followed by one, and `low` to `high` the interval of the warnings' share."""

    warnings: int
    hits: int
    chance: float
    low: float
    high: float

    @property
    def earned(self) -> bool:
        """Better than chance: even the low end of the interval is."""
        return self.warnings >= FEWEST and self.low > self.chance

    def about(self) -> dict[str, Any]:
        """For the manifest and for programs."""
        return {
            "judged": self.warnings,
            "followed_by_high_bin": self.hits,
            "chance": self.chance,
            "interval": [self.low, self.high],
            "better_than_chance": self.earned,
        }

    def __str__(self) -> str:
        if not self.warnings:
            return "no warning to judge"
        return (
            f"{self.hits} of {self.warnings} warnings followed by a high bin ({self.low:.0%} to {self.high:.0%}; "
            f"{self.chance:.0%} by chance)"
        )


def high_bins(observed: Floats, bins: int) -> NDArray[np.bool_]:
    """Which bins (n,) exceed the `HIGH` quantile of the known ones among the `bins` before them."""
    found = np.zeros(len(observed), dtype=bool)
    for t in range(1, len(observed)):
        before = observed[max(0, t - bins) : t]
        before = before[~np.isnan(before)]
        found[t] = bool(len(before) >= 7 and observed[t] > np.quantile(before, HIGH))
    return found


def worth(warned: NDArray[np.bool_], high: NDArray[np.bool_], known: NDArray[np.bool_], first: int) -> Worth:
    """Of warnings from bin `first` on: `warned` (n,) at the close of bin t is about bin t + 1.

    `high` and `known` (n,) are of the bins. Where rates are high already there is nothing to predict.
    """
    at = np.arange(first, len(high) - 1)
    at = at[known[at] & known[at + 1] & ~high[at]]
    return counted(int(warned[at].sum()), int((warned[at] & high[at + 1]).sum()), len(at), int(high[at + 1].sum()))


def counted(warnings: int, hits: int, bins: int, high: int) -> Worth:
    """From counts: with the exact interval of a binomial share (Clopper and Pearson 1934)."""
    tail = (1 - LEVEL) / 2
    low = float(beta.ppf(tail, hits, warnings - hits + 1)) if hits else 0.0
    top = float(beta.ppf(1 - tail, hits + 1, warnings - hits)) if hits < warnings else 1.0
    return Worth(warnings, hits, high / bins if bins else 0.0, low, top)


def pooled(found: list[Worth], bins: list[int]) -> Worth:
    """Of several ports together; `bins` are those that each one's chance is of."""
    warnings, hits = sum(one.warnings for one in found), sum(one.hits for one in found)
    high = sum(one.chance * number for one, number in zip(found, bins, strict=True))
    made = counted(warnings, hits, 1, 0)
    return Worth(warnings, hits, high / sum(bins) if sum(bins) else 0.0, made.low, made.high)
