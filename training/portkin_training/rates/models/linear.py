"""Forecasts that are a weighted sum of a window: naive ones, averages, exponential smoothing; also with their level
corrected online, and their mean.

Each is one matrix product in ONNX, computed in double precision, so the sidecar forecasts what training did.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from portkin.timeseries.bins import DAY
from portkin_training.rates.models.task import Floats, Task

AVERAGES = (2, 3, 6, 12, 24, 48, 168)
ALPHAS = (0.02, 0.05, 0.1, 0.2, 0.3, 0.5, 0.7, 0.9)
BETAS = (0.05, 0.2)
DAMPING = (0.8, 0.95)
DOUBT = 3.0
"""Sigmas at which half of the distance between the latest level and a forecast is taken for real."""
LEAST_SIGMA = 1e-3
CUT = 1e-3
"""The share of a smoother's weight that is cut off with bins long ago."""


@dataclass(frozen=True, eq=False)
class Linear:
    """A weighted sum of a scaled window plus a constant; `weights` (length, f)."""

    weights: Floats
    bias: float = 0.0

    @property
    def length(self) -> int:
        """Bins per window."""
        return len(self.weights)

    def predict(self, window: NDArray[np.float32]) -> Floats:
        """(w, length, f) -> (w,), summed in double precision, float32 as ONNX returns it."""
        found: Floats = np.tensordot(window.astype(np.float64), self.weights.astype(np.float64), 2) + self.bias
        return found.astype(np.float32)

    def wider(self, length: int, places: Sequence[int], features: int) -> Linear:
        """The same sum over windows of `length` bins of `features` ports, of which `places` are its own."""
        weights = np.zeros((length, features))
        weights[length - self.length :, list(places)] = self.weights
        return Linear(weights, self.bias)


@dataclass(frozen=True, eq=False)
class Corrected:
    """The mean of weighted sums whose level is corrected online: `weights` (k, length, f), `bias` (k,).

    Where the target's mean over the latest `span` bins is away from a sum's forecast by more than noise, `sigma` (k,)
    being what is usual, the forecast is moved there: by d times d^2 / (d^2 + (3 sigma)^2), with d the distance. A tenth
    of it at one sigma, half at three, nearly all of it at ten. So a level that moves is followed by models that have
    learnt to average over months. An infinite sigma corrects nothing. A forecast below `least`, the scaled rate of
    zero, counts as that in the mean, as it does by itself.
    """

    weights: Floats
    bias: Floats
    sigma: Floats
    span: int
    least: float = -np.inf

    @property
    def length(self) -> int:
        """Bins per window."""
        return int(self.weights.shape[1])

    def predict(self, window: NDArray[np.float32]) -> Floats:
        """(w, length, f) -> (w,), in double precision, float32 as ONNX returns it."""
        whole = window.astype(np.float64)
        sums = np.tensordot(whole, self.weights, ((1, 2), (1, 2))) + self.bias
        level = whole[:, -self.span :, 0].mean(axis=1)[:, None]
        moved = np.maximum(towards(sums, level, self.allowed), self.least)
        found: Floats = moved.mean(axis=1).astype(np.float32)
        return found

    @property
    def allowed(self) -> Floats:
        """(3 sigma)^2: (k,), finite, as ONNX has it."""
        return allowed(self.sigma)

    def wider(self, length: int, places: Sequence[int], features: int) -> Corrected:
        """The same over windows of `length` bins of `features` ports, of which `places` are its own."""
        weights = np.zeros((len(self.weights), length, features))
        weights[:, length - self.length :, list(places)] = self.weights
        return replace(self, weights=weights)


def allowed(sigma: Floats) -> Floats:
    """(3 sigma)^2, finite; any shape."""
    found: Floats = np.minimum((DOUBT * sigma) ** 2, 1e30)
    return found


def towards(forecast: Floats, level: Floats, allowed: Floats | float) -> Floats:
    """Forecasts moved to where rates are now, the further the less likely noise explains the distance; shapes that go
    together.

    >>> towards(np.array([20.0]), np.array([50.0]), 30.0**2)  # at three sigmas of 10, half of the distance
    array([35.])
    """
    distance = level - forecast
    squared = distance**2
    found: Floats = forecast + distance * squared / (squared + allowed)
    return found


def seasonal(base: Linear, season: int) -> Linear:
    """The same sum over windows of at least a season."""
    return base.wider(max(base.length, season), range(base.weights.shape[1]), base.weights.shape[1])


