"""Forecasts that are no weighted sums: a moving median, trees on lags, exponential smoothing chosen by AutoETS.

All but AutoETS are functions of one window, so they ship in the same way as the LSTM does.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass

import lightgbm
import numpy as np
from numpy.typing import NDArray
from statsforecast.models import AutoETS

from portkin_training.rates.models.task import Floats, Task, mae

SPANS = (7, 25, 73)
"""Bins of a moving median: odd, so that it is one of them."""


@dataclass(frozen=True, eq=False)
class MovingMedian:
    """The median of the target's latest bins, which bursts do not move; `length` is odd."""

    length: int

    def predict(self, window: NDArray[np.float32]) -> Floats:
        """(w, length, f) -> (w,)."""
        found: Floats = np.median(window[:, :, 0], axis=1)
        return found


def moving_median(task: Task) -> MovingMedian:
    """The moving median whose span has the least error on the fitted part."""
    spans = [span for span in SPANS if span * 4 <= task.split.fit]
    window, y = task.fitted(spans[-1])
    errors = [mae(y, np.median(window[:, -span:, 0], axis=1)) for span in spans]
    return MovingMedian(spans[int(np.argmin(errors))])


@dataclass(frozen=True, eq=False)
class Trees:
    """Boosted regression trees on all values of a window, oldest first."""

    booster: lightgbm.Booster
    length: int

    def predict(self, window: NDArray[np.float32]) -> Floats:
        """(w, length, f) -> (w,)."""
        return np.asarray(self.booster.predict(window.reshape(len(window), -1), num_threads=1))


def lightgbm_on_lags(task: Task, length: int, seed: int) -> Trees:
    """LightGBM on the windows that every other model reads."""
    window, y = task.fitted(length)
    parameters = {
        "objective": "regression",
        "learning_rate": 0.05,
        "num_leaves": 15,
        "min_data_in_leaf": 20,
        "feature_fraction": 0.5,
        "bagging_fraction": 0.8,
        "bagging_freq": 1,
        "seed": seed,
        "deterministic": True,
        "num_threads": 1,
        "verbosity": -1,
    }
    data = lightgbm.Dataset(window.reshape(len(window), -1), y)
    return Trees(lightgbm.train(parameters, data, num_boost_round=200), length)


def auto_ets(task: Task) -> Floats:
    """Exponential smoothing chosen by AutoETS on the fitted part, run on through the rest: forecasts (n,).

    Its state is filtered over the whole series, not read from a window, so it does not ship.
    """
    y = task.filled[:, 0]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model = AutoETS(season_length=task.season).fit(y[: task.split.fit])
        scaled = np.asarray(model.forward(y, h=1, fitted=True)["fitted"], dtype=np.float64)
    return task.scaling.rate(scaled)
