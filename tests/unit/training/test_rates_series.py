"""Counts per port and bin, from probes and from CSV."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta

import ibis
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from portkin.errors import BundleError, InputError
from portkin.net.ports import Port
from portkin.timeseries.bins import DAY, HOUR
from portkin_training.commands.rates_train import read_abnormal
from portkin_training.core.probes import SCHEMA
from portkin_training.rates.series import rate_series as series

BEGIN = datetime(2021, 3, 27, tzinfo=UTC)


def columns_of(*rows: tuple[float, int, int]) -> pa.Table:
    """The columns of probes, out of (hours since BEGIN, dport, proto)."""
    n = len(rows)
    columns = {name: [0] * n for name in SCHEMA.names}
    columns |= {
        "ts": [BEGIN + timedelta(hours=hour) for hour, _, _ in rows],
        "dport": [dport for _, dport, _ in rows],
        "proto": [proto for _, _, proto in rows],
    }
    return pa.table(columns, schema=SCHEMA)


def probes(*rows: tuple[float, int, int]) -> ibis.Table:
    """A probes table out of (hours since BEGIN, dport, proto)."""
    return ibis.memtable(columns_of(*rows))


def test_hour_without_any_probe_is_unknown_or_zero_as_asked():
    """A port without a probe in a watched hour is zero; an hour without any probe is what `absent` says."""
    # hours 1 to 4 are whole (0 and 5 are the recording's ends); hour 3 holds nothing at all
    table = probes((0.5, 22, 6), (1.1, 22, 6), (1.2, 22, 6), (2.5, 53, 17), (4.9, 22, 6), (5.0, 22, 6))
    unknown = series.from_probes(table, width=HOUR, share=1.0)
    assert (Port(22, "tcp"), Port(53, "udp")) == unknown.ports
    np.testing.assert_array_equal([[2, 0], [0, 1], [np.nan, np.nan], [1, 0]], unknown.counts)
    assert BEGIN.timestamp() + HOUR == unknown.starts[0]
    zero = series.from_probes(table, width=HOUR, share=1.0, absent="zero")
    np.testing.assert_array_equal([[2, 0], [0, 1], [0, 0], [1, 0]], zero.counts)


def test_time_zone_of_the_session_does_not_matter(tmp_path):
    """Hours are counted from 1970 in UTC, whatever time zone the machine and so the database session have."""
    con = ibis.duckdb.connect()
    con.raw_sql("SET TimeZone = 'Asia/Kolkata'")
    pq.write_table(columns_of(*((hour + 0.75, 22, 6) for hour in range(4))), tmp_path / "probes.parquet")
    found = series.from_probes(con.read_parquet(tmp_path / "probes.parquet"), width=HOUR)
    assert [BEGIN.timestamp() + HOUR, BEGIN.timestamp() + 2 * HOUR] == found.starts.tolist()


def test_days_of_a_zone_with_daylight_saving():
    """Local days: the one on which the clocks go forward holds 23 hours of probes."""
    table = probes(*((float(hour) + 0.5, 22, 6) for hour in range(0, 96)))
    days = series.from_probes(table, width=DAY, tz="Europe/Paris")
    # BEGIN is 01:00 on the 27th in Paris; the 28th begins at hour 23 and ends at hour 46, the 29th at hour 70
    assert [[23.0], [24.0]] == days.counts[:2].tolist()
    assert [BEGIN.timestamp() + 23 * HOUR, BEGIN.timestamp() + 46 * HOUR] == days.starts[:2].tolist()


def test_most_targeted_ports_are_the_fewest_that_cover_the_share():
    """Half of 100 probes: 40 + 30 is enough, and no third port is taken."""
    totals = np.array([30, 5, 40, 25])
    assert [2, 0] == series.most_targeted(totals, 0.5).tolist()
    assert [2, 0, 3, 1] == series.most_targeted(totals, 1.0).tolist()
    with pytest.raises(ValueError, match="share 0"):
        series.most_targeted(totals, 0)


def test_csv_bin_without_rows_is_unknown_or_zero_as_asked(tmp_path):
    """A missing day is unknown; a port missing in a day that has rows is zero."""
    file = tmp_path / "days.csv"
    file.write_text("day,dst_port,connections\n2023-03-03,445,7\n2023-03-03,23,2\n2023-03-05,445,1\n")
    rates = series.from_csv(file, width=DAY, absent="unknown")
    np.testing.assert_array_equal([[7, 2], [np.nan, np.nan], [1, 0]], rates.counts)
    assert [0, 0] == series.from_csv(file, width=DAY, absent="zero").counts[1].tolist()
    file.write_text("Date,dport,Count\n2023-03-03,445,7\n2023-03-04,445,1\n")
    np.testing.assert_array_equal([[7], [1]], series.from_csv(file, width=DAY, absent="zero").counts)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("when,port,count\n", "no column 'hour'; there are when, port, count"),
        ("when,number\n", "no column 'port', 'hour', 'requests'; there are when, number"),
        ("hour,po\0rt,count\n", "binary, and no CSV"),
        ("hour,port,count\nnoon,22,1\n", "'noon' is not an ISO 8601 time"),
        ("hour,port,count\n0001-01-01T00,22,1\n", "'0001-01-01T00' is not an ISO 8601 time"),
        ("hour,port,count\n9999-12-31T23-23:59,22,1\n", "'9999-12-31T23-23:59' is not an ISO 8601 time"),
        ("hour,port,count\n", "no rows"),
        ("", "empty; its first line names the columns"),
        ("hour,port,count\n2026-01-01T00,22,1\n2026-01-01T01,22\n", "line 3: 2 fields, but 3 columns"),
        ("hour,port,count\n2026-01-01T00,22,1,9\n", "line 2: 4 fields, but 3 columns"),
        ("hour,port,count\n2026-01-01T00,22,-1\n", "line 2: a count of -1"),
        ('hour,port,count\n2026-01-01T00,22,"1,010"\n', "line 2: '1,010' is not a count"),
        ("hour,port,count\n2026-01-01T00,22,1.5\n", "line 2: a count of 1.5; counts are whole numbers"),
        ("hour,port,count\n2026-01-01T00,22,1_010\n", "line 2: '1_010' is not a count"),
        ("hour,port,count\n2026-01-01T00,22,nan\n", "line 2: 'nan' is not a count"),
        ("hour,port,count\n2026-01-01T00,22,\n", "line 2: '' is not a count"),
        ("hour,port,count\n2026-01-01T00,telnet,1\n", "line 2: .*telnet"),
        ("hour,port,count\n2026-01-01T00,22,1e300\n", "line 2: a count of 1e300; more than 9007199254740992"),
        ("hour,port,count\n2026-01-01T00,22,1\n1026-01-01T00,22,1\n", r"from 1026.* \(line 3\) to .*year"),
    ],
)
def test_csv_that_is_no_series_says_why(tmp_path, text, message):
    """The message names the file and what is wrong with it."""
    file = tmp_path / "bad.csv"
    file.write_text(text)
    with pytest.raises(InputError, match=message):
        series.from_csv(file, width=HOUR, absent="zero")


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
@pytest.mark.parametrize("separator", [False, True])
def test_csv_of_any_spreadsheet_is_a_series(tmp_path, delimiter, separator):
    """Commas, semicolons, tabs or bars between columns, with or without Excel's line that names them."""
    file = tmp_path / "hours.csv"
    rows = [["hour", "dst_port", "count"], ["2026-01-01T00", "22", "7"], ["2026-01-01T01", "22/tcp", "1010"]]
    lines = ["\ufeff" + f"sep={delimiter}"] * separator + [delimiter.join(row) for row in rows]
    file.write_text("\r\n".join(lines) + "\r\n", newline="")
    rates = series.from_csv(file, width=HOUR, absent="zero")
    assert [[7], [1010]] == rates.counts.tolist()
    file.write_text("\n".join([*lines, delimiter.join(["2026-01-01T02", "22", "-1"])]))
    with pytest.raises(InputError, match=rf"hours\.csv, line {len(lines) + 1}: a count of -1"):
        series.from_csv(file, width=HOUR, absent="zero")


