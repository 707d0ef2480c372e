"""A shipped bundle on bins that came after its training: nothing is fitted, everything is as the sidecar has it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.stats import chi2

from portkin.bundles.forecast import Forecaster
from portkin.errors import InputError
from portkin.net.ports import Port
from portkin.timeseries.bins import label
from portkin.timeseries.calibration import MONTH, begun
from portkin_training.rates.calibrate import warning_worth
from portkin_training.rates.models.task import Floats, mae, r2, season_of, seasonal_error
from portkin_training.rates.series.rate_series import Rates
from portkin_training.rates.warnings_worth import Worth, pooled

LEVEL = 0.95
"""Of the intervals of counts."""


@dataclass(frozen=True)
class Alarms:
    """How many alarms began, how many were stated, and what counting noise leaves open about their ratio.

    An alarm may go on: there are `bins` in which an indicator was above its threshold.
    """

    raised: int
    bins: int
    stated: float

    @classmethod
    def of(cls, over: NDArray[np.bool_], stated: float) -> Alarms:
        """From the bins (n,) of which each is above its threshold or not."""
        return cls(int(begun(over).sum()), int(over.sum()), stated)

    @classmethod
    def sum_of(cls, parts: Sequence[Alarms]) -> Alarms:
        """Of several indicators or ports together."""
        return cls(*(sum(getattr(part, name) for part in parts) for name in ("raised", "bins", "stated")))

    @property
    def ratio(self) -> float:
        """Raised alarms per stated one; NaN where none was stated."""
        return self.raised / self.stated if self.stated else float("nan")

    @property
    def interval(self) -> tuple[float, float]:
        """The exact interval of the ratio, for a Poisson count (Garwood 1936)."""
        if not self.stated:
            return float("nan"), float("nan")
        tail = (1 - LEVEL) / 2
        low = float(chi2.ppf(tail, 2 * self.raised)) / 2 if self.raised else 0.0
        return low / self.stated, float(chi2.ppf(1 - tail, 2 * self.raised + 2)) / 2 / self.stated

    def about(self) -> dict[str, Any]:
        """For programs."""
        return {
            "raised": self.raised,
            "bins": self.bins,
            "stated": self.stated,
            "ratio": self.ratio,
            "interval": list(self.interval),
        }


@dataclass(frozen=True)
class PortScores:
    """One port's figures on the new bins that are known and have a forecast; `passed` known ones have none, as the
    model reads so many bins before each as `reads` says.

    `naive` and `last` are the mean absolute errors of the seasonal naive forecast and of the last value on the same
    bins; MASE is over the former's error before the new bins, NaN where the series does not reach back. A `silent`
    port had no probe in these bins: no E could begin an alarm there, so none is stated.
    """

    port: Port
    model: str
    bins: int
    passed: int
    reads: int
    silent: bool
    mae: float
    naive: float
    last: float
    mase: float
    r2: float
    anomalies: Alarms
    warnings: Alarms
    worth: Worth

    @property
    def skill(self) -> float:
        """1 - MAE / that of the seasonal naive forecast."""
        return 1 - self.mae / self.naive if self.naive else float("nan")

    @property
    def alarms(self) -> Alarms:
        """E and W together."""
        return Alarms.sum_of([self.anomalies, self.warnings])

    def about(self) -> dict[str, Any]:
        """For programs."""
        figures = ("bins", "passed", "silent", "mae", "mase", "r2", "skill")
        return {
            "model": self.model,
            **{name: getattr(self, name) for name in figures},
            "mae_seasonal_naive": self.naive,
            "mae_last_value": self.last,
            "alarms": self.alarms.about(),
            "anomalies": self.anomalies.about(),
            "warnings": self.warnings.about(),
            "warnings_worth": self.worth.about(),
        }


def score(models: Forecaster, rates: Rates) -> list[PortScores]:
    """Each target's figures on the bins of `rates` after those that the models were trained on.

    Bins before them, where the series has them, are history. InputError where there is no new bin.
    """
    new = rates.starts > models.rules.until
    if not new.any():
        trained = label(models.rules.until, rates.width, rates.tz)
        raise InputError(
            f"no bin after {trained}, the last that these models were trained on; give a series that goes on"
        )
    scored = models.score_all(rates.ports, rates.counts)
    forecast, e, w = scored
    told = models.indicators(rates.ports, rates.counts, forecast)
    limits = models.thresholds_all(rates.starts, rates.ports, rates.counts, scored)
    first = int(np.argmax(new))
    found = []
    for number, model in enumerate(models.models):
        own = (slice(None), number)
        observed = rates.counts[:, rates.column(model.port)]
        known = new & ~np.isnan(observed)
        rows = np.flatnonzero(known & ~np.isnan(forecast[:-1, number]))
        season = season_of(rates.width)
        naive, last = (_shifted(observed, lag) for lag in (season, 1))
        scale = seasonal_error(observed[:first], season)
        month = rates.width / MONTH
        judged_w = new & ~np.isnan(w[:, number])
        error = mae(observed[rows], forecast[rows, number]) if len(rows) else float("nan")
        silent = bool(len(rows)) and not observed[rows].any()
        scored_e = 0 if silent else len(rows)
        found.append(
            PortScores(
                model.port,
                model.kind,
                len(rows),
                int(known.sum()) - len(rows),
                model.length,
                silent,
                error,
                _mae(observed, naive, rows),
                _mae(observed, last, rows),
                error / scale if scale > 0 else float("nan"),
                r2(observed[rows], forecast[rows, number]) if len(rows) else float("nan"),
                Alarms.of(
                    (e[:, number] > limits[0][:, number]) & new,
                    scored_e * _stated(model.alarms_e, model.threshold_e) * month,
                ),
                Alarms.of(
                    (w[:, number] > limits[1][:, number]) & new,
                    int(judged_w.sum()) * _stated(model.alarms_w, model.threshold_w) * month,
                ),
                warning_worth(observed, told.at(own), first, model.alarms_e + model.alarms_w, models.rules),
            )
        )
    return found


def pool(found: Sequence[PortScores]) -> dict[str, Any]:
    """All ports together: errors weigh by bins, alarms are added."""
    judged = [one for one in found if one.bins]
    bins = sum(one.bins for one in judged)

    def mean(name: str) -> float:
        values = [getattr(one, name) for one in judged]
        return sum(value * one.bins for value, one in zip(values, judged, strict=True)) / bins if bins else float("nan")

    naive = mean("naive")
    alarms, anomalies, warnings = (
        Alarms.sum_of([getattr(one, name) for one in found]) for name in ("alarms", "anomalies", "warnings")
    )
    return {
        "bins": bins,
        "mae": mean("mae"),
        "mae_seasonal_naive": naive,
        "mae_last_value": mean("last"),
        "skill": 1 - mean("mae") / naive if naive else float("nan"),
        "mase": _mean([one.mase for one in judged]),
        "r2": _mean([one.r2 for one in judged]),
        "alarms": alarms,
        "anomalies": anomalies,
        "warnings": warnings,
        "worth": pooled([one.worth for one in found], [one.bins for one in found]),
    }


def as_json(found: Sequence[PortScores]) -> dict[str, Any]:
    """Per port and pooled, for programs."""
    together = pool(found)
    told = {key: value.about() if isinstance(value, Alarms | Worth) else value for key, value in together.items()}
    return {"ports": {str(one.port): one.about() for one in found}, "pooled": told, "interval_level": LEVEL}


def _stated(alarms: float, threshold: float) -> float:
    return alarms if np.isfinite(threshold) else 0.0


def _shifted(observed: Floats, lag: int) -> Floats:
    found = np.full(len(observed), np.nan)
    found[lag:] = observed[: max(0, len(observed) - lag)]
    return found


def _mae(observed: Floats, forecast: Floats, rows: NDArray[np.intp]) -> float:
    errors = np.abs(observed[rows] - forecast[rows])
    return float(np.nanmean(errors)) if (~np.isnan(errors)).any() else float("nan")


def _mean(values: Sequence[float]) -> float:
    known = [value for value in values if not np.isnan(value)]
    return float(np.mean(known)) if known else float("nan")