def corrected(task: Task, base: Linear) -> Corrected:
    """A weighted sum with its level corrected; what distance is usual comes from the fitted part."""
    base = seasonal(base, task.season)
    window, _ = task.fitted(base.length)
    distance = np.abs(window[:, -task.season :, 0].mean(axis=1) - base.predict(window))
    sigma = max(1.4826 * float(np.median(distance)), LEAST_SIGMA)
    return Corrected(base.weights[None], np.array([base.bias]), np.array([sigma]), task.season)


def mean_of(models: Sequence[Linear | Corrected], span: int, least: float) -> Corrected:
    """The mean of several forecasts of windows of one shape, each of them `least` at least, the scaled rate of zero."""
    parts = [
        model
        if isinstance(model, Corrected)
        else Corrected(model.weights[None], np.array([model.bias]), np.array([np.inf]), span)
        for model in models
    ]
    return Corrected(
        np.concatenate([part.weights for part in parts]),
        np.concatenate([part.bias for part in parts]),
        np.concatenate([part.sigma for part in parts]),
        span,
        least,
    )


def _of_target(weights: Floats, features: int) -> Linear:
    """A sum over the target's own history only, whose weights add up to one: the same in scaled units."""
    wide = np.zeros((len(weights), features))
    wide[:, 0] = weights
    return Linear(wide)


def median(task: Task) -> Linear:
    """A constant: the median of the fitted part."""
    known = task.target[: task.split.fit]
    known = known[~np.isnan(known)]
    middle = float(np.median(known)) if len(known) else 0.0
    counts = np.zeros((1, task.counts.shape[1]))
    counts[0, 0] = middle
    return Linear(np.zeros((1, task.counts.shape[1])), float(task.scaling.apply(counts)[0, 0]))


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
    """Exponentially weighted mean with the best alpha on the fitted part, cut where 0.1 % of the weight is left."""
    return _least_error(task, [exponential_weights(alpha, longest(task)) for alpha in ALPHAS])


def exponential_weights(alpha: float, most: int) -> Floats:
    """Weights (m,): alpha (1 - alpha)^k, the latest bin last, at most so many, adding up to one."""
    length = min(int(np.ceil(np.log(CUT) / np.log(1 - alpha))), most)
    weights = alpha * (1 - alpha) ** np.arange(length)[::-1]
    found: Floats = weights / weights.sum()
    return found


def level_and_trend(task: Task) -> Linear:
    """Holt's smoothing of level and damped trend, with the best parameters on the fitted part.

    Hyndman and Athanasopoulos, Forecasting: Principles and Practice, 8.2: ETS(A,Ad,N). Its one-step forecast is a
    weighted sum of the past, which is its response to a single impulse.
    """
    most = longest(task)
    candidates = [trend_weights(alpha, beta, phi, most) for alpha in ALPHAS[1:] for beta in BETAS for phi in DAMPING]
    return _least_error(task, candidates)


def trend_weights(alpha: float, beta: float, phi: float, most: int) -> Floats:
    """Weights (m,) of Holt's one-step forecast over at most so many bins, the latest last, adding up to one."""
    level, trend, response = 0.0, 0.0, np.empty(most)
    for lag in range(most):
        before = level
        level = alpha * (lag == 0) + (1 - alpha) * (level + phi * trend)
        trend = beta * (level - before) + (1 - beta) * phi * trend
        response[lag] = level + phi * trend
    kept = np.flatnonzero(np.abs(response) > CUT * np.abs(response).max())[-1] + 1
    weights = response[:kept][::-1]
    found: Floats = weights / weights.sum()
    return found


def longest(task: Task) -> int:
    """How far smoothers look back: a week of hours or eight weeks of days, a quarter of short series."""
    return max(2, min(56 if task.width >= DAY else 7 * task.season, task.split.fit // 4))


def _least_error(task: Task, candidates: Sequence[Floats]) -> Linear:
    most = max(map(len, candidates))
    # Judged on the same bins, those that the longest has a window for.
    window, y = task.fitted(most)
    own = window[:, :, 0].astype(np.float64)
    stacked = np.zeros((most, len(candidates)))
    for number, weights in enumerate(candidates):
        stacked[most - len(weights) :, number] = weights
    errors = np.abs(task.scaling.rate(own @ stacked) - task.scaling.rate(y)[:, None]).mean(axis=0)
    return _of_target(candidates[int(np.argmin(errors))], task.counts.shape[1])
