"""The indicators of probing rates and their forecasts (Zakroum et al. 2022, VII).

They divide by a forecast. Where that is near zero the printed equations raise a false alarm at the first probe, so
there are two guards, both off at 0: `floor` is the least rate that is divided by, and an excess within `sigmas`
standard deviations of Poisson counting noise around that rate counts as none.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from portkin.timeseries.scaling import Floats
from portkin.timeseries.windows import windows

FLOOR = 1.0
"""Probes per bin below which a forecast is not divided by: one."""
SIGMAS = 3.0
"""Deviations of counting noise that an excess must exceed."""
TREND = 7
"""Bins that the linear trend of W is fitted to (Fig. 6)."""


def excess(value: Floats, base: Floats, floor: float, sigmas: float) -> Floats:
    """max(0, (value - base) / base), with the guards above, for arrays of one shape; NaN where one is unknown."""
    least = np.maximum(base, floor)
    with np.errstate(divide="ignore", invalid="ignore"):
        ratio = np.where(value > base, (value - base) / least, 0.0)
        noise = value - base <= sigmas * np.sqrt(np.maximum(least, 0.0))
    found = np.where((sigmas > 0) & noise, 0.0, ratio)
    return np.where(np.isnan(value) | np.isnan(base), np.nan, found)


def prediction_error(observed: Floats, forecast: Floats, *, floor: float = FLOOR, sigmas: float = SIGMAS) -> Floats:
    """Equation 20: E_t = max(0, (X_t - X^_t) / X^_t), the observed rate above its forecast.

    Rates per bin, and E, all of one shape.

    With `floor=0, sigmas=0` as printed: infinite where something was observed and nothing forecast.

    >>> prediction_error(np.array([30.0, 12.0]), np.array([10.0, 10.0])).tolist()  # 2 is within 3 sqrt(10)
    [2.0, 0.0]
    >>> prediction_error(np.array([12.0]), np.array([10.0]), floor=0, sigmas=0).tolist()
    [0.2]
    """
    return excess(observed, forecast, floor, sigmas)


def early_warning(forecast: Floats, trend: Floats, *, floor: float = FLOOR, sigmas: float = SIGMAS) -> Floats:
    """Equation 21: W_t = max(0, (X^_t+1 - L_t+1) / L_t+1), the forecast above the linear trend.

    Rates per bin, and W, all of one shape.

    The trend of falling rates may be negative; it is taken as 0 then, which the printed equation leaves open.

    >>> early_warning(np.array([30.0]), np.array([10.0])).tolist()
    [2.0]
    """
    return excess(forecast, np.maximum(trend, 0.0), floor, sigmas)


def least_excess(base: Floats, *, floor: float = FLOOR, sigmas: float = SIGMAS) -> Floats:
    """The excess over rates (...,) that is as large as counting noise may be: E is zero or larger than this.

    >>> least_excess(np.array([0.0, 9.0])).tolist()  # 3 sqrt(1) of 1, and 3 sqrt(9) of 9
    [3.0, 1.0]
    """
    found: Floats = sigmas / np.sqrt(np.maximum(np.maximum(base, floor), np.finfo(float).tiny))
    return found


@dataclass(frozen=True, eq=False)
class Indicators:
    """What is said of a bin of each port, (p,), or of every bin of series, (n, p); NaN where unknown.

    `e` is of the bin and `w`, given at its close, of the next one. `least` is what E is above, where it is not zero.
    """

    e: Floats
    w: Floats
    least: Floats

    @classmethod
    def of(
        cls, observed: Floats, forecast: Floats, ahead: Floats, trend: Floats, *, floor: float, sigmas: float
    ) -> Indicators:
        """Of the observed rates and their forecast, and of the forecast and the trend of the next bin; all of one
        shape."""
        return cls(
            prediction_error(observed, forecast, floor=floor, sigmas=sigmas),
            early_warning(ahead, trend, floor=floor, sigmas=sigmas),
            least_excess(forecast, floor=floor, sigmas=sigmas),
        )

    def at(self, index: Any) -> Indicators:
        """What numpy takes of each array by this index: one bin of series, or some."""
        return Indicators(self.e[index], self.w[index], self.least[index])

    def where(self, kept: NDArray[np.bool_]) -> Indicators:
        """The same, unknown where `kept`, of the same shape, is false."""
        return Indicators(np.where(kept, self.e, np.nan), np.where(kept, self.w, np.nan), self.least)


def moving_average_excess(observed: Floats, m: int, *, floor: float = 0.0) -> Floats:
    """Equation 22: A_t, the observed rate (n,) above the mean of the m latest bins, itself included.

    The first m - 1 bins, and those with an unknown bin among their m, are NaN.

    >>> moving_average_excess(np.array([1.0, 1.0, 4.0]), 3).tolist()  # the mean is 2
    [nan, nan, 1.0]
    """
    mean = np.full(len(observed), np.nan)
    if len(observed) >= m:
        mean[m - 1 :] = windows(observed[:, None], m)[:, :, 0].mean(axis=1)
    return excess(observed, mean, floor, 0.0)


def linear_trend(history: Floats) -> Floats:
    """L_t+1 of equation 21: the line through the latest bins (..., m), oldest first, one step ahead: (...,).

    Least squares over the known bins; NaN where fewer than two are known.

    >>> round(float(linear_trend(np.array([1.0, np.nan, 3.0]))), 6)
    4.0
    """
    m = history.shape[-1]
    known = ~np.isnan(history)
    x = np.where(known, np.arange(m, dtype=float), 0.0)
    y = np.where(known, history, 0.0)
    number = known.sum(axis=-1)
    with np.errstate(divide="ignore", invalid="ignore"):
        mean_x, mean_y = x.sum(axis=-1) / number, y.sum(axis=-1) / number
        spread = (known * (x - mean_x[..., None]) ** 2).sum(axis=-1)
        slope = (known * (x - mean_x[..., None]) * (y - mean_y[..., None])).sum(axis=-1) / spread
        ahead = mean_y + slope * (m - mean_x)
    return np.where(number >= 2, ahead, np.nan)
