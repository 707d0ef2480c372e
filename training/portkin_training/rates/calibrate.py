"""When an indicator is an alarm: thresholds from forecasts of bins that nothing was fitted on, for a stated number."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from portkin.bundles.forecast_models import Rules
from portkin.timeseries.calibration import (
    LEAST,
    LEAST_USUAL,
    MONTH,
    USUAL,
    Thresholds,
    bursts,
    followed_all,
    share,
)
from portkin.timeseries.indicators import early_warning, linear_trend, prediction_error
from portkin.timeseries.windows import windows
from portkin_training.rates.models.task import Floats
from portkin_training.rates.warnings_worth import Worth, high_bins, worth

WARNINGS = 10.0
"""W is judged at so many times the stated rate, so that there are warnings enough to judge."""


@dataclass(frozen=True)
class Calibrated:
    """One port's alarms: thresholds when training ended, how many alarms per 30 days they are followed for, and on
    what that rests.

    `bins` were forecast without having been fitted on, `bursts` of their first half left out of the first threshold;
    `raised` alarms came in the later half, where `stated` were to come.
    """

    threshold_e: float
    threshold_w: float
    usual: float
    alarms_e: float
    alarms_w: float
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


def indicators(observed: Floats, forecast: Floats, rules: Rules) -> tuple[Floats, Floats]:
    """E and W (n,) of one port as the sidecar computes them: W of row t is about bin t + 1, unknown in the last row."""
    trend = np.full(len(observed), np.nan)
    if len(observed) >= rules.trend:
        trend[rules.trend - 1 :] = linear_trend(windows(observed[:, None], rules.trend)[:, :, 0])
    ahead = np.append(forecast[1:], np.nan)
    return (
        prediction_error(observed, forecast, floor=rules.floor, sigmas=rules.sigmas),
        early_warning(ahead, trend, floor=rules.floor, sigmas=rules.sigmas),
    )


def raw_excess(observed: Floats, forecast: Floats, rules: Rules) -> Floats:
    """E without its guard against counting noise (n,)."""
    return prediction_error(observed, forecast, floor=rules.floor, sigmas=0.0)


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
    e, w = indicators(observed, forecast, rules)
    raw = raw_excess(observed, forecast, rules)
    if abnormal is not None:
        e, w, raw = (np.where(abnormal, np.nan, values) for values in (e, w, raw))
    judged = np.flatnonzero(~np.isnan(e))
    half = int(judged[len(judged) // 2]) if len(judged) else len(e)
    later = np.arange(len(e)) >= half
    told = warning_worth(observed, w, half, alarms_per_month, rules)
    split = (alarms_per_month / 2, alarms_per_month / 2) if told.earned else (alarms_per_month, 0.0)
    alphas = share(np.array(split), rules.width)
    known = raw[:half][~np.isnan(raw[:half])]
    usual = max(LEAST_USUAL, float(np.quantile(known, 1 - USUAL))) if len(known) else LEAST_USUAL
    burst = bursts(raw[:half], np.array(usual))
    first = Thresholds(
        np.array([first_threshold(np.where(burst, np.nan, e[:half]), float(alphas[0]))]),
        np.array([first_threshold(w[:half], float(alphas[1])) if told.earned else np.inf]),
        np.array([usual]),
    )
    limits_e, limits_w, last = followed_all(first, e[:, None], w[:, None], raw[:, None], alphas[:1], alphas[1:], later)
    raised = ((e > limits_e[:, 0]) & later).sum() + ((w > limits_w[:, 0]) & later).sum()
    return Calibrated(
        float(last.e[0]),
        float(last.w[0]),
        float(last.usual[0]),
        split[0],
        split[1],
        len(judged),
        int(burst.sum()),
        int(raised),
        float((~np.isnan(e) & later).sum()) * alarms_per_month * rules.width / MONTH,
        told,
    )


def warning_worth(observed: Floats, w: Floats, half: int, alarms_per_month: float, rules: Rules) -> Worth:
    """Whether W (n,) predicts high bins of the observed rates (n,) from bin `half` on; its threshold follows it.

    At `WARNINGS` times the stated rate, at most one bin in ten.
    """
    alpha = np.minimum(share(np.array([alarms_per_month * WARNINGS]), rules.width), 0.1)
    nothing = np.full((len(w), 1), np.nan)
    first = Thresholds(np.array([np.inf]), np.array([first_threshold(w[:half], float(alpha[0]))]), np.array([1.0]))
    _, limits, _ = followed_all(first, nothing, w[:, None], nothing, np.zeros(1), alpha, np.ones(len(w), dtype=bool))
    known = ~np.isnan(observed)
    return worth(w > limits[:, 0], high_bins(observed, MONTH // rules.width), known, half)


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
