"""When an indicator is an alarm: thresholds from forecasts of bins that nothing was fitted on, for a stated number."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from portkin.bundles.forecast_models import Rules
from portkin.timeseries.calibration import LEAST, MONTH, MOST, Stated, Thresholds, begun, followed_all, share
from portkin.timeseries.indicators import Indicators, linear_trend, prediction_error
from portkin.timeseries.windows import windows
from portkin_training.rates.models.task import Floats
from portkin_training.rates.warnings_worth import Worth, high_bins, worth

WARNINGS = 10.0
"""W is judged at so many times the stated rate, so that there are warnings enough to judge."""
USUAL = 0.01
"""The share of bins whose excess is above the usual one."""
LEAST_USUAL = 0.1
BURST = 1.8
"""A bin is a burst whose log(1 + excess) is so many times that of the usual excess: under a normal distribution of
logarithms 4.2 deviations, more than any bin of a century of hours; under an exponential one, a bin in four thousand."""
NEARLY = 0.95
"""The share of bins that are nearly all of them."""
COLUMN = (slice(None), None)
"""Index that makes a series (n,) one of several, (n, 1)."""


@dataclass(frozen=True)
class Calibrated:
    """One port's alarms: thresholds when training ended, how many alarms per 30 days they are followed for, and on
    what that rests.

    `bins` were forecast without having been fitted on, `bursts` of their first half left out of the first threshold;
    `raised` alarms began in the later half, where `stated` were to begin.
    """

    threshold_e: float
    threshold_w: float
    alarms_e: float
    alarms_w: float
    least_e: float
    burst_e: float
    bins: int
    bursts: int
    raised: int
    stated: float
    worth: Worth

    @property
    def least(self) -> bool:
        """Whether the threshold of E is the least there is, which raises fewer alarms than stated."""
        return self.threshold_e <= LEAST

    def about(self) -> dict[str, Any]:
        """For the manifest."""
        return {
            "e_per_30_days": self.alarms_e,
            "w_per_30_days": self.alarms_w,
            "bins": self.bins,
            "bursts_left_out": self.bursts,
            "raised_in_later_half": self.raised,
            "stated_for_later_half": self.stated,
            "least_threshold": self.least,
            "warnings": self.worth.about(),
        }


def indicators(observed: Floats, forecast: Floats, rules: Rules) -> Indicators:
    """What the sidecar computes of one port's bins (n,): W of row t is about bin t + 1, unknown in the last row."""
    trend = np.full(len(observed), np.nan)
    if len(observed) >= rules.trend:
        trend[rules.trend - 1 :] = linear_trend(windows(observed[:, None], rules.trend)[:, :, 0])
    ahead = np.append(forecast[1:], np.nan)
    return Indicators.of(observed, forecast, ahead, trend, floor=rules.floor, sigmas=rules.sigmas)


