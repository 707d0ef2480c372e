"""The thresholds of alarms, and what warnings are worth."""

from __future__ import annotations

import numpy as np
import pytest

from portkin.bundles.forecast_models import Rules
from portkin.timeseries.bins import HOUR
from portkin.timeseries.calibration import LEAST, MONTH, MOST
from portkin_training.rates import calibrate
from portkin_training.rates.warnings_worth import Worth, counted, high_bins, worth


def test_first_threshold_is_the_conformal_order_statistic():
    """Of 99 values and alpha = 1 %: number ceil(100 * 0.99) = 99, the largest; at 5 % number 95. Too few: the
    largest; none: infinite; and never below the least."""
    values = np.random.default_rng(0).permutation(np.arange(1.0, 100))
    assert (99, 95) == (calibrate.first_threshold(values, 0.01), calibrate.first_threshold(values, 0.05))
    assert 9 == calibrate.first_threshold(np.arange(10.0), 0.001)
    assert np.inf == calibrate.first_threshold(np.array([np.nan]), 0.01)
    assert np.inf == calibrate.first_threshold(values, 0.0)
    assert LEAST == calibrate.first_threshold(np.zeros(50), 0.01)


def test_order_statistic_is_exceeded_at_the_stated_rate():
    """The chance that one more value exceeds it is at most alpha: over 4,000 draws of 60 values at 5 %, within three
    deviations, sqrt(0.05 * 0.95 / 4000) = 0.0034 each; (60 + 1) 0.95 = 57.95, so 3 of 61 ranks are above."""
    rng = np.random.default_rng(1)
    values = rng.exponential(10, (4000, 61)) + 1
    over = np.mean([row[60] > calibrate.first_threshold(row[:60], 0.05) for row in values])
    assert abs(over - 3 / 61) < 3 * 0.0034


def test_alarms_are_shared_and_w_raises_none_unless_it_predicts():
    """Rates without memory: W predicts nothing, and E has the whole budget. Where the forecast knows every peak, W
    has its half, though the line through the bins after a peak falls below zero, and W warns of nothing there."""
    rng = np.random.default_rng(4)
    rules = Rules(HOUR, "UTC", trend=3)
    noise = rng.poisson(20, 3000).astype(float)
    plain = calibrate.calibrate(noise, np.full(3000, 20.0), rules, 2.0)
    assert (2.0, 0.0, np.inf) == (plain.alarms_e, plain.alarms_w, plain.threshold_w)
    assert not plain.worth.earned
    peaks = noise.copy()
    at = np.arange(40, 3000, 60)
    peaks[at] = 400
    known = np.full(3000, 20.0)
    known[at] = 400
    told = calibrate.calibrate(peaks, known, rules, 2.0)
    # 25 peaks in the later half; nearly all are warned of, and some bins after them are warned of in vain
    assert told.worth.earned and 20 <= told.worth.hits <= 25 < told.worth.warnings
    assert (1.0, 1.0) == (told.alarms_e, told.alarms_w) and np.isfinite(told.threshold_w)


def test_interval_of_the_worth_of_warnings():
    """0 of 63 warnings, where 5 % are followed by chance: at most 1 - 0.025^(1/63) = 5.7 %; and nothing is earned."""
    found = counted(63, 0, 1000, 50)
    assert (0.05, 0.0) == (found.chance, found.low)
    assert 1 - 0.025 ** (1 / 63) == pytest.approx(found.high)
    assert not found.earned
    assert not Worth(5, 5, 0.05, 0.4, 1.0).earned  # five are too few to say anything


def test_bin_after_a_high_one_is_not_predicted():
    """High bins: above the quantile of those before. A warning in a high bin is left out, as are unknown ones."""
    observed = np.array([1.0] * 20 + [9, 9, 1, 1, 9])
    high = high_bins(observed, 720)
    assert [20, 21, 24] == np.flatnonzero(high).tolist()
    warned = np.ones(25, dtype=bool)
    found = worth(warned, high, ~np.isnan(observed), 10)
    # of bins 10 to 23, 20 and 21 are high; 12 are judged, and 19 and 23 are followed by a high one
    assert (12, 2) == (found.warnings, found.hits)


def test_level_of_bursts_is_that_of_the_usual_excess():
    """One bin in a hundred exceeds the usual excess of 2: a burst is above 3^1.8 - 1 = 6.2247. Where nothing is ever
    exceeded, or known, 0.1 is usual: 1.1^1.8 - 1 = 0.1872. What ships is that of all bins with a forecast, what is left
    out of the first threshold that of their first half. Where nobody probes, counting noise alone allows an E of 3, and
    there is no level."""
    raw = np.concatenate([np.full(990, 0.5), np.full(11, 2.0), [np.nan]])
    assert 3**1.8 - 1 == pytest.approx(calibrate.burst_level(raw))
    assert [1.1**1.8 - 1] * 2 == pytest.approx([calibrate.burst_level(each) for each in (raw * 0, raw[-1:])])
    observed = np.full(2000, 100.0)
    observed[::50] = np.where(np.arange(40) < 20, 200, 300)  # an excess of 1, then of 2, in two bins of a hundred
    observed[25] = 700  # 6, above 2^1.8 - 1 = 2.4822
    found = calibrate.calibrate(observed, np.full(2000, 100.0), Rules(HOUR, "UTC"), 1.0)
    assert 1 == found.bursts
    assert 3**1.8 - 1 == pytest.approx(found.burst_e)
    quiet = calibrate.calibrate(np.zeros(2000), np.zeros(2000), Rules(HOUR, "UTC"), 1.0)
    assert (3.0, MOST) == (quiet.least_e, quiet.burst_e)


def test_alarms_of_the_later_half_are_at_the_stated_rate():
    """Errors whose spread doubles halfway: 30 ports, an alarm per 100 hours; within 1.5 times, pooled."""
    rng = np.random.default_rng(6)
    raised = stated = 0.0
    for _ in range(30):
        spread = np.where(np.arange(2000) < 1000, 0.3, 0.6)
        observed = np.round(200 * np.exp(rng.normal(0, spread)))
        found = calibrate.calibrate(observed, np.full(2000, 200.0), Rules(HOUR, "UTC"), MONTH / HOUR / 100)
        raised, stated = raised + found.raised, stated + found.stated
    assert stated == pytest.approx(30 * 10)
    assert 1 / 1.5 < raised / stated < 1.5
