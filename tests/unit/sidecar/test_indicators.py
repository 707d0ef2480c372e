"""The indicators: equations 20 to 22 by hand, with and without their guards."""

from __future__ import annotations

import numpy as np
import pytest

from portkin.timeseries.indicators import (
    early_warning,
    least_excess,
    linear_trend,
    moving_average_excess,
    prediction_error,
)

NAN = float("nan")


def test_equation_20():
    """(30 - 10) / 10 = 2 above the forecast, 0 below it, infinite where nothing was forecast."""
    observed, expected = np.array([30.0, 5, 1, 0]), np.array([10.0, 10, 0, 0])
    found = prediction_error(observed, expected, floor=0, sigmas=0)
    assert [2, 0, np.inf, 0] == found.tolist()


def test_floor_and_counting_noise_guard_forecasts_near_zero():
    """One probe where a tenth was forecast is no anomaly; twelve are: (12 - .1) / 1 = 11.9."""
    found = prediction_error(np.array([1.0, 12]), np.array([0.1, 0.1]), floor=1, sigmas=3)
    np.testing.assert_allclose([0, 11.9], found)
    # 115 of 100 is within 3 * sqrt(100) of counting noise, 131 is not
    assert [0, 0.31] == prediction_error(np.array([115.0, 131]), np.array([100.0, 100])).tolist()


def test_unknown_stays_unknown():
    """An unwatched bin, or one that could not be forecast, has no score."""
    found = prediction_error(np.array([NAN, 5]), np.array([1, NAN]))
    assert np.isnan(found).all()


def test_equation_21_and_its_trend():
    """The line through 1, 2, 3 is at 4 next; a forecast of 10 is (10 - 4) / 4 = 1.5 above it."""
    trend = linear_trend(np.array([1.0, 2, 3]))
    assert 4 == pytest.approx(trend)
    assert 1.5 == pytest.approx(early_warning(np.array(10.0), trend, floor=0, sigmas=0))
    assert 4 == pytest.approx(linear_trend(np.array([1.0, NAN, 3])))
    assert np.isnan(linear_trend(np.array([NAN, NAN, 3.0])))


def test_falling_trend_below_zero_counts_as_zero():
    """9, 5, 1 goes to -3: with a floor of 1 a forecast of 40 is 40 above nothing."""
    trend = linear_trend(np.array([9.0, 5, 1]))
    assert -3 == pytest.approx(trend)
    assert 40 == early_warning(np.array(40.0), trend, floor=1)


def test_equation_22():
    """The mean of the latest two includes the bin itself: 2, 6 -> mean 4, (6 - 4) / 4 = .5."""
    found = moving_average_excess(np.array([2.0, 6, 2, NAN, 4]), 2)
    np.testing.assert_array_equal([NAN, 0.5, 0, NAN, NAN], found)
    assert np.isnan(moving_average_excess(np.array([2.0]), 2)).all()


def test_indicators_are_zero_or_above_what_noise_may_do():
    """Forecasts of 0, 1, 25 and 400: counts are more than 3 sqrt(max(forecast, 1)) above them from 3, 3, 15, 60 on."""
    forecast = np.array([0.0, 1, 25, 400])
    least = least_excess(forecast)
    np.testing.assert_allclose([3, 3, 15 / 25, 60 / 400], least)
    first = forecast + np.array([3.0, 3, 15, 60])
    assert [0.0] * 4 == prediction_error(first, forecast).tolist()
    assert (prediction_error(first + 1, forecast) > least).all()
