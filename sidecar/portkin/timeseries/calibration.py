"""Thresholds of E and W that go on being calibrated while rates drift: shared by training and the live service.

A threshold is a quantile that is tracked online (Gibbs and Candes 2021, adaptive conformal inference; Angelopoulos,
Candes and Tibshirani 2023, conformal PID control, quantile tracking): every alarm raises it a little, every other bin
lowers it by so much less that alarms come at the stated rate, whatever the rates do. Steps are in the logarithm of the
threshold, so they fit every scale. Over T bins the number of alarms differs from alpha T by at most one and the steps
from the least to the largest threshold.

Steps are short above the level from which a port's excess is called a burst: bursts differ in size, and one of 50 times
the expected says nothing about whether the next one, of 4 times, matters. With long steps it would be missed.

What is counted are alarms that begin: one that goes on from the bin before is the same alarm. Were each of its bins
counted, a burst of several hours would raise the threshold beyond the next one.

E is zero or above what counting noise may do. At a port whose rates are so small that this is far above the threshold
in nearly all bins, alarms raise the threshold from there: below it, it decides nothing, and every step is lost.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from portkin.timeseries.indicators import Indicators
from portkin.timeseries.scaling import Floats

MONTH = 30 * 86_400
"""Seconds for which a rate of alarms is stated."""
STEP = 0.3
"""How much an alarm raises the logarithm of its threshold."""
BURST_STEP = 0.1
"""The same where the threshold is above the level of bursts."""
LEAST = 0.5
"""The least threshold: half as much again as forecast. Nobody wants to be paged for less, however regular rates are."""
MOST = 1e6
"""The largest threshold; as a level of bursts, none."""


@dataclass(frozen=True, eq=False)
class Thresholds:
    """What E and W of each port must exceed to be alarms, and whether they did in the bin before: (p,) each."""

    e: Floats
    w: Floats
    over_e: NDArray[np.bool_]
    over_w: NDArray[np.bool_]

    @classmethod
    def of(cls, e: Floats, w: Floats) -> Thresholds:
        """Where no alarm is on; (p,) both."""
        return cls(e, w, np.zeros(len(e), dtype=bool), np.zeros(len(w), dtype=bool))


@dataclass(frozen=True, eq=False)
class Stated:
    """What thresholds are followed for: (p,) each.

    `e` and `w` are the shares of bins in which alarms may begin; `least` is what E is above, where it is not zero, in
    nearly all bins of the port; an E above `burst` is a burst.
    """

    e: Floats
    w: Floats
    least: Floats
    burst: Floats

    @classmethod
    def warnings(cls, w: Floats) -> Stated:
        """For W alone: (p,)."""
        return cls(np.zeros(len(w)), w, np.zeros(len(w)), np.full(len(w), MOST))


def share(alarms: Floats, width: int) -> Floats:
    """The share of bins of `width` seconds in which alarms may begin, of numbers of alarms per 30 days; both (p,)."""
    return np.asarray(alarms, dtype=np.float64) * width / MONTH


def begun(over: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Where alarms begin, of the bins (n, ...) of which each is above its threshold or not."""
    found = over.copy()
    found[1:] &= ~over[:-1]
    return found


def followed(before: Thresholds, found: Indicators, stated: Stated) -> Thresholds:
    """The thresholds after a bin, of those in force in it; all (p,).

    An unknown indicator (NaN), an infinite threshold and a share of 0 leave a threshold as it is.
    """
    return Thresholds(
        _moved(before.e, before.over_e, found.e, stated.e, np.fmin(found.least, stated.least), stated.burst),
        _moved(before.w, before.over_w, found.w, stated.w, LEAST, MOST),
        found.e > before.e,
        found.w > before.w,
    )


def _moved(
    threshold: Floats,
    on: NDArray[np.bool_],
    indicator: Floats,
    alpha: Floats,
    least: Floats | float,
    burst: Floats | float,
) -> Floats:
    if not alpha.any():  # as W of most ports
        return threshold
    begins = (indicator > threshold) & ~on
    level = np.clip(burst, LEAST, MOST)
    with np.errstate(invalid="ignore", over="ignore"):
        effective = np.where(begins, np.maximum(threshold, least), threshold)
        away = np.log(effective / level)
        steps = away / np.where(away < 0, STEP, BURST_STEP) + begins - alpha  # from the level, short ones above it
        moved = np.clip(level * np.exp(steps * np.where(steps < 0, STEP, BURST_STEP)), LEAST, MOST)
    moves = ~np.isnan(indicator) & np.isfinite(threshold) & (alpha > 0)
    found: Floats = np.where(moves, moved, threshold)
    return found


def followed_all(
    first: Thresholds, found: Indicators, stated: Stated, moves: NDArray[np.bool_]
) -> tuple[Floats, Floats, Thresholds]:
    """The thresholds of E and W in force at each bin (n, p), as `followed` bin by bin; and those after the last.

    `found` are series (n, p); `first` is in force at the first bin; bins where `moves` (n,) is false change nothing.
    """
    limits_e, limits_w, now = np.empty(found.e.shape), np.empty(found.w.shape), first
    for t in range(len(found.e)):
        limits_e[t], limits_w[t] = now.e, now.w
        if moves[t]:
            now = followed(now, found.at(t), stated)
    return limits_e, limits_w, now
