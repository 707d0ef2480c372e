"""The alarms that a bundle's models raise over a series, as the sidecar would have raised them."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from portkin.bundles.forecast import Forecaster
from portkin.net.ports import Port
from portkin.timeseries.bins import label, next_start
from portkin_training.rates.models.task import Floats
from portkin_training.rates.series.rate_series import Rates


@dataclass(frozen=True)
class Alarm:
    """A bin of a port with an anomaly (E above its threshold), a warning of the next bin (W above its), or both.

    Rates are probes per bin; NaN where unknown. `bin` and `next_bin` as `portkin.timeseries.bins.label` writes them.
    """

    port: Port
    bin: str
    observed: float
    forecast: float
    e: float
    threshold_e: float
    anomaly: bool
    next_bin: str
    next_forecast: float
    next_trend: float
    w: float
    threshold_w: float
    warning: bool

    def sentences(self) -> Iterator[str]:
        """The anomaly and the warning, each in a line, with what is forecast of the bin after it."""
        ahead = f"forecast {self.next_forecast:.1f}, trend {max(self.next_trend, 0.0):.1f}, W {self.w:.2f}"
        if self.anomaly:
            line = (
                f"{self.bin} {self.port} anomaly: observed {self.observed:.0f}, forecast {self.forecast:.1f}, "
                f"E {self.e:.2f} above {self.threshold_e:.2f}"
            )
            yield line if self.warning or math.isnan(self.w) else f"{line}; {self.next_bin}: {ahead}"
        if self.warning:
            yield f"{self.bin} {self.port} warning of {self.next_bin}: {ahead} above {self.threshold_w:.2f}"


@dataclass(frozen=True)
class Scores:
    """What a bundle's models say of a series of n bins: `forecast` (n + 1, targets) in probes per bin, the last of
    which is of the bin after it; `e`, `w` and the thresholds in force (n, targets), W of the bin after each.
    """

    forecast: Floats
    e: Floats
    w: Floats
    limits_e: Floats
    limits_w: Floats


def scores_of(models: Forecaster, rates: Rates) -> Scores:
    """Every bin scored, by thresholds that follow the bins after training."""
    scored = models.score_all(rates.ports, rates.counts)
    return Scores(*scored, *models.thresholds_all(rates.starts, rates.ports, rates.counts, scored))


def alarms_of(models: Forecaster, rates: Rates, scores: Scores) -> list[Alarm]:
    """All alarms, port by port."""
    forecast, e, w, limits_e, limits_w = scores.forecast, scores.e, scores.w, scores.limits_e, scores.limits_w
    trend = models.trends(rates.ports, rates.counts)
    starts = [*map(int, rates.starts), next_start(int(rates.starts[-1]), rates.width, rates.tz)]
    names = [label(start, rates.width, rates.tz) for start in starts]
    over_e, over_w = e > limits_e, w > limits_w
    return [
        Alarm(
            port=model.port,
            bin=names[t],
            observed=float(rates.counts[t, rates.column(model.port)]),
            forecast=float(forecast[t, number]),
            e=float(e[t, number]),
            threshold_e=float(limits_e[t, number]),
            anomaly=bool(over_e[t, number]),
            next_bin=names[t + 1],
            next_forecast=float(forecast[t + 1, number]),
            next_trend=float(trend[t, number]),
            w=float(w[t, number]),
            threshold_w=float(limits_w[t, number]),
            warning=bool(over_w[t, number]),
        )
        for number, model in enumerate(models.models)
        for t in np.flatnonzero(over_e[:, number] | over_w[:, number])
    ]
