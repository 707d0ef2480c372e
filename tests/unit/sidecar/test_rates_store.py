"""The rates database: reports in, bins closed, restarts survived."""

from __future__ import annotations

import os
import sqlite3

import numpy as np
import pytest

from portkin.errors import StorageError
from portkin.net.ports import Port
from portkin.rates.closing import Closing
from portkin.rates.factory import open_store
from portkin.rates.store import RateStore
from portkin.timeseries.bins import HOUR

SSH, TELNET, OTHER = Port(22, "tcp"), Port(23, "tcp"), Port(7, "udp")
NAN = float("nan")


def window(path, ports=(SSH, TELNET), **closing) -> RateStore:
    return RateStore(path / "w.sqlite", width=HOUR, tz="UTC", ports=ports, bins=10, closing=Closing(**closing))


def watch(held: RateStore, node: str, first: float, last: float, counts=None) -> None:
    """Reports of every minute of [first, last) of a node; the counts are in the first."""
    for start in np.arange(first, last, 60.0):
        held.take(node, float(start), float(min(start + 60, last)), counts or {})
        counts = None


def test_nodes_are_summed_and_repetitions_are_not(tmp_path):
    """3 of one node and 4 of another are 7, however often each says so."""
    held = window(tmp_path)
    for _ in range(2):
        said = [held.take("w1", 0, 60, {SSH: 3}), held.take("w2", 0, 60, {SSH: 4, OTHER: 1})]
    assert ["repeated", "repeated"] == said
    watch(held, "w1", 60, HOUR)
    watch(held, "w2", 60, HOUR)
    assert 0 == held.due(HOUR)
    closed = held.close_bin(HOUR)
    assert (True, (), False) == (closed.known, closed.missed, closed.outage)
    np.testing.assert_array_equal([[7, 0]], held.counts(0, 5))


def test_a_bin_waits_for_the_missing_but_not_for_ever(tmp_path):
    """With a minute of one node missing, it closes when the grace of 120 s is over; it is known nevertheless."""
    held = window(tmp_path)
    watch(held, "w1", 0, HOUR, {SSH: 5})
    watch(held, "w2", 0, HOUR - 60)
    assert (None, None, 0) == (held.due(HOUR), held.due(HOUR + 119), held.due(HOUR + 120))
    held.take("w2", HOUR - 60, HOUR, {SSH: 1})
    assert 0 == held.due(HOUR)
    held.close_bin(HOUR)
    np.testing.assert_array_equal([[6, 0]], held.counts(0, 1))


def test_a_bin_that_a_node_hardly_watched_is_unknown(tmp_path):
    """Half an hour of one of two nodes is too little: unknown, an outage once, and known again after it."""
    held = window(tmp_path)
    said = []
    for hour in range(4):
        begin = hour * HOUR
        watch(held, "w1", begin, begin + HOUR, {SSH: 5})
        watch(held, "w2", begin, begin + (HOUR if hour in (0, 3) else HOUR / 2), {TELNET: 1})
        closed = held.close_bin(begin + HOUR + 120)
        said.append((closed.known, closed.missed, closed.outage))
    assert [(True, (), False), (False, ("w2",), True), (False, ("w2",), False), (True, (), False)] == said
    np.testing.assert_array_equal([[5, 1], [NAN, NAN], [NAN, NAN], [5, 1]], held.counts(3 * HOUR, 4))


def test_what_comes_late_makes_a_closed_bin_whole(tmp_path):
    """A closed unknown bin becomes known when the other half of it arrives; older than the window is too late."""
    held = window(tmp_path)
    watch(held, "w1", 0, 2 * HOUR, {SSH: 5})
    held.close_bin(HOUR + 120)
    watch(held, "w1", 2 * HOUR, 2.5 * HOUR, {SSH: 2})
    held.close_bin(2 * HOUR + 120)
    held.close_bin(3 * HOUR + 120)
    assert np.isnan(held.counts(2 * HOUR, 1)).all()
    watch(held, "w1", 2.5 * HOUR, 3 * HOUR, {SSH: 4})
    np.testing.assert_array_equal([[6, 0]], held.counts(2 * HOUR, 1))
    held.take("w1", 40 * HOUR, 40 * HOUR + 60, {})
    held.close_bin(41 * HOUR)
    held.close_bin(41 * HOUR)
    assert "old" == held.take("w9", 0, 60, {SSH: 1})


