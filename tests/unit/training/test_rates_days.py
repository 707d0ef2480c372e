"""A CSV of days of a zone whose clocks skip midnight, or a whole day."""

from __future__ import annotations

from datetime import date, timedelta

import pytest

from portkin.errors import InputError
from portkin.timeseries.bins import DAY, label
from portkin_training.rates.series import rate_series as series


@pytest.mark.parametrize(
    ("tz", "changes"),
    [
        ("Africa/Cairo", "2023-04-28"),
        ("America/Santiago", "2023-09-03"),
        ("Asia/Beirut", "2023-03-26"),
        ("America/Havana", "2023-03-12"),
        ("America/Asuncion", "2023-10-01"),
    ],
)
def test_dates_of_days_without_a_midnight_are_read(tmp_path, tz, changes):
    """A CSV of days names dates, not times: the day that begins at 01:00 is one of them, with its own count."""
    middle = date.fromisoformat(changes)
    days = [middle + timedelta(days) for days in range(-3, 4)]
    file = tmp_path / "days.csv"
    file.write_text("port,day,count\n" + "".join(f"22,{day},{day.day}\n" for day in days))
    made = series.from_csv(file, width=DAY, tz=tz, absent="unknown")
    assert [day.day for day in days] == made.counts[:, 0].tolist()
    assert list(map(str, days)) == [label(int(start), DAY, tz) for start in made.starts]


def test_date_that_a_zone_skipped_is_refused(tmp_path):
    """Samoa had no 30th of December 2011: nothing can have been counted on it."""
    file = tmp_path / "days.csv"
    file.write_text("port,day,count\n22,2011-12-29,1\n22,2011-12-30,2\n22,2011-12-31,3\n")
    with pytest.raises(InputError, match=r"line 3: 2011-12-30 does not exist in Pacific/Apia, .* leave the row out"):
        series.from_csv(file, width=DAY, tz="Pacific/Apia", absent="unknown")
