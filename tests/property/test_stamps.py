"""The fast scan of times reads the usual forms as datetime does, and leaves all others alone."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from portkin_training.ingest.values.stamp_scan import LOCAL, OTHER, YEARLESS, ZONED, scan_stamps

SETTINGS = settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])


@SETTINGS
@given(
    st.datetimes(datetime(1, 1, 2), datetime(9999, 12, 30)),
    st.sampled_from(["T", " "]),
    st.sampled_from([None, "Z", "+00", "+0530", "-11:30"]),
    st.integers(0, 9),
)
def test_iso_times_are_those_of_datetime(when, between, zone, digits):
    text = when.strftime(f"%m-%d{between}%H:%M:%S")
    text = f"{when.year:04d}-{text}"
    us = f"{when.microsecond:06d}000"[:digits]
    text += f".{us}" if us else ""
    ahead = {None: 0, "Z": 0, "+00": 0, "+0530": 330, "-11:30": -690}[zone]
    forms, found, _ = scan_stamps(pa.array([text + (zone or "")]))
    expected = when.replace(microsecond=int(us[:6].ljust(6, "0")), tzinfo=timezone(timedelta(minutes=ahead)))
    assert [ZONED if zone else LOCAL] == forms.tolist()
    assert (expected - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1) == found[0]


@pytest.mark.parametrize(
    "text",
    [
        None,
        "",
        "2026-02-29T00:00:00",
        "2026-01-01T24:00:00",
        "2026-01-01T00:00:60",
        "2026-01-01T00:00:00.",
        "2026-13-01T00:00:00",
        "2026-01-01T00:00:00+24:00",
        "2026-01-01T00:00:00+1",
        "2026-01-01T00:00:00ZZ",
        "2026-01-01x00:00:00",
        "1767225600.123456789",
        "Jan  1 24:00:00",
        "Jan 1 00:00:00",
        "2026-01-01T00:00:00+01.00",
        "é026-01-01T00:00:00",
        "2026-01-01T00:00",
    ],
)
def test_other_texts_are_no_times_of_the_usual_forms(text):
    assert [OTHER, YEARLESS] == scan_stamps(pa.array([text, "Dec 31 23:59:59"], pa.string()))[0].tolist()