def test_a_bin_without_any_probe_is_unknown_unless_told_otherwise(tmp_path):
    """Reports of silence on all ports are an outage without a missed node; with absent=zero they are zeros."""
    held = window(tmp_path)
    watch(held, "w1", 0, HOUR, {OTHER: 1})
    watch(held, "w1", HOUR, 2 * HOUR)
    assert [(True, False), (False, True)] == [(c.known, c.outage) for c in (held.close_bin(9e3), held.close_bin(9e3))]
    (tmp_path / "zero").mkdir()
    held = window(tmp_path / "zero", absent="zero")
    watch(held, "w1", 0, HOUR)
    held.close_bin(HOUR)
    np.testing.assert_array_equal([[0, 0]], held.counts(0, 1))


def test_a_node_that_joins_within_a_bin_is_no_outage(tmp_path):
    """The bin in which a second worker comes is known by the first."""
    held = window(tmp_path)
    watch(held, "w1", 0, HOUR, {SSH: 1})
    held.close_bin(HOUR)
    watch(held, "w1", HOUR, 2 * HOUR, {SSH: 1})
    watch(held, "w2", 1.5 * HOUR, 2 * HOUR)
    assert held.close_bin(2 * HOUR).known


def test_a_node_that_was_taken_away_is_forgotten(tmp_path):
    """Missed for as long as it is remembered, here two hours; then the others are all there is."""
    held = window(tmp_path, memory=2 * HOUR)
    watch(held, "w1", 0, 6 * HOUR, {SSH: 1})
    watch(held, "w2", 0, HOUR)
    for hour in range(1, 6):
        held.take("w1", hour * HOUR + 0.5, hour * HOUR + 1, {SSH: 1})
    assert [True, False, False, True, True, True] == [held.close_bin(hour * HOUR + 3720).known for hour in range(6)]


def test_a_restart_changes_nothing(tmp_path):
    """Reports before and after the file was reopened make one bin; repetitions are still known."""
    held = window(tmp_path)
    watch(held, "w1", 0, HOUR / 2, {SSH: 2})
    held.close()
    held = window(tmp_path)
    assert "repeated" == held.take("w1", 0, 60, {SSH: 2})
    watch(held, "w1", HOUR / 2, HOUR, {SSH: 3})
    assert held.close_bin(HOUR).known
    np.testing.assert_array_equal([[5, 0]], held.counts(0, 1))


def test_a_port_that_new_models_read_is_unknown_before_them(tmp_path):
    """Not zero: it was not counted. A port they do not read is left out; another width empties the file."""
    held = window(tmp_path)
    watch(held, "w1", 0, HOUR, {SSH: 2, OTHER: 9})
    held.close_bin(HOUR)
    held.close()
    held = window(tmp_path, ports=(OTHER, SSH))
    watch(held, "w1", HOUR, 2 * HOUR, {SSH: 2, OTHER: 9})
    held.close_bin(2 * HOUR)
    np.testing.assert_array_equal([[NAN, 2], [9, 2]], held.counts(HOUR, 2))
    held.close()
    held = RateStore(held.path, width=86_400, tz="UTC", ports=(SSH,), bins=10, closing=Closing())
    assert (0, 1) == held.counts(0, 5).shape
    assert "bins of 3,600 s in UTC" == held.deleted
    held.close()
    held = RateStore(held.path, width=86_400, tz="UTC", ports=(SSH,), bins=10, closing=Closing())
    assert not held.deleted


def test_a_recording_fills_what_nobody_watched(tmp_path):
    """Bins before the first report come from the recording; what nodes watched stays."""
    held = window(tmp_path)
    watch(held, "w1", 2 * HOUR, 3 * HOUR, {SSH: 2})
    held.close_bin(3 * HOUR)
    starts = np.arange(4) * HOUR
    assert 1 == held.fill(starts, (TELNET, SSH), np.array([[1.0, 8], [NAN, NAN], [1, 9], [1, 9]]))
    np.testing.assert_array_equal([[8, 1], [NAN, NAN], [2, 0]], held.counts(2 * HOUR, 9))
    with pytest.raises(ValueError, match="23/tcp"):
        held.fill(starts, (SSH,), np.ones((4, 1)))