def calibrate(
    observed: Floats,
    forecast: Floats,
    rules: Rules,
    alarms_per_month: float,
    abnormal: NDArray[np.bool_] | None = None,
) -> Calibrated:
    """Thresholds of one port from forecasts (n,) of bins that their models were not fitted on, NaN elsewhere.

    The first half of them gives the first thresholds, which then follow the second half as they do live. E and W share
    the alarms; W gets its half only where its warnings are followed by high bins more often than chance has it.
    """
    found = indicators(observed, forecast, rules)
    if abnormal is not None:
        found = found.where(~abnormal)
    e, w = found.e, found.w
    judged = np.flatnonzero(~np.isnan(e))
    half = int(judged[len(judged) // 2]) if len(judged) else len(e)
    later = np.arange(len(e)) >= half
    told = warning_worth(observed, found, half, alarms_per_month, rules)
    split = (alarms_per_month / 2, alarms_per_month / 2) if told.earned else (alarms_per_month, 0.0)
    alphas = share(np.array(split), rules.width)
    raw = np.where(np.isnan(e), np.nan, prediction_error(observed, forecast, floor=rules.floor, sigmas=0.0))
    burst = raw[:half] > burst_level(raw[:half])
    stated = Stated(*alphas[:, None], *np.array(_port_stated(found.at(slice(half)), raw[:half]))[:, None])
    first = Thresholds.of(
        np.array([first_threshold(np.where(burst, np.nan, e[:half]), float(alphas[0]))]),
        np.array([first_threshold(w[:half], float(alphas[1])) if told.earned else np.inf]),
    )
    limits_e, limits_w, last = followed_all(first, found.at(COLUMN), stated, later)
    raised = sum((begun(over) & later).sum() for over in (e > limits_e[:, 0], w > limits_w[:, 0]))
    return Calibrated(
        float(last.e[0]),
        float(last.w[0]),
        split[0],
        split[1],
        *_port_stated(found, raw),
        len(judged),
        int(burst.sum()),
        int(raised),
        float((~np.isnan(e) & later).sum()) * alarms_per_month * rules.width / MONTH,
        told,
    )


def warning_worth(observed: Floats, found: Indicators, half: int, alarms_per_month: float, rules: Rules) -> Worth:
    """Whether W (n,) predicts high bins of the observed rates (n,) from bin `half` on; its threshold follows it.

    At `WARNINGS` times the stated rate, at most one bin in ten.
    """
    alpha = np.minimum(share(np.array([alarms_per_month * WARNINGS]), rules.width), 0.1)
    first = Thresholds.of(np.array([np.inf]), np.array([first_threshold(found.w[:half], float(alpha[0]))]))
    _, limits, _ = followed_all(first, found.at(COLUMN), Stated.warnings(alpha), np.ones(len(observed), dtype=bool))
    known = ~np.isnan(observed)
    return worth(found.w > limits[:, 0], high_bins(observed, MONTH // rules.width), known, half)


def _usual_least(found: Indicators) -> float:
    """What E (n,), where it is not zero, is above in `NEARLY` all bins that have a forecast; 0 without any."""
    known = found.least[~np.isnan(found.least)]
    return float(np.quantile(known, 1 - NEARLY)) if len(known) else 0.0


def _port_stated(found: Indicators, raw: Floats) -> tuple[float, float]:
    """`least` and `burst` of `Stated` for one port: (n,) both.

    Where counting noise is above the level of bursts, as at a port that nobody probes, there is none: all alarms would
    be bursts, and were the port to come alive, its threshold would rise too slowly.
    """
    least, level = _usual_least(found), burst_level(raw)
    return least, level if level > least else MOST


def burst_level(raw: Floats) -> float:
    """The excess that is a burst beside the usual ones (n,), E without its guard against counting noise.

    >>> round(burst_level(np.full(100, 1.0)), 2)  # 2 to the power of 1.8, less one
    2.48
    """
    known = raw[~np.isnan(raw)]
    usual = max(LEAST_USUAL, float(np.quantile(known, 1 - USUAL))) if len(known) else LEAST_USUAL
    return float(np.expm1(BURST * np.log1p(usual)))


def first_threshold(indicator: Floats, alpha: float) -> float:
    """The value that a share `alpha` of bins exceeds, at least `LEAST`.

    `indicator` (n,): E or W of bins that were not fitted on, NaN where unknown. It is the order statistic number
    ceil((n + 1) (1 - alpha)) of n, so that a new bin exceeds it with a chance of at most alpha (split conformal
    prediction; Vovk et al. 2005, Lei et al. 2018). Where n is too small for that, it is the largest. Infinite where
    nothing is known, or no alarm is to be raised.
    """
    known = np.sort(indicator[~np.isnan(indicator)])
    if not len(known) or alpha <= 0:
        return float("inf")
    place = int(np.ceil((len(known) + 1) * (1 - alpha)))
    return max(LEAST, float(known[min(place, len(known)) - 1]))


@dataclass(frozen=True)
class Detection:
    """How alarms met planted anomalies: an anomaly is found by an alarm in any of its bins."""

    planted: int
    found: int
    false_alarms: int
    port_months: float

    @property
    def recall(self) -> float:
        """Share of the planted anomalies that were found; NaN where none was planted."""
        return self.found / self.planted if self.planted else float("nan")

    @property
    def false_per_port_month(self) -> float:
        """False alarms per port and 30 days."""
        return self.false_alarms / self.port_months


def detection(
    alarms: NDArray[np.bool_], planted: NDArray[np.bool_], watched: NDArray[np.bool_], width: int
) -> Detection:
    """Alarms (n, p) against planted anomalies (n, p), on the bins that were `watched` (n, p).

    Successive planted bins of a port are one anomaly. The bin after an anomaly counts neither way: a forecast that
    has just seen a burst is off.
    """
    after = np.zeros_like(planted)
    after[1:] = planted[:-1]
    begins = planted & ~after
    found = 0
    for column in range(planted.shape[1]):
        label = np.cumsum(begins[:, column])
        inside = planted[:, column] & watched[:, column]
        found += len(np.unique(label[inside & alarms[:, column]]))
    number = sum(
        len(np.unique(np.cumsum(begins[:, c])[planted[:, c] & watched[:, c]])) for c in range(planted.shape[1])
    )
    normal = watched & ~planted & ~after
    months = float(normal.sum()) * width / MONTH
    return Detection(number, found, int((alarms & normal).sum()), months)
