"""Thresholds of E and W that go on being calibrated while rates drift: shared by training and the live service.

A threshold is a quantile that is tracked online (Gibbs and Candes 2021, adaptive conformal inference; Angelopoulos,
Candes and Tibshirani 2023, conformal PID control, quantile tracking): every alarm raises it a little, every other bin
lowers it by so much less that alarms come at the stated rate, whatever the rates do. Steps are in the logarithm of the
threshold, so they fit every scale. Over T bins the number of alarms differs from alpha T by at most
log(largest / least threshold) / STEP, and by what bursts count less.

A burst is no news about normal rates: counted in full, a few would raise the threshold of E beyond the next one. So an
excess far above the usual ones, those that one bin in a hundred exceeds, counts for less. That usual excess is tracked
in the same way.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from portkin.timeseries.scaling import Floats

MONTH = 30 * 86_400
"""Seconds for which a rate of alarms is stated."""
STEP = 0.5
"""How much an alarm raises the logarithm of its threshold."""
USUAL = 0.01
"""The share of bins whose excess is above the usual one."""
USUAL_STEP = 0.1
"""How much such a bin raises the logarithm of log(1 + the usual excess)."""
BURST = 1.8
"""A bin is a burst whose log(1 + excess) is so many times that of the usual excess: under a normal distribution of
logarithms 4.2 deviations, more than any bin of a century of hours; under an exponential one, a bin in four thousand."""
BURST_WEIGHT = 0.5
"""What a burst counts towards the threshold of E, of an ordinary alarm. Above 0: a burst that stays is a new normal."""
LEAST = 0.5
"""The least threshold: half as much again as forecast. Nobody wants to be paged for less, however regular rates are."""
LEAST_USUAL = 0.1
MOST = 1e6


@dataclass(frozen=True, eq=False)
class Thresholds:
    """What E and W of each port must exceed to be alarms, and the usual excess below that of bursts: (p,) each."""

    e: Floats
    w: Floats
    usual: Floats


def share(alarms: Floats, width: int) -> Floats:
    """The share of bins of `width` seconds that may be alarms, of numbers of alarms per 30 days; both (p,)."""
    return np.asarray(alarms, dtype=np.float64) * width / MONTH


def bursts(raw: Floats, usual: Floats) -> NDArray[np.bool_]:
    """Which excesses, E without its guard against counting noise, are bursts beside the usual one; shapes alike."""
    with np.errstate(invalid="ignore"):
        found: NDArray[np.bool_] = np.log1p(raw) > BURST * np.log1p(usual)
    return found


def followed(before: Thresholds, e: Floats, w: Floats, raw: Floats, alpha_e: Floats, alpha_w: Floats) -> Thresholds:
    """The thresholds after a bin, of those in force in it; all (p,).

    `raw` is E without its guard; `alpha_e` and `alpha_w` are the shares of bins that may be alarms. An unknown
    indicator (NaN), an infinite threshold and a share of 0 change nothing.
    """
    weight = np.where(bursts(raw, before.usual), BURST_WEIGHT, 1.0)
    with np.errstate(invalid="ignore", over="ignore"):
        larger = (raw > before.usual) - USUAL
        usual = np.expm1(np.maximum(np.log1p(before.usual) * np.exp(USUAL_STEP * larger), np.log1p(LEAST_USUAL)))
    return Thresholds(
        _moved(before.e, e, alpha_e, weight),
        _moved(before.w, w, alpha_w, np.ones(len(w))),
        np.where(np.isnan(raw), before.usual, usual),
    )


def _moved(threshold: Floats, indicator: Floats, alpha: Floats, weight: Floats) -> Floats:
    with np.errstate(invalid="ignore", over="ignore"):
        moved = np.clip(threshold * np.exp(STEP * (weight * (indicator > threshold) - alpha)), LEAST, MOST)
    moves = ~np.isnan(indicator) & np.isfinite(threshold) & (alpha > 0)
    found: Floats = np.where(moves, moved, threshold)
    return found


def followed_all(
    first: Thresholds,
    e: Floats,
    w: Floats,
    raw: Floats,
    alpha_e: Floats,
    alpha_w: Floats,
    moves: NDArray[np.bool_],
) -> tuple[Floats, Floats, Thresholds]:
    """The thresholds of E and W in force at each bin (n, p), as `followed` bin by bin; and those after the last.

    `e`, `w` and `raw` (n, p); `first` is in force at the first bin; bins where `moves` (n,) is false change nothing.
    """
    limits_e, limits_w, now = np.empty(e.shape), np.empty(w.shape), first
    for t in range(len(e)):
        limits_e[t], limits_w[t] = now.e, now.w
        if moves[t]:
            now = followed(now, e[t], w[t], raw[t], alpha_e, alpha_w)
    return limits_e, limits_w, now
