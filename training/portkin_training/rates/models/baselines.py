"""What a practitioner would try first: naive forecasts, averages, ridge and trees on lags, exponential
smoothing.

All but exponential smoothing are functions of one window, so they ship in the same way as the LSTM does.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass

import lightgbm
import numpy as np
from numpy.typing import NDArray
from sklearn.linear_model import Ridge
from sklearn.model_selection import GridSearchCV
from statsforecast.models import AutoETS

from portkin.timeseries.bins import DAY
from portkin_training.rates.models.task import Floats, Task, folds, mae, r2

AVERAGES = (2, 3, 6, 12, 24, 48, 168)
ALPHAS = (0.1, 0.2, 0.3, 0.5, 0.7, 0.9)
PENALTIES = tuple(float(10.0**e) for e in range(-1, 6))


@dataclass(frozen=True, eq=False)
class Linear:
    """A weighted sum of a scaled window plus a constant; `weights` (length, f)."""

    weights: NDArray[np.float32]
    bias: float = 0.0

    @property
    def length(self) -> int:
        """Bins per window."""
        return len(self.weights)

    def predict(self, window: NDArray[np.float32]) -> Floats:
        """(w, length, f) -> (w,)."""
        return np.tensordot(window, self.weights, 2) + np.float32(self.bias)


def _of_target(weights: Floats, features: int) -> Linear:
    """A sum over the target's own history only, whose weights add up to one: the same in scaled units."""
    wide = np.zeros((len(weights), features), dtype=np.float32)
    wide[:, 0] = weights
    return Linear(wide)


def last_value(task: Task) -> Linear:
    """Tomorrow will be as today."""
    return _of_target(np.ones(1), task.counts.shape[1])


def seasonal_naive(task: Task) -> Linear:
    """As a day ago in hours, as a week ago in days."""
    return _of_target(np.eye(1, task.season)[0], task.counts.shape[1])


def moving_average(task: Task) -> Linear:
    """The mean of the latest m bins, with the m whose error on the fitted part is the least."""
    return _least_error(task, [np.full(m, 1 / m) for m in AVERAGES if m * 4 <= task.split.fit])


def ewma(task: Task) -> Linear:
    """Exponentially weighted mean with the best alpha on the fitted part, cut where 0.1 % of the weight is
    left."""
    candidates = []
    for alpha in ALPHAS:
        length = int(np.ceil(np.log(1e-3) / np.log(1 - alpha)))
        weights = alpha * (1 - alpha) ** np.arange(length)[::-1]
        candidates.append(weights / weights.sum())
    return _least_error(task, candidates)


def _least_error(task: Task, candidates: list[Floats]) -> Linear:
    longest = max(map(len, candidates))
    # Judged on the same bins, those that the longest has a window for.
    window, y, _ = task.samples(longest, 0, task.split.fit)
    errors = [mae(y, window[:, longest - len(weights) :, 0] @ weights) for weights in candidates]
    return _of_target(candidates[int(np.argmin(errors))], task.counts.shape[1])


def lags(task: Task) -> int:
    """How far regressions on lags look back: a week of hours or four weeks of days, a quarter of short
    series."""
    return min(28 if task.width >= DAY else 7 * task.season, max(task.split.fit // 4, task.season))


def ridge(task: Task, length: int) -> Linear:
    """Ridge regression on all lags of all features, the penalty by cross-validation that respects time."""
    window, y = task.fitted(length)
    flat = window.reshape(len(window), -1).astype(np.float64)
    search = GridSearchCV(Ridge(), {"alpha": PENALTIES}, cv=list(folds(len(y))), scoring="neg_mean_absolute_error").fit(
        flat, y
    )
    model = search.best_estimator_
    return Linear(model.coef_.reshape(window.shape[1:]).astype(np.float32), float(model.intercept_))


def cross_validated_r2(task: Task, length: int, penalty: float = 1000.0) -> float:
    """Mean R2 over the folds of a ridge regression on the lags of the features: a quick stand-in for the
    LSTM.

    Used to choose the threshold of port ranking, where the paper trains a network per threshold and fold.
    """
    window, y = task.fitted(length)
    flat = window.reshape(len(window), -1).astype(np.float64)
    found = [
        r2(y[test], Ridge(penalty).fit(flat[train], y[train]).predict(flat[test])) for train, test in folds(len(y))
    ]
    known = [score for score in found if not np.isnan(score)]
    return float(np.mean(known)) if known else float("nan")


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
