"""Bins, windows and scaling: what training and the live service share."""

from __future__ import annotations

from datetime import UTC, datetime

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from portkin.errors import ConfigError
from portkin.timeseries.bins import DAY, HOUR, bin_start, bin_starts, label, next_start, zone
from portkin.timeseries.scaling import Scaling
from portkin.timeseries.windows import fill, model_input, usable, windows

NAN = float("nan")


def test_hour_holds_its_first_second_and_not_the_next():
    """A bin begins at its start and ends before the next one."""
    assert [0, 0, 3600] == [bin_start(t, HOUR) for t in (0, 3599.999, 3600)]


def test_days_follow_daylight_saving():
    """A day begins at local midnight: the day the clocks go forward has 23"""
    # 2021-03-28 in Paris: midnight is 2021-03-27T23:00Z, the next one 2021-03-28T22:00Z
    starts = bin_starts(1616886000, 1616886000 + 2 * DAY, DAY, "Europe/Paris")
    assert [23 * HOUR, 24 * HOUR] == np.diff(starts).tolist()
    assert "2021-03-28" == label(int(starts[0]), DAY, "Europe/Paris")
    assert starts[1] == next_start(int(starts[0]), DAY, "Europe/Paris")


@pytest.mark.parametrize(
    ("tz", "skipped"),
    [
        ("Africa/Cairo", datetime(2024, 4, 26, 1)),
        ("America/Santiago", datetime(2024, 9, 8, 1)),
        ("Asia/Beirut", datetime(2024, 3, 31, 1)),
        ("America/Havana", datetime(2024, 3, 10, 1)),
        ("Pacific/Apia", datetime(2011, 12, 31)),  # 30 December was left out
    ],
)
def test_midnight_comes_back_after_a_day_that_began_without_one(tz, skipped):
    """The clocks went from 24:00 to 01:00: that day begins at 01:00, has 23 hours, and the next begins at midnight."""
    there = zone(tz)
    first = int(skipped.replace(tzinfo=there).timestamp())
    starts = bin_starts(first - 2 * DAY, first + 3 * DAY, DAY, tz)
    assert first in starts
    at = starts.tolist().index(first)
    assert [(0, 0)] * 2 == [
        (local.hour, local.minute) for local in (datetime.fromtimestamp(s, there) for s in starts[at + 1 : at + 3])
    ]
    assert skipped.hour == (24 * HOUR - (starts[at + 1] - first)) // HOUR
    assert starts[at + 1] == next_start(first, DAY, tz)


@settings(deadline=None, max_examples=60)
@given(
    st.sampled_from(["Africa/Cairo", "America/Santiago", "Asia/Beirut", "America/Havana", "Europe/Paris", "UTC"]),
    st.integers(1_000_000_000, 1_900_000_000),
)
def test_days_follow_one_another_in_every_zone(tz, when):
    """The bin of a time begins no later than it, the next one after it, and is its own start."""
    start = bin_start(when, DAY, tz)
    following = next_start(start, DAY, tz)
    assert start <= when < following
    assert (start, following) == (bin_start(start, DAY, tz), bin_start(following, DAY, tz))
    assert 22 * HOUR <= following - start <= 26 * HOUR


def test_width_that_does_not_divide_a_day_is_refused():
    """A bin of seven hours has no place in a day."""
    with pytest.raises(ValueError, match="25200"):
        bin_start(0, 7 * HOUR)


def test_unknown_zone_is_refused():
    """The message names it; UTC is known even without the system's zone files."""
    with pytest.raises(ConfigError, match="'Mars/Olympus' is not a time zone"):
        bin_start(0, DAY, "Mars/Olympus")
    assert UTC is zone("UTC")


def test_scaling_leaves_unknown_bins_out():
    """Mean and deviation come from the known bins; a constant feature keeps unit 1."""
    # feature 0: 1, 3 -> mean 2, std 1; feature 1: 5, 5, 5 -> mean 5, std 0 -> 1
    scaling = Scaling.fit(np.array([[1, 5], [NAN, 5], [3, 5]]))
    assert [2.0, 5.0] == scaling.mean.tolist()
    assert [1.0, 1.0] == scaling.std.tolist()


def test_scaling_of_logarithms():
    """log(1 + count) is what is scaled; a forecast comes back in counts, never negative."""
    # log(1 + 0) = 0 and log(1 + e^2 - 1) = 2 -> mean 1, std 1; scaled 0 is e - 1 probes
    counts = np.array([[0.0], [NAN], [np.exp(2) - 1]])
    scaling = Scaling.fit(counts, logarithm=True)
    np.testing.assert_allclose([1, 1, np.e - 1], [scaling.mean[0], scaling.std[0], scaling.usual[0]])
    np.testing.assert_allclose([[-1], [NAN], [1]], scaling.apply(counts))
    # scaled -1.5 is log(1 + count) = -0.5: fewer than none
    np.testing.assert_allclose([0, np.exp(2) - 1, 0], scaling.rate(np.array([-1.0, 1, -1.5])), atol=1e-12)


def test_gap_repeats_the_last_known_bin_of_its_window():
    """An unknown bin takes the last known value before it, or the given one where there is none."""
    window = np.array([[[NAN, 1], [2, NAN], [NAN, NAN], [4, 7]]])
    assert [[[9, 1], [2, 1], [2, 1], [4, 7]]] == fill(window, np.array([9, 8])).tolist()


def test_windows_are_oldest_first():
    """Windows slide by one bin and keep the order of time."""
    assert [[[0], [1]], [[1], [2]]] == windows(np.array([[0.0], [1], [2]]), 2).tolist()
    assert 0 == len(windows(np.zeros((3, 2)), 4))


def test_window_that_knows_too_little_is_not_usable():
    """More than half of the target's bins unknown: no forecast."""
    window = np.array([[[NAN, 1], [NAN, 1], [1, 1]], [[NAN, 1], [1, 1], [1, 1]]])
    assert [False, True] == usable(window, 0).tolist()
    assert [True, True] == usable(window, 1).tolist()


@settings(max_examples=30, deadline=None)
@given(
    st.lists(st.one_of(st.just(NAN), st.integers(0, 10**6).map(float)), min_size=8, max_size=30),
    st.integers(1, 6),
)
def test_window_means_the_same_wherever_it_was_cut(values, length):
    """The input of the last window of a series is the input of that window alone (no train/serve skew)."""
    counts = np.array(values)[:, None]
    scaling = Scaling.fit(counts)
    whole = model_input(windows(counts, length), scaling)
    alone = model_input(windows(counts[-length:], length), scaling)
    assert whole[-1].tobytes() == alone[0].tobytes()
    assert np.isfinite(whole).all()
