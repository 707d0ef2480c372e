"""Vector autoregression, fixed and non-stationary (Zakroum et al. 2022, VIII-B, and its reference 14)."""

from __future__ import annotations

import warnings

import numpy as np
from numpy.typing import NDArray
from sklearn.feature_selection import RFE
from sklearn.linear_model import LinearRegression
from statsmodels.tsa.api import VAR
from statsmodels.tsa.ar_model import ar_select_order

from portkin_training.rates.models.linear import Linear
from portkin_training.rates.models.task import Floats, Task

MOST_LAGS = 24


def most_lags(bins: int, features: int, most: int = MOST_LAGS) -> int:
    """The largest order that leaves at least five bins per coefficient of an equation, at least 1."""
    return max(1, min(most, bins // (5 * features + 5)))


def fit_fixed(task: Task, most: int = MOST_LAGS) -> Linear:
    """A VAR over the target and its features, order by AIC, fitted once: "VAR Rank." and "VAR Clust.".

    Features that never vary are left out. The target's equation is a weighted sum of lags, so it ships; where no lag
    is informative, its order is 0 and it is the mean.
    """
    fit = task.filled[: task.split.fit]
    varied = np.flatnonzero(fit.std(axis=0) > 1e-9)
    if 0 not in varied:
        return Linear(np.zeros((1, fit.shape[1]), dtype=np.float64), float(fit[:, 0].mean()))
    coefficients, constant = _var(fit[:, varied], most_lags(len(fit), len(varied), most))
    # A window has at least one bin.
    weights = np.zeros((max(1, len(coefficients)), fit.shape[1]), dtype=np.float64)
    weights[: len(coefficients), varied] = coefficients[::-1]
    return Linear(weights, constant)


def _var(data: Floats, most: int) -> tuple[Floats, float]:
    """Coefficients of the first series' equation (order, k), latest lag first, and its constant; the order may be 0."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        if data.shape[1] == 1:  # statsmodels' VAR wants two series; of one it is an autoregression
            alone = ar_select_order(data[:, 0], most, ic="aic").model.fit()
            return alone.params[1:, None], float(alone.params[0])
        try:
            found = VAR(data).fit(maxlags=most, ic="aic")
        except (np.linalg.LinAlgError, ValueError):  # singular, or constant within an order's part of the bins
            return _first_order(data)
    return found.coefs[:, 0, :], float(found.intercept[0])


def _first_order(data: Floats) -> tuple[Floats, float]:
    """The first series' equation of order 1 by least squares, the shortest of several solutions: (1, k), constant."""
    design = np.column_stack([np.ones(len(data) - 1), data[:-1]])
    solved = np.linalg.lstsq(design, data[1:, 0], rcond=None)[0]
    return solved[None, 1:], float(solved[0])


def select_features(data: Floats, most: int) -> NDArray[np.int64]:
    """Recursive feature elimination on the first lag of `data` (n, p): the target (0) and the most telling others.

    Returns their columns (m,).
    """
    if data.shape[1] <= most:
        return np.arange(data.shape[1])
    chosen = RFE(LinearRegression(), n_features_to_select=most, step=0.2).fit(data[:-1], data[1:, 0])
    others = np.setdiff1d(np.flatnonzero(chosen.support_), [0])[: most - 1]
    return np.concatenate([[0], others])


def non_stationary(task: Task, *, first: int, memory: int, every: int, features: int = 5, most: int = 8) -> Floats:
    """The non-stationary VAR of reference 14: forecasts (n,), NaN before bin `first`.

    At each bin the coefficients are refitted on the `memory` bins before it; features and order are chosen
    again every `every` bins (the paper: at each step). It is refitted as it goes, so it does not ship.
    """
    data = task.filled
    found = np.full(len(data), np.nan)
    chosen, order = np.arange(1), 1
    for t in range(first, len(data)):
        recent = data[max(0, t - memory) : t]
        if (t - first) % every == 0:
            varied = np.flatnonzero(recent.std(axis=0) > 1e-9)
            candidates = np.concatenate([[0], np.setdiff1d(varied, [0])]).astype(np.int64)
            chosen = candidates[select_features(recent[:, candidates], features)]
            order = _order(recent[:, chosen], most_lags(len(recent), len(chosen), most))
        found[t] = _one_step(recent[:, chosen], order)
    return np.where(np.isnan(found), np.nan, task.scaling.rate(found))


def _order(data: Floats, most: int) -> int:
    """The order with the least AIC, 0 where no lag is informative."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            if data.shape[1] == 1:
                return max(ar_select_order(data[:, 0], most, ic="aic").ar_lags or (0,))
            return int(VAR(data).select_order(most).aic)
        except (np.linalg.LinAlgError, ValueError):  # singular, or constant within an order's part of the bins
            return 1


def _one_step(data: Floats, order: int) -> float:
    """The target's next value by the least-squares equation of a VAR of this order; of order 0, the mean."""
    n = len(data) - order
    lagged = [data[order - lag - 1 : order - lag - 1 + n] for lag in range(order)]
    design = np.column_stack([np.ones(n), *lagged])
    coefficients = np.linalg.lstsq(design, data[order:, 0], rcond=None)[0]
    return float(np.concatenate([[1.0], data[::-1][:order].reshape(-1)]) @ coefficients)
