"""Scaling of counts for the models, and back.

A count is a float64; NaN is a bin that was not watched (unknown), 0.0 a bin that was watched and stayed empty.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.floating[Any]]


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
        """From counts (n, f), unknown bins left out; a feature that never varies, or is unknown, keeps unit 1.

        >>> scaling = Scaling.fit(np.array([[1.0], [np.nan], [3.0]]))
        >>> scaling.apply(np.array([5.0])).tolist(), scaling.rate(np.array([3.0])).tolist()  # mean 2, deviation 1
        ([3.0], [5.0])
        """
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
        scaled: Floats = ((np.log1p(counts) if self.logarithm else counts) - self.mean) / self.std
        return scaled

    def rate(self, scaled: Floats) -> Floats:
        """Scaled forecasts of the first feature, the target, back in counts, never negative: float64, same shape."""
        with np.errstate(over="ignore"):  # a forecast of infinitely many is one that nothing exceeds
            own = np.asarray(scaled, dtype=np.float64) * self.std[0] + self.mean[0]
            counts: Floats = np.maximum(np.expm1(own) if self.logarithm else own, 0.0)
            return counts
