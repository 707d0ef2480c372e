"""Thresholds that follow the rates."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from portkin.timeseries.bins import DAY, HOUR
from portkin.timeseries.calibration import (
    BURST,
    BURST_WEIGHT,
    LEAST,
    STEP,
    Thresholds,
    bursts,
    followed,
    followed_all,
    share,
)

NAN = float("nan")


def thresholds(e: float, w: float = 1.0, usual: float = 1.0) -> Thresholds:
    return Thresholds(np.array([e]), np.array([w]), np.array([usual]))


def after(before: Thresholds, e: float, w: float = 0.0, raw: float | None = None, alpha: float = 0.01) -> Thresholds:
    one = np.array([alpha])
    return followed(before, np.array([e]), np.array([w]), np.array([e if raw is None else raw]), one, one)


def test_share_of_bins_is_that_of_thirty_days():
    """One alarm in 720 hours, or in 30 days."""
    np.testing.assert_allclose([1 / 720], share(np.array([1.0]), HOUR))
    np.testing.assert_allclose([1 / 30], share(np.array([1.0]), DAY))


def test_alarm_raises_its_threshold_and_quiet_bins_lower_it():
    """By exp(STEP (1 - alpha)) and exp(-STEP alpha): 99 quiet bins undo one alarm at alpha = 1 %."""
    now = after(thresholds(2.0, 1.0, 50.0), 2.5)
    np.testing.assert_allclose(2 * np.exp(STEP * 0.99), now.e)
    for _ in range(99):
        now = after(now, 0.0)
    np.testing.assert_allclose(2.0, now.e)


def test_burst_counts_less_and_unknown_bins_nothing():
    """log(1 + 50) is more than 1.8 times log(1 + 1): a burst. NaN, infinity and a share of 0 leave all as it is."""
    assert np.log1p(50) > BURST * np.log1p(1)
    np.testing.assert_allclose(2 * np.exp(STEP * (BURST_WEIGHT - 0.01)), after(thresholds(2.0), 50.0).e)
    same = after(thresholds(2.0), NAN, NAN)
    assert (2.0, 1.0, 1.0) == (same.e[0], same.w[0], same.usual[0])
    assert np.inf == after(thresholds(np.inf), 5.0).e[0]
    assert 2.0 == after(thresholds(2.0), 5.0, alpha=0.0).e[0]
    assert [False, True] == bursts(np.array([NAN, 50.0]), np.array([1.0, 1.0])).tolist()


def test_threshold_does_not_fall_below_the_least():
    """However long nothing happens."""
    now = thresholds(0.6)
    for _ in range(1000):
        now = after(now, 0.0)
    assert LEAST == now.e[0]


@settings(max_examples=8, deadline=None)
@given(st.integers(0, 10_000), st.floats(0.2, 2.0), st.floats(-0.01, 0.01))
def test_alarms_come_at_the_stated_rate_on_any_drift(seed, spread, drift):
    """Whatever the excess does: |alarms - alpha T| <= log(largest / least threshold) / STEP + 1, as every alarm that is
    no burst raises the logarithm by STEP (1 - alpha) and every bin lowers it by STEP alpha, down to the least."""
    rng = np.random.default_rng(seed)
    e = np.exp(rng.normal(1, spread, 500) + drift * np.arange(500))[:, None]
    alpha = np.array([1 / 50])
    nothing = np.zeros(e.shape)
    limits, _, last = followed_all(thresholds(5.0, 1.0, 1e6), e, nothing, nothing, alpha, alpha, np.ones(500, bool))
    most = np.log(np.append(limits[:, 0], last.e).max() / LEAST) / STEP + 1
    assert (e > limits).sum() - 500 / 50 <= most
    if limits.min() > LEAST:
        np.testing.assert_allclose(np.log(last.e / 5.0), STEP * ((e > limits).sum() - 500 / 50), atol=1e-6)


def test_all_at_once_is_bin_by_bin_and_stands_still_where_told():
    """The thresholds in force at each bin, and those after the last."""
    rng = np.random.default_rng(0)
    e, w = rng.exponential(1, (50, 1)), rng.exponential(1, (50, 1))
    moves = np.arange(50) >= 10
    alpha = np.array([0.05])
    limits_e, limits_w, last = followed_all(thresholds(2.0, 3.0), e, w, e, alpha, alpha, moves)
    now = thresholds(2.0, 3.0)
    for t in range(50):
        assert (now.e[0], now.w[0]) == (limits_e[t, 0], limits_w[t, 0])
        if t >= 10:
            now = followed(now, e[t], w[t], e[t], alpha, alpha)
    assert (now.e[0], now.w[0], now.usual[0]) == pytest.approx((last.e[0], last.w[0], last.usual[0]))
