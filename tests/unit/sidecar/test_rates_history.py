"""What is kept of closed bins for display."""

from __future__ import annotations

from dataclasses import dataclass

import pytest

from portkin.errors import StorageError
from portkin.net.ports import Port
from portkin.rates.history import KEPT, Alarm, RatesListing
from portkin.rates.store import Closing, RateStore
from portkin.timeseries.bins import HOUR

HTTP, DNS = Port(80, "tcp"), Port(53, "udp")
NAN, INF = float("nan"), float("inf")


@dataclass
class Scored:
    port: Port
    observed: float
    forecast: float = 10.0
    e: float = 0.0
    ahead: float = 11.0
    w: float = 0.0


def alarm(raised: float, port: Port = HTTP, value: float = 2.0) -> Alarm:
    return Alarm(raised, "anomaly", port, HOUR, 30.0, 10.0, value, 1.0, "m")


@pytest.fixture
def store(tmp_path):
    """The latest four bins of two ports."""
    made = RateStore(tmp_path / "rates.sqlite", width=HOUR, tz="UTC", ports=(HTTP, DNS), bins=4, closing=Closing())
    yield made
    made.close()


@pytest.fixture
def listing(store):
    opened = RatesListing(store.path)
    yield opened
    opened.close()


def test_the_latest_bin_and_the_series_of_a_port(store, listing):
    """Every port at the latest bin; of one port its bins, the earliest first; what is unknown or infinite is None."""
    store.keep_scores(HOUR, [Scored(HTTP, 5.0), Scored(DNS, NAN)], [])
    store.keep_scores(2 * HOUR, [Scored(HTTP, 6.0, e=INF), Scored(DNS, 1.0)], [])
    assert {(HTTP, 6.0, None), (DNS, 1.0, 0.0)} == {(row.port, row.observed, row.e) for row in listing.latest()}
    assert [(HOUR, None), (2 * HOUR, 1.0)] == [(row.start, row.observed) for row in listing.series(DNS, 10)]
    assert [2 * HOUR] == [row.start for row in listing.series(HTTP, 1)]
    assert HOUR == listing.width()


def test_a_bin_that_is_scored_again_is_one_row(store, listing):
    """The later score counts."""
    store.keep_scores(HOUR, [Scored(HTTP, 5.0)], [])
    store.keep_scores(HOUR, [Scored(HTTP, 7.0)], [])
    assert [7.0] == [row.observed for row in listing.series(HTTP, 10)]


def test_scores_of_old_bins_are_deleted(store, listing):
    """As many bins are kept as of the counts: the four before the latest."""
    for bin_ in range(1, 11):
        store.keep_scores(bin_ * HOUR, [Scored(HTTP, float(bin_))], [])
    assert [6.0, 7.0, 8.0, 9.0, 10.0] == [row.observed for row in listing.series(HTTP, 100)]


def test_alarms_are_listed_by_when_they_were_raised_and_kept_a_week(store, listing):
    """The latest first, those since a time; the first after a week deletes the older ones."""
    store.keep_scores(HOUR, [], [alarm(1000.0), alarm(1000.0, DNS)])
    store.keep_scores(HOUR, [], [alarm(5000.0, value=INF)])
    assert [(5000.0, HTTP, None), (1000.0, DNS, 2.0), (1000.0, HTTP, 2.0)] == [
        (found.raised, found.port, found.value) for found in listing.alarms(0.0, 10)
    ]
    assert [5000.0] == [found.raised for found in listing.alarms(1000.5, 10)]
    store.keep_scores(HOUR, [], [alarm(1000.0 + KEPT + 1.0)])
    assert [1000.0 + KEPT + 1.0, 5000.0] == [found.raised for found in listing.alarms(0.0, 10)]


def test_a_change_is_seen(store, listing):
    """The version is another one after a write, and the same without."""
    before = listing.version()
    assert before == listing.version()
    store.keep_scores(HOUR, [Scored(HTTP, 5.0)], [])
    assert before != listing.version()


def test_another_programs_file_is_refused(tmp_path):
    """By its mark."""
    path = tmp_path / "other"
    path.write_bytes(b"something else")
    with pytest.raises(StorageError, match="not a rates database"):
        RatesListing(path)