@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
def test_abnormal_bins_of_any_spreadsheet(tmp_path, delimiter):
    """The CSV of bins that are not normal may have the same delimiters."""
    rates = series.Rates((Port(22, "tcp"), Port(23, "tcp")), HOUR * np.arange(3), np.ones((3, 2)), HOUR)
    file = tmp_path / "abnormal.csv"
    file.write_text(f"port{delimiter}start\n23/tcp{delimiter}{HOUR}\n")
    assert [[1, 1]] == np.argwhere(read_abnormal(file, rates)).tolist()


@pytest.mark.parametrize("delimiter", [";", "\t"])
@pytest.mark.parametrize(
    ("text", "found"),
    [("7,0", 7), ("7,", 7), ("7.0", 7), ("0,00", 0), ("1234,000", 1234), ("7,5", "whole"), ("1.010", "may be"),
     ("1,010", "may be"), ("12.345.678", "may be"), ("1.010,0", "not a count"), ("1 010", "not a count"),
     ("1\u202f010", "not a count"), (",5", "not a count"), ("-7,0", "not a count")],
)  # fmt: skip
def test_decimal_commas_are_read_and_doubtful_numbers_refused(tmp_path, delimiter, text, found):
    """A whole number with a decimal comma is one; what may be thousands or decimals is refused by file and line."""
    file = tmp_path / "hours.csv"
    file.write_text(f"hour{delimiter}port{delimiter}count\n2026-01-01T00{delimiter}22{delimiter}{text}\n")
    if isinstance(found, int):
        assert [[found]] == series.from_csv(file, width=HOUR, absent="zero").counts.tolist()
    else:
        with pytest.raises(InputError, match=rf"hours\.csv, line 2: .*{found}"):
            series.from_csv(file, width=HOUR, absent="zero")


