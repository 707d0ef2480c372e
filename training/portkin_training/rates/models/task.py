"""One forecasting task: the counts of a target and its features, cut in time, and how forecasts are judged.

Time is cut in three: everything is fitted on the first part, models are chosen on the second, and figures are
reported on the third, the last quarter (Zakroum et al. 2022, III: 75 % / 25 %). What is reported is what
ships.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Protocol

import numpy as np
from numpy.typing import NDArray
from sklearn.model_selection import TimeSeriesSplit

from portkin.timeseries.bins import DAY
from portkin.timeseries.scaling import Scaling
from portkin.timeseries.windows import model_input, predicted_rates, usable, windows

Floats = NDArray[np.floating]
TEST = 0.25
CHOOSE = 0.1
"""Share of the bins before the test that models are chosen on."""
FOLDS = 7
FEWEST = 20
"""Samples that anything can be fitted to."""


class Unfit(ValueError):
    """Too little of a series is known to fit a model to it. The message says how little."""


class Predictor(Protocol):
    """A fitted model of scaled windows: what evaluation runs and export writes."""

    @property
    def length(self) -> int:
        """Bins per window."""

    def predict(self, window: NDArray[np.float32]) -> Floats:
        """The scaled rate of the bin after each scaled window: (w, length, f) -> (w,)."""


@dataclass(frozen=True)
class Split:
    """Bins [0, fit) are fitted on, [fit, choose) chosen on, [choose, end) reported."""

    fit: int
    choose: int
    end: int

    @classmethod
    def of(cls, bins: int) -> Split:
        """The cut of series of so many bins; ValueError where there are too few."""
        choose = round(bins * (1 - TEST))
        fit = round(choose * (1 - CHOOSE))
        if fit < 30:
            raise ValueError(f"{bins} bins are too few to fit, choose and test on: at least 45 are needed")
        return cls(fit, choose, bins)


@dataclass(frozen=True, eq=False)
class Task:
    """Counts (n, f), the target first, NaN where unknown; bins of `width` seconds.

    With `logarithm`, models read and forecast log(1 + count), scaled.
    """

    counts: Floats
    width: int
    split: Split
    logarithm: bool = False

    @property
    def target(self) -> Floats:
        """The observed rates of the target: (n,)."""
        return self.counts[:, 0]

    @property
    def season(self) -> int:
        """Bins after which rates repeat: a day of hours, a week of days."""
        return season_of(self.width)

    @cached_property
    def scaling(self) -> Scaling:
        """Fitted on the first part only."""
        return Scaling.fit(self.counts[: self.split.fit], logarithm=self.logarithm)

    @cached_property
    def usual(self) -> float:
        """The target's mean count in the first part."""
        return float(Scaling.fit(self.counts[: self.split.fit, :1]).mean[0])

    @cached_property
    def filled(self) -> Floats:
        """The scaled counts with gaps filled forward, for models that read whole series instead of
        windows: (n, f)."""
        scaled: Floats = model_input(self.counts[None], self.scaling)[0].astype(np.float64)
        return scaled

    def samples(self, length: int, first: int, last: int) -> tuple[NDArray[np.float32], Floats, NDArray[np.int64]]:
        """Scaled windows (w, length, f), the scaled bin after each (w,), and that bin's index (w,).

        Only bins in [first, last) that are known and whose window is usable.
        """
        at = np.arange(max(first, length), last)
        window = windows(self.counts, length)[at - length]
        kept = usable(window, 0) & ~np.isnan(self.target[at])
        at = at[kept]
        return model_input(window[kept], self.scaling), self.scaling.apply(self.counts[at])[:, 0], at

    def fitted(self, length: int) -> tuple[NDArray[np.float32], Floats]:
        """Scaled windows (w, length, f) and the bins after them (w,) of the part that models are fitted on.

        Raises Unfit where they are too few.
        """
        window, y, _ = self.samples(length, 0, self.split.fit)
        if len(y) < FEWEST:
            raise Unfit(f"{len(y)} known bins come after {length} bins of which half are known; {FEWEST} are needed")
        return window, y

    def forecasts(self, model: Predictor) -> Floats:
        """The model's forecast of every bin from the bins before it: (n,), in counts, NaN where it has none.

        The same function as the sidecar's, `portkin.timeseries.windows.forecast`.
        """
        found = np.full(len(self.counts), np.nan)
        found[model.length :] = predicted_rates(windows(self.counts[:-1], model.length), self.scaling, model.predict)
        return found


def folds(samples: int, number: int = FOLDS) -> Iterator[tuple[NDArray[np.int64], NDArray[np.int64]]]:
    """Cross-validation that respects time: fold k is judged by what was fitted on all samples before it.

    Yields the indices of the samples to fit and of those to judge, (a,) and (b,).
    """
    yield from TimeSeriesSplit(min(number, max(2, samples // 10))).split(np.empty(samples))


def r2(observed: Floats, forecast: Floats) -> float:
    """The coefficient of determination, 1 - sum of squared errors / sum of squares about the mean; both (n,)."""
    about = float(((observed - observed.mean()) ** 2).sum())
    return 1 - float(((observed - forecast) ** 2).sum()) / about if about > 0 else float("nan")


def mae(observed: Floats, forecast: Floats) -> float:
    """The mean absolute error; both (n,), in counts."""
    return float(np.abs(observed - forecast).mean())


def season_of(width: int) -> int:
    """Bins after which rates repeat: a day of hours, a week of days."""
    return 7 if width >= DAY else DAY // width


def seasonal_error(observed: Floats, season: int) -> float:
    """The mean absolute error of the seasonal naive forecast within `observed` (n,); NaN where nothing is known."""
    errors = np.abs(observed[season:] - observed[:-season]) if len(observed) > season else np.empty(0)
    return float(np.nanmean(errors)) if (~np.isnan(errors)).any() else float("nan")


@dataclass(frozen=True)
class ForecastScores:
    """How good forecasts are: R2, MAE, MASE (MAE over the in-sample seasonal naive's) and skill (1 - MAE /
    the seasonal naive's MAE on the same bins); `bins` were judged, of which the model had to pass on
    `passed`."""

    r2: float
    mae: float
    mase: float
    skill: float
    bins: int
    passed: int


def judge(task: Task, forecast: Floats, first: int, last: int) -> ForecastScores:
    """Judge forecasts (n,) on the known bins of [first, last).

    A bin without a forecast is judged with the mean of the fitted part: passing must not pay.
    """
    y = task.target
    season = task.season
    naive = np.concatenate([np.full(season, np.nan), y[:-season]])
    naive = np.where(np.isnan(naive), task.usual, naive)
    at = np.arange(first, last)
    at = at[~np.isnan(y[at])]
    passed = np.isnan(forecast[at])
    given = np.where(passed, task.usual, forecast[at])
    inside = np.arange(season, task.split.fit)
    inside = inside[~np.isnan(y[inside])]
    scale = mae(y[inside], naive[inside])
    error, reference = mae(y[at], given), mae(y[at], naive[at])
    return ForecastScores(
        r2(y[at], given),
        error,
        error / scale if scale > 0 else float("nan"),
        1 - error / reference if reference > 0 else float("nan"),
        len(at),
        int(passed.sum()),
    )
