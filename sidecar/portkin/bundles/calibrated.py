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
    known = odds
    if len(points):
        x, y = points.T
        beyond = odds - odds.clip(x[0], x[-1])
        known = np.interp(odds, x, y) + np.minimum(beyond, BEYOND * beyond)
    found: Floats = 1 / (1 + np.exp(-known))  # of -inf this is 0
    return found
