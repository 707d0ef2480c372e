"""When an indicator is an alarm: thresholds from held-out normal bins, for a stated number of alarms."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from portkin_training.rates.models.task import Floats

MONTH = 30 * 86_400


def threshold(indicator: Floats, alarms_per_month: float, width: int) -> float:
    """The value that normal bins of one port exceed at most `alarms_per_month` times in 30 days.

    `indicator` (n,): E or W of held-out bins, NaN where unknown. Where these are fewer than a month's worth of one
    alarm, that is their maximum. Infinite where there is none to go by: a port never judged raises no alarms.
    """
    known = np.sort(indicator[~np.isnan(indicator)])[::-1]
    if not len(known):
        return float("inf")
    allowed = int(alarms_per_month * len(known) * width / MONTH)
    return float(known[allowed]) if allowed < len(known) else 0.0


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