@pytest.mark.parametrize(
    ("time", "tz", "message"),
    [
        ("2026-10-25 02:30:00", "Europe/Berlin", "comes twice in Europe/Berlin"),
        ("2026-03-29 02:30:00", "Europe/Berlin", "does not exist in Europe/Berlin"),
    ],
)
def test_local_hour_that_the_clocks_leave_open_is_refused(tmp_path, time, tz, message):
    """Its line and the remedy are named; with an offset, or in bins of days, it is read."""
    file = tmp_path / "local.csv"
    file.write_text(f"time,port,count\n2026-03-01 00:00:00,22,1\n{time},22,5\n")
    with pytest.raises(InputError, match=f"line 3: .*{message}.*with their offset"):
        series.from_csv(file, width=HOUR, tz=tz, absent="zero")
    assert 6 == series.from_csv(file, width=DAY, tz=tz, absent="zero").counts.sum()
    file.write_text(f"time,port,count\n{time}+01:00,22,5\n")
    assert [[5]] == series.from_csv(file, width=HOUR, tz=tz, absent="zero").counts.tolist()


@pytest.mark.parametrize(
    ("odd", "said"),
    [
        ("1970-01-01T00Z", "1 times are dated before 1993, as by a clock that was never set; .*line 3.*line 4"),
        ("2099-01-01T00Z", "1 times are dated in the future; .*line 2.*line 3"),
        ("2019-01-01T00Z", "1 times lie 2,557 days away from all others; .*line 3.*line 4"),
    ],
)
def test_a_time_that_makes_a_series_of_decades_is_reported(tmp_path, odd, said):
    """One row of another decade fills the series with bins: its lines are named. 2019-01-01 to 2026 are 2,557 days."""
    file = tmp_path / "odd.csv"
    file.write_text(f"time,port,count\n2026-01-01T00Z,22,1\n{odd},22,1\n2026-01-01T01Z,22,1\n")
    told = []
    series.from_csv(file, width=DAY, absent="zero", tell=told.append)
    assert re.search(said, told[0])


def test_ports_that_are_left_out_are_told():
    """Half of the probes went to one port: the other two are left out, and that is said."""
    told = []
    rows = [(hour + part / 9, port, 6) for hour in range(4) for part, port in enumerate((22, 22, 22, 23, 80))]
    assert 1 == len(series.from_probes(probes(*rows), width=HOUR, tell=told.append).ports)
    assert ["the recording: 1 of 3 ports are counted, the most targeted, with 60% of the probes"] == told
    series.from_probes(probes(*rows), width=HOUR, share=1.0, tell=told.append)
    assert 1 == len(told)


