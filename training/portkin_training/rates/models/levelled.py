"""Any model with its level corrected online: what has learnt the level of some bins returns to it otherwise, also where
a port has grown twentyfold or died since.

As long as rates are what they were, such a model is better left alone: moved as early as smoothers are, ridge
regression on logarithms lost 13 % on simulated telescopes, with their days and bursts. So only distances count that the
fitted part does not have.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from portkin_training.rates.models.linear import DOUBT, LEAST_SIGMA, Corrected, Linear, allowed, seasonal, towards
from portkin_training.rates.models.task import Floats, Predictor, Task, Unfit

BEYOND = 2.0
"""Half of a distance is taken for real that is so many times the largest of the fitted part."""


@dataclass(frozen=True, eq=False)
class Levelled:
    """A model whose forecast is moved towards the target's mean over the latest `span` bins, as `linear.Corrected` has
    it; half of a distance of three `sigma`, in scaled units."""

    base: Predictor
    sigma: float
    span: int

    @property
    def length(self) -> int:
        """Bins per window."""
        return self.base.length

    @property
    def allowed(self) -> float:
        """(3 sigma)^2."""
        return float(allowed(np.array(self.sigma)))

    def predict(self, window: NDArray[np.float32]) -> Floats:
        """(w, length, f) -> (w,), float32 as ONNX returns it."""
        forecast = self.base.predict(window).astype(np.float32).astype(np.float64)
        found: Floats = towards(forecast, latest(window, self.span), self.allowed).astype(np.float32)
        return found


def latest(window: NDArray[np.float32], span: int) -> Floats:
    """The target's mean over the latest bins: (w, length, f) -> (w,), in double precision."""
    found: Floats = window[:, -span:, 0].astype(np.float64).mean(axis=1)
    return found


def levelled(task: Task, base: Predictor) -> Predictor:
    """The model with its level corrected by the mean over a season; as it is where its windows, or the fitted part, are
    too short to tell which distances it had."""
    wide = seasonal(base, task.season) if isinstance(base, Linear) else base
    if wide.length < task.season:
        return base
    try:
        window, _ = task.fitted(wide.length)
    except Unfit:
        return base
    largest = float(np.abs(latest(window, task.season) - wide.predict(window)).max())
    sigma = max(BEYOND * largest / DOUBT, LEAST_SIGMA)
    if isinstance(wide, Linear):
        return Corrected(wide.weights[None], np.array([wide.bias]), np.array([sigma]), task.season)
    return Levelled(wide, sigma, task.season)
