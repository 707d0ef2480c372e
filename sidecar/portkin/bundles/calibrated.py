"""From log odds of a ranking to chances: what a calibration learnt, applied."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

BEYOND = 0.25
"""How steeply the log odds go on beyond the highest step; below the lowest they go on as they are."""


def calibrated(points: Floats, odds: Floats) -> Floats:
    """The chances of log odds, of any shape, through `points` (m, 2), sorted, by straight lines; 0 for -inf.

    Without points the log odds stand for themselves.
    """
    known = np.where(np.isneginf(odds), 0.0, odds)
    if len(points):
        x, y = points.T
        inside = np.interp(known, x, y)
        known = inside + np.minimum(known - x[0], 0) + BEYOND * np.maximum(known - x[-1], 0)
    found: Floats = np.where(np.isneginf(odds), 0.0, 1 / (1 + np.exp(-known)))
    return found