def test_probes_of_a_clock_that_was_never_set_are_reported():
    """Probes of 1970 among those of today make half a million hours, and that is said."""
    hours = int(BEGIN.timestamp()) // 3600
    rows = [(at - hours, 22, 6) for at in range(3)] + [(at, 22, 6) for at in range(4)]
    told = []
    made = series.from_probes(probes(*rows), width=HOUR, absent="zero", tell=told.append)
    assert hours + 2 == len(made.starts)  # without the first and the last
    assert 1 == len(told)
    assert told[0].startswith("the recording: 3 bins with probes are dated before 1993, as by a clock that was never")


def test_hour_that_comes_twice_without_a_zone_is_reported(tmp_path):
    """Read as UTC it cannot be told apart: the two rows are added, and that is said."""
    file = tmp_path / "local.csv"
    file.write_text("time,port,count\n2026-10-25 02:00,22,1\n2026-10-25 02:00,22,5\n2026-10-25 03:00,22,1\n")
    said = []
    assert [[6], [1]] == series.from_csv(file, width=HOUR, absent="zero", tell=said.append).counts.tolist()
    assert "name no zone" in said[0] and "line 3 (2026-10-25 02:00)" in said[1]


@pytest.mark.parametrize(
    ("rows", "width", "tz", "expected"),
    [
        (["2026-01-01T00", "2026-01-01T01"], HOUR, "UTC", "2 of 2 times name no zone, the first in line 2 .*UTC"),
        (["2026-01-01T00Z", "2026-01-01T01"], HOUR, "UTC", "1 of 2 times name no zone, the first in line 3"),
        (["2026-01-01T00Z", "2026-01-01T01Z"], HOUR, "UTC", ""),
        (["2026-01-01", "2026-01-02"], DAY, "Europe/Paris", ""),
        # midnights of UTC are 01:00 in Paris in winter, and 02:00 in summer
        (["2026-01-01T00Z", "2026-01-02T00Z", "2026-07-01T00Z"], DAY, "Europe/Paris", "60 minutes after a bin of Euro"),
        (["2026-01-01T00:30Z", "2026-01-01T01:30Z", "2026-01-01T02:30Z"], HOUR, "UTC", "30 minutes after a bin"),
        (["2026-01-01T00:00Z", "2026-01-01T00:15Z", "2026-01-01T00:30Z"], HOUR, "UTC", ""),
    ],
)
def test_what_is_doubtful_about_times_is_reported(tmp_path, rows, width, tz, expected):
    """Clock times without a zone are reported with the zone they are taken for, as are bins that begin elsewhere."""
    file = tmp_path / "times.csv"
    file.write_text("time,port,count\n" + "".join(f"{text},22,1\n" for text in rows))
    said = []
    series.from_csv(file, width=width, tz=tz, absent="zero", tell=said.append)
    assert bool(expected) == bool(said)
    assert re.search(expected, "".join(said))


@pytest.mark.parametrize(("tz", "refused"), [("Asia/Kolkata", True), ("Asia/Kathmandu", True), ("Asia/Tokyo", False)])
def test_local_hours_that_are_no_hours_of_utc_are_refused(tmp_path, tz, refused):
    """An hour of Kolkata (+05:30) or Kathmandu (+05:45) lies in two bins; in days, and in Tokyo (+09:00), it is one."""
    file = tmp_path / "local.csv"
    file.write_text("hour,port,count\n" + "".join(f"2026-01-01T{hour:02},22,{hour}\n" for hour in range(9, 15)))
    if refused:
        with pytest.raises(InputError, match=rf"line 2: 2026-01-01T09 in {tz} is within a bin.*--bin 1d"):
            series.from_csv(file, width=HOUR, tz=tz, absent="zero")
    else:
        found = series.from_csv(file, width=HOUR, tz=tz, absent="zero")
        assert (1_767_225_600, [9, 10, 11, 12, 13, 14]) == (int(found.starts[0]), found.counts[:, 0].tolist())
    assert [[69]] == series.from_csv(file, width=DAY, tz=tz, absent="zero").counts.tolist()