def test_a_recording_that_ends_early_leaves_a_new_port_unknown(tmp_path):
    """New models read 8/tcp from hour 4 on. A recording of hours 0 and 1 says nothing of it in 2 and 3, where nodes
    watched for the old models: unknown, not zero, even when a late report of these hours comes."""
    held = window(tmp_path)
    for hour in range(4):
        watch(held, "w1", hour * HOUR, (hour + 1) * HOUR - 60, {SSH: 2})
        held.close_bin((hour + 1) * HOUR)
    held.close()
    held = window(tmp_path, ports=(OTHER, SSH))
    watch(held, "w1", 4 * HOUR, 5 * HOUR, {SSH: 2, OTHER: 9})
    held.close_bin(5 * HOUR)
    assert 2 == held.fill(np.arange(2) * HOUR, (OTHER, SSH), np.array([[7.0, 1], [8, 1]]))
    expected = [[7, 1], [8, 1], [NAN, 2], [NAN, 2], [9, 2]]
    np.testing.assert_array_equal(expected, held.counts(4 * HOUR, 9))
    held.take("w1", 4 * HOUR - 60, 4 * HOUR, {SSH: 3, OTHER: 5})
    expected[3][1] = 5
    np.testing.assert_array_equal(expected, held.counts(4 * HOUR, 9))


def test_a_gap_in_a_recording_takes_nothing_away(tmp_path):
    """Hour 1 is unknown in the recording and was watched: what nodes counted stays, the new port is unknown."""
    held = window(tmp_path)
    for hour in range(2):
        watch(held, "w1", hour * HOUR, (hour + 1) * HOUR, {SSH: 2})
        held.close_bin((hour + 1) * HOUR)
    held.close()
    held = window(tmp_path, ports=(OTHER, SSH))
    held.fill(np.arange(2) * HOUR, (OTHER, SSH), np.array([[7.0, 1], [NAN, NAN]]))
    np.testing.assert_array_equal([[7, 1], [NAN, 2]], held.counts(HOUR, 2))


def test_a_long_silence_is_passed_over(tmp_path):
    """After a year without reports the bins that no window reaches are not closed one by one."""
    held = window(tmp_path)
    watch(held, "w1", 0, HOUR, {SSH: 2})
    held.close_bin(HOUR)
    now, closed = 9_000 * HOUR + 120, 0
    while held.due(now) is not None:
        held.close_bin(now)
        closed += 1
    assert 1 + 10 == closed


@pytest.mark.parametrize(
    ("start", "until", "words"),
    [(60, 60, "interval"), (NAN, 60, "interval"), (0, 2 * HOUR, "beyond the end of its bin"), (-60, 0, "interval")],
)
def test_reports_that_cannot_be_are_refused(tmp_path, start, until, words):
    """An interval that is empty, no number, before 1970, or counts that no bin can be given."""
    with pytest.raises(ValueError, match=words):
        window(tmp_path).take("w1", start, until, {SSH: 1})


def test_a_pipe_is_no_database(tmp_path):
    """What is no regular file is refused, and not read from: that might never end."""
    path = tmp_path / "w.sqlite"
    os.mkfifo(path)
    held = os.open(path, os.O_RDWR)
    os.write(held, b"no database at all")
    with pytest.raises(StorageError, match=rf"{path}: the rates database cannot be opened \(.*not a regular file"):
        open_store(path, 1_000, width=HOUR, tz="UTC", ports=(SSH,), bins=4, closing=Closing())
    os.close(held)


def test_a_damaged_file_is_set_aside(tmp_path):
    """A damaged window is kept under another name and said; a new one begins. A folder that is a file is an error."""
    path = tmp_path / "w.sqlite"
    known = {"width": HOUR, "tz": "UTC", "ports": (SSH,), "bins": 4, "closing": Closing()}
    open_store(path, 1_000, **known)[0].close()
    path.write_bytes(path.read_bytes()[:100] + b"\xff" * 5000)
    held, wrong = open_store(path, 1_000, **known)
    assert "w.sqlite.damaged-1000" in wrong
    assert "new" == held.take("w1", 0, 60, {SSH: 1})
    foreign = tmp_path / "foreign.sqlite"
    with sqlite3.connect(foreign) as made:
        made.execute("CREATE TABLE t (x)")
    before = foreign.read_bytes()
    with pytest.raises(StorageError, match="this is not a rates database of portkin, and is left as it is"):
        open_store(foreign, 1_000, **known)
    assert before == foreign.read_bytes()
    with pytest.raises(StorageError, match=r"rates\.database"):
        open_store(path / "below", 1_000, **known)
