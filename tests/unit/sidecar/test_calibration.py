"""Thresholds that follow the rates."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from portkin.timeseries.bins import DAY, HOUR
from portkin.timeseries.calibration import (
    BURST_STEP,
    LEAST,
    MOST,
    STEP,
    Stated,
    Thresholds,
    begun,
    followed,
    followed_all,
    share,
)
from portkin.timeseries.indicators import Indicators

NAN = float("nan")


def thresholds(e: float, w: float = 1.0) -> Thresholds:
    return Thresholds.of(np.array([e]), np.array([w]))


def said(e, w, least: float = 0.0) -> Indicators:
    """Arrays of one shape."""
    e = np.asarray(e, dtype=float)
    return Indicators(e, np.asarray(w, dtype=float), np.full(e.shape, least))


def stated(alpha: float, least: float = 0.0, burst: float = MOST) -> Stated:
    return Stated(*np.array([[alpha], [alpha], [least], [burst]]))


def after(
    before: Thresholds, e: float, w: float = 0.0, least: float = 0.0, alpha: float = 0.01, burst: float = MOST
) -> Thresholds:
    return followed(before, said([e], [w], least=least), stated(alpha, 3.0, burst))


def test_share_of_bins_is_that_of_thirty_days():
    """One alarm in 720 hours, or in 30 days."""
    np.testing.assert_allclose([1 / 720], share(np.array([1.0]), HOUR))
    np.testing.assert_allclose([1 / 30], share(np.array([1.0]), DAY))


def test_alarm_raises_its_threshold_and_quiet_bins_lower_it():
    """By exp(STEP (1 - alpha)) and exp(-STEP alpha): 99 quiet bins undo one alarm at alpha = 1 %."""
    now = after(thresholds(2.0), 2.5)
    np.testing.assert_allclose(2 * np.exp(STEP * 0.99), now.e)
    for _ in range(99):
        now = after(now, 0.0)
    np.testing.assert_allclose(2.0, now.e)


def test_alarm_that_goes_on_is_the_same_alarm():
    """A burst of three bins raises the threshold once; after a bin below it, or one that is unknown, the next one is
    another alarm. E and W are told apart."""
    now = after(thresholds(2.0), 50.0)
    assert (True, False) == (now.over_e[0], now.over_w[0])
    for e in (60.0, 40.0):
        now = after(now, e)
    np.testing.assert_allclose(2 * np.exp(STEP * (1 - 3 * 0.01)), now.e)
    for quiet, bins in ((0.0, 5), (NAN, 4)):
        np.testing.assert_allclose(2 * np.exp(STEP * (2 - bins * 0.01)), after(after(now, quiet), 50.0).e)
    np.testing.assert_allclose(np.exp(STEP * (1 - 4 * 0.01)), after(now, 50.0, 9.0).w)
    over = np.array([[True, False], [True, True], [False, True], [True, False]])
    assert [[True, False], [False, True], [False, False], [True, False]] == begun(over).tolist()


def test_unknown_bins_infinite_thresholds_and_a_share_of_nothing_change_nothing():
    """NaN, infinity and 0."""
    same = after(thresholds(2.0), NAN, NAN)
    assert (2.0, 1.0) == (same.e[0], same.w[0])
    assert np.inf == after(thresholds(np.inf), 5.0).e[0]
    assert 2.0 == after(thresholds(2.0), 5.0, alpha=0.0).e[0]


def test_threshold_that_counting_noise_is_above_rises_from_there():
    """Where nothing is ever forecast, E is 0 or above 3: from a threshold of 0.5, one alarm reaches
    3 exp(STEP (1 - alpha)), instead of six that raise it where it decides nothing. Not so once there are forecasts
    whose noise is less, nor for a single bin with more of it than the port has in nearly all bins."""
    np.testing.assert_allclose(3 * np.exp(STEP * 0.99), after(thresholds(0.5), 4.0, least=3.0).e)
    np.testing.assert_allclose(0.9 * np.exp(STEP * 0.99), after(thresholds(0.5), 4.0, least=0.9).e)
    np.testing.assert_allclose(3 * np.exp(STEP * 0.99), after(thresholds(0.5), 99.0, least=30.0).e)
    np.testing.assert_allclose(2 * np.exp(-STEP * 0.01), after(thresholds(2.0), 0.0, least=3.0).e)
    np.testing.assert_allclose(0.5 * np.exp(STEP * 0.99), after(thresholds(5.0, 0.5), 0.0, 4.0, least=3.0).w)


def test_steps_are_short_above_the_level_of_bursts():
    """Where an E above 5 is a burst: from 10 by a third of a step both ways. From 4.5, log(5 / 4.5) = 0.1054 to the
    level takes 0.3512 of a step, and what is left of 0.99 is short: 5 exp(0.1 * 0.6388) = 5.3298. Falling, half of the
    0.01 of a quiet bin brings 5 exp(0.0005) to the level, the other half 5 below it by 0.3 * 0.005. Quiet bins undo an
    alarm."""
    np.testing.assert_allclose(10 * np.exp(BURST_STEP * 0.99), after(thresholds(10.0), 99.0, burst=5.0).e)
    np.testing.assert_allclose(10 * np.exp(-BURST_STEP * 0.01), after(thresholds(10.0), 0.0, burst=5.0).e)
    np.testing.assert_allclose(2 * np.exp(STEP * 0.99), after(thresholds(2.0), 99.0, burst=5.0).e)
    now = after(thresholds(4.5), 99.0, burst=5.0)
    np.testing.assert_allclose(5.3298, now.e, rtol=1e-4)
    np.testing.assert_allclose(5 * np.exp(-0.0015), after(thresholds(5 * np.exp(0.0005)), 0.0, burst=5.0).e)
    for _ in range(99):
        now = after(now, 0.0, burst=5.0)
    np.testing.assert_allclose(4.5, now.e)


def test_level_of_bursts_is_of_e_alone_and_within_the_thresholds():
    """W has long steps everywhere; a level below the least threshold is the least, so that all steps of E are short.
    An alarm that counting noise lifts above the level has short ones from there."""
    np.testing.assert_allclose(9 * np.exp(STEP * 0.99), after(thresholds(10.0, 9.0), 0.0, 50.0, burst=5.0).w)
    np.testing.assert_allclose(0.5 * np.exp(BURST_STEP * 0.99), after(thresholds(0.5), 4.0, burst=0.0).e)
    np.testing.assert_allclose(3 * np.exp(BURST_STEP * 0.99), after(thresholds(0.5), 4.0, least=3.0, burst=2.0).e)


def test_threshold_does_not_fall_below_the_least():
    """However long nothing happens."""
    now = thresholds(0.6)
    for _ in range(1000):
        now = after(now, 0.0)
    assert LEAST == now.e[0]


@settings(max_examples=8, deadline=None)
@given(st.integers(0, 10_000), st.floats(0.2, 2.0), st.floats(-0.01, 0.01), st.sampled_from([0.5, 4.0, 20.0, MOST]))
def test_alarms_begin_at_the_stated_rate_on_any_drift(seed, spread, drift, burst):
    """Whatever the excess does: |alarms - alpha T| <= the steps from the least to the largest threshold + 1, as every
    alarm that begins raises it by 1 - alpha steps and every other bin lowers it by alpha, down to the least. A step is
    `STEP` of the logarithm up to the level of bursts, `BURST_STEP` above it."""

    def steps(threshold) -> float:
        threshold = float(np.asarray(threshold).item())
        return np.log(min(threshold, burst) / LEAST) / STEP + np.log(max(threshold, burst) / burst) / BURST_STEP

    rng = np.random.default_rng(seed)
    e = np.exp(rng.normal(1, spread, 500) + drift * np.arange(500))[:, None]
    found = said(e, np.zeros(e.shape))
    limits, _, last = followed_all(thresholds(5.0), found, stated(1 / 50, burst=burst), np.ones(500, bool))
    alarms = begun(e > limits).sum()
    assert alarms - 500 / 50 <= steps(np.append(limits[:, 0], last.e).max()) + 1
    if limits.min() > LEAST:
        np.testing.assert_allclose(steps(last.e) - steps(5.0), alarms - 500 / 50, atol=1e-6)


def test_all_at_once_is_bin_by_bin_and_stands_still_where_told():
    """The thresholds in force at each bin, and those after the last."""
    rng = np.random.default_rng(0)
    e, w = rng.exponential(1, (50, 1)), rng.exponential(1, (50, 1))
    moves = np.arange(50) >= 10
    limits_e, limits_w, last = followed_all(thresholds(2.0, 3.0), said(e, w), stated(0.05), moves)
    now = thresholds(2.0, 3.0)
    for t in range(50):
        assert (now.e[0], now.w[0]) == (limits_e[t, 0], limits_w[t, 0])
        if t >= 10:
            now = followed(now, said(e[t], w[t]), stated(0.05))
    assert (now.e[0], now.w[0]) == pytest.approx((last.e[0], last.w[0]))
    assert (now.over_e[0], now.over_w[0]) == (last.over_e[0], last.over_w[0])