def test_rows_in_any_order_and_more_than_once_are_the_same_series(tmp_path):
    """Shuffled rows, of which one is split in two, are the counts of the sorted ones."""
    file = tmp_path / "s.csv"
    rows = [(hour, port, 7 * hour + port) for hour in range(6) for port in (22, 23)]
    text = [f"2026-01-01T{hour:02}Z,{port},{count}\n" for hour, port, count in rows]
    file.write_text("hour,port,count\n" + "".join(text))
    expected = series.from_csv(file, width=HOUR, absent="zero")
    text[3:4] = ["2026-01-01T01Z,23,10\n", "2026-01-01T01Z,23,20\n"]  # 7 + 23 = 30
    order = np.random.default_rng(0).permutation(len(text))
    file.write_text("hour,port,count\n" + "".join(text[at] for at in order))
    found = series.from_csv(file, width=HOUR, absent="zero")
    np.testing.assert_array_equal(expected.counts, found.counts)
    np.testing.assert_array_equal(expected.starts, found.starts)


def test_file_in_place_of_a_series_is_sent_to_rates_series(tmp_path):
    """A CSV where a counted series is wanted: the message names the command that counts it."""
    file = tmp_path / "hours.csv"
    file.write_text("hour,port,count\n")
    with pytest.raises(InputError, match=r"portkin rates series .*hours\.csv"):
        series.load(file)


def test_wider_bins_are_sums_and_unknown_where_a_part_is(tmp_path):
    """Two days out of 48 hours; one unknown hour makes its day unknown; a day cut short is left out."""
    counts = np.ones((60, 1))
    counts[30] = np.nan
    hours = series.Rates((Port(22, "tcp"),), np.arange(60) * HOUR, counts, HOUR)
    days = series.coarser(hours, DAY)
    np.testing.assert_array_equal([[24], [np.nan]], days.counts)
    assert [0, DAY] == days.starts.tolist()


def test_series_are_read_back_as_written_and_refused_when_damaged(tmp_path):
    """What is loaded is what was saved; a flipped byte is refused."""
    rates = series.Rates((Port(53, "udp"),), np.array([0, DAY]), np.array([[1.0], [np.nan]]), DAY, "Europe/Paris")
    series.save(tmp_path / "s", rates)
    again = series.load(tmp_path / "s")
    assert (rates.ports, rates.width, rates.tz) == (again.ports, again.width, again.tz)
    np.testing.assert_array_equal(rates.counts, again.counts)
    file = tmp_path / "s" / "counts.npy"
    file.write_bytes(file.read_bytes()[:-1] + b"x")
    with pytest.raises(BundleError, match=r"counts\.npy"):
        series.load(tmp_path / "s")


def test_recorded_hours_hold_the_recorded_requests(shared_data):
    """The Docker API honeypot: every request of the file is in the series, and absent hours are zero."""
    file = shared_data / "rates" / "docker-api-hourly-2021-2023.csv"
    rates = series.from_csv(file, width=HOUR, absent="zero")
    total = sum(int(line.rsplit(",", 1)[1]) for line in file.read_text().splitlines()[1:])
    assert total == int(rates.counts.sum())
    assert not np.isnan(rates.counts).any()


@pytest.mark.parametrize("tz", ["UTC", "Europe/Berlin"])
def test_counts_of_days_are_not_taken_for_hours(tmp_path, tz):
    """A CSV all of whose times are midnights is refused for hours, with the remedy, and counted by days."""
    file = tmp_path / "days.csv"
    file.write_text("port,day,count\n" + "".join(f"22,2026-01-{day:02},{day}\n" for day in (1, 2, 3)))
    with pytest.raises(InputError, match=r"all 3 times, from 2026-01-01 on, are midnights.*--bin 1d"):
        series.from_csv(file, width=HOUR, tz=tz, absent="unknown")
    assert [[1], [2], [3]] == series.from_csv(file, width=DAY, tz=tz, absent="unknown").counts.tolist()
