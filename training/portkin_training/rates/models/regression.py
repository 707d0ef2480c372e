"""Regressions in closed form: ridge on all lags, and least absolute deviations on averages of growing length.

Cross-validation respects time. Of each fold the Gram matrix is decomposed once, which answers for every penalty.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from portkin.timeseries.bins import DAY
from portkin_training.rates.models.linear import Linear
from portkin_training.rates.models.task import Floats, Task, folds, mae, r2

PENALTIES = tuple(float(10.0**e) for e in range(-1, 6))
STEPS = 12
"""Rounds of reweighting for least absolute deviations."""


def lags(task: Task) -> int:
    """How far regressions on lags look back: a week of hours or four weeks of days, a quarter of short series."""
    return min(28 if task.width >= DAY else 7 * task.season, max(task.split.fit // 4, task.season))


def ridge_path(
    x: Floats, y: Floats, penalties: Sequence[float], weights: Floats | None = None
) -> tuple[Floats, Floats]:
    """Ridge regression for each penalty: coefficients (d, penalties) and intercepts (penalties,).

    `x` (n, d), `y` (n,), `weights` (n,) of the samples; the intercept is not penalised.
    """
    if weights is None:
        weights = np.ones(len(y))
    total = weights.sum()
    middle, mean = weights @ x / total, float(weights @ y / total)
    centred = (x - middle) * np.sqrt(weights)[:, None]
    values, vectors = np.linalg.eigh(centred.T @ centred)
    moment = vectors.T @ (centred.T @ ((y - mean) * np.sqrt(weights)))
    coefficients: Floats = vectors @ (moment[:, None] / (np.maximum(values, 0)[:, None] + np.asarray(penalties)))
    return coefficients, mean - middle @ coefficients


def ridge(task: Task, length: int) -> Linear:
    """Ridge regression on all lags of all features, the penalty by cross-validation that respects time."""
    window, y = task.fitted(length)
    flat = window.reshape(len(window), -1).astype(np.float64)
    errors = np.zeros(len(PENALTIES))
    for known, ahead in folds(len(y)):
        coefficients, intercepts = ridge_path(flat[known], y[known], PENALTIES)
        errors += np.abs(flat[ahead] @ coefficients + intercepts - y[ahead][:, None]).mean(axis=0)
    coefficients, intercepts = ridge_path(flat, y, [PENALTIES[int(np.argmin(errors))]])
    return Linear(coefficients[:, 0].reshape(window.shape[1:]), float(intercepts[0]))


def cross_validated_r2(task: Task, length: int, penalty: float = 1000.0) -> float:
    """Mean R2 over the folds of a ridge regression on the lags of the features: a quick stand-in for the LSTM.

    Used to choose the threshold of port ranking, where the paper trains a network per threshold and fold.
    """
    window, y = task.fitted(length)
    flat = window.reshape(len(window), -1).astype(np.float64)
    found = []
    for known, ahead in folds(len(y)):
        coefficients, intercepts = ridge_path(flat[known], y[known], [penalty])
        found.append(r2(y[ahead], flat[ahead] @ coefficients[:, 0] + intercepts[0]))
    told = [score for score in found if not np.isnan(score)]
    return float(np.mean(told)) if told else float("nan")


def least_deviations(x: Floats, y: Floats, penalty: float) -> tuple[Floats, float]:
    """Least absolute deviations with a ridge penalty, by iteratively reweighted least squares: (d,), intercept.

    What it forecasts is the conditional median, which is what the mean absolute error asks for, and which a logarithm
    leaves the median.
    """
    scale = max(float(np.abs(y - np.median(y)).mean()), 1e-9)
    weights = np.ones(len(y))
    for _ in range(STEPS):
        coefficients, intercepts = ridge_path(x, y, [penalty], weights)
        residual = np.abs(y - x @ coefficients[:, 0] - intercepts[0])
        weights = scale / np.maximum(residual, 0.02 * scale)
    return coefficients[:, 0], float(intercepts[0])


def spans(task: Task) -> tuple[int, ...]:
    """Lengths of the averages that a heterogeneous autoregression reads, up to what the fitted part allows."""
    wanted = (1, 2, 3, 7, 14, 28, 56) if task.width >= DAY else (1, 2, 3, 6, 12, 24, 72, 168)
    return tuple(span for span in wanted if span <= max(task.split.fit // 6, 3))


def heterogeneous(task: Task, penalties: Sequence[float] = (1.0, 10.0, 100.0)) -> Linear:
    """Heterogeneous autoregression (Corsi 2009, HAR): the next bin from averages over growing spans of the past.

    All are taken relative to the window's own level, the mean of its latest season, and the forecast is put back on it,
    as reversible instance normalisation does (Kim et al. 2022). So a port that grows twentyfold is followed at once,
    however small it was when the model was fitted. Same bins of earlier seasons enter too, and of the other ports
    their latest averages relative to their own level. By least absolute deviations.
    """
    used = spans(task)
    length, features = used[-1], task.counts.shape[1]
    level_span = max(span for span in used if span <= task.season)
    level = average(length, level_span)
    basis: list[Floats] = []  # each (length, features)

    def add(feature: int, weights: Floats) -> None:
        made = np.zeros((length, features))
        made[:, feature] = weights
        basis.append(made)

    for span in used:
        if span != level_span:
            add(0, average(length, span) - level)
    seasons = range(task.season, length + 1, task.season)
    if len(seasons) > 1:
        same = [lag_weight(length, lag) for lag in seasons]
        add(0, same[0] - level)
        add(0, np.mean(same, axis=0) - level)
    for feature in range(1, features):
        for span in used[:3:2]:
            add(feature, average(length, span) - level)
    window, y = task.fitted(length)
    flat = window.reshape(len(window), -1).astype(np.float64)
    stacked = np.stack(basis).reshape(len(basis), -1).T
    own = flat @ np.pad(level[:, None], ((0, 0), (0, features - 1))).reshape(-1)
    x, target = flat @ stacked, y - own
    errors = np.zeros(len(penalties))
    for known, ahead in list(folds(len(y)))[-3:]:
        for number, penalty in enumerate(penalties):
            coefficients, intercept = least_deviations(x[known], target[known], penalty)
            errors[number] += mae(target[ahead], x[ahead] @ coefficients + intercept)
    coefficients, intercept = least_deviations(x, target, penalties[int(np.argmin(errors))])
    weights = (stacked @ coefficients).reshape(length, features)
    weights[:, 0] += level
    return Linear(weights, intercept)


def average(length: int, span: int) -> Floats:
    """Weights of the mean of the latest `span` of `length` bins: (length,)."""
    weights = np.zeros(length)
    weights[length - span :] = 1 / span
    return weights


def lag_weight(length: int, lag: int) -> Floats:
    """The weight 1 on the bin that is `lag` bins before the next one: (length,)."""
    weights = np.zeros(length)
    weights[length - lag] = 1.0
    return weights
