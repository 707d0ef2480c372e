"""The two usual forms of a time, read by a compiled loop: ISO 8601, and syslog's without a year."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from portkin_training.core.unaligned import inlined, kernel
from portkin_training.ingest.values.text_numbers import text_buffers

OTHER, ZONED, LOCAL, YEARLESS = range(4)
"""Forms of a text: none of these, ISO 8601 with and without a zone, ``Jan  1 00:00:00``."""
_SECOND = 1_000_000


@inlined
def _pair(data, at):
    """The number of two digits; negative where they are none."""
    tens, ones = np.int64(data[at]) - 48, np.int64(data[at + 1]) - 48
    return tens * 10 + ones if 0 <= tens <= 9 and 0 <= ones <= 9 else np.int64(-1)


@inlined
def _clock(data, at):
    """Seconds of the day of ``hh:mm:ss``; negative where it is none."""
    hour, minute, second = _pair(data, at), _pair(data, at + 3), _pair(data, at + 6)
    if data[at + 2] != 58 or data[at + 5] != 58 or hour < 0 or minute < 0 or second < 0:
        return np.int64(-1)
    if hour > 23 or minute > 59 or second > 59:
        return np.int64(-1)
    return hour * 3600 + minute * 60 + second


@inlined
def _days(year, month, day):
    """Days since 1970-01-01 in the Gregorian calendar (Howard Hinnant, days_from_civil)."""
    if month <= 2:
        year -= 1
    era = year // 400
    of_era = year - era * 400
    of_year = (153 * (month + (-3 if month > 2 else 9)) + 2) // 5 + day - 1
    return era * 146_097 + of_era * 365 + of_era // 4 - of_era // 100 + of_year - 719_468


@inlined
def _month_days(year, month):
    if month == 2:
        return 29 if year % 4 == 0 and (year % 100 != 0 or year % 400 == 0) else 28
    return 30 if month == 4 or month == 6 or month == 9 or month == 11 else 31


@inlined
def _iso(data, at, end):
    """Form and microseconds of ``YYYY-MM-DDThh:mm:ss``, with a fraction and a zone or without."""
    high, low, month, day = _pair(data, at), _pair(data, at + 2), _pair(data, at + 5), _pair(data, at + 8)
    if high < 0 or low < 0 or data[at + 4] != 45 or data[at + 7] != 45 or (data[at + 10] != 84 and data[at + 10] != 32):
        return OTHER, np.int64(0)
    year, seconds = high * 100 + low, _clock(data, at + 11)
    if seconds < 0 or month < 1 or month > 12 or day < 1 or day > _month_days(year, month):
        return OTHER, np.int64(0)
    us = (_days(year, month, day) * 86_400 + seconds) * _SECOND
    at += 19
    if at < end and data[at] == 46:
        at += 1
        unit, first = np.int64(_SECOND // 10), at
        while at < end and 48 <= data[at] <= 57:
            us += (np.int64(data[at]) - 48) * unit
            unit //= 10
            at += 1
        if at == first:
            return OTHER, np.int64(0)
    if at == end:
        return LOCAL, us
    if data[at] == 90 and at + 1 == end:
        return ZONED, us
    left = end - at
    if (data[at] != 43 and data[at] != 45) or (left != 3 and left != 5 and left != 6):
        return OTHER, np.int64(0)
    if left == 6 and data[at + 3] != 58:
        return OTHER, np.int64(0)
    hours, minutes = _pair(data, at + 1), np.int64(0)
    if left > 3:
        minutes = _pair(data, end - 2)
    if hours < 0 or hours > 23 or minutes < 0 or minutes > 59:
        return OTHER, np.int64(0)
    ahead = (hours * 3600 + minutes * 60) * _SECOND
    return ZONED, (us - ahead if data[at] == 43 else us + ahead)


@kernel
def _scan(data, offsets, us, forms, days):
    for row in range(len(us)):
        at, end = np.int64(offsets[row]), np.int64(offsets[row + 1])
        forms[row], us[row] = OTHER, 0
        if end - at == 15 and data[at + 3] == 32 and data[at + 6] == 32:
            seconds = _clock(data, at + 7)
            ones = np.int64(data[at + 5]) - 48
            tens = np.int64(0) if data[at + 4] == 32 else np.int64(data[at + 4]) - 48
            if seconds >= 0 and 0 <= ones <= 9 and 0 <= tens <= 3:
                forms[row], us[row] = YEARLESS, seconds * _SECOND
                days[row] = (((np.int64(data[at]) << 8 | data[at + 1]) << 8 | data[at + 2]) << 8) | (tens * 10 + ones)
        elif end - at >= 19:
            forms[row], us[row] = _iso(data, at, end)


def scan_stamps(column: pa.Array) -> tuple[NDArray[np.uint8], NDArray[np.int64], NDArray[np.int64]]:
    """The form of each text (n,), its microseconds (n,), local for `LOCAL` and of the day for `YEARLESS`, and the day
    of the latter (n,): three letters of the month, then the day of the month, a byte each. Null is `OTHER`."""
    n = len(column)
    forms, us, days = np.zeros(n, np.uint8), np.zeros(n, np.int64), np.zeros(n, np.int64)
    _scan(*text_buffers(column), us, forms, days)
    if column.null_count:
        forms[column.is_null().to_numpy(zero_copy_only=False)] = OTHER
    return forms, us, days
