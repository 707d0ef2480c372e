"""Stamps out of timestamps, numbers and text in the forms that logs use, as microseconds since 1970, UTC.

Text may be a number (seconds, milliseconds, microseconds or nanoseconds since 1970, recognised by their size), or a
date and a time: ISO 8601 and its kin (``2026-01-01T00:00:00.5+0100``, ``2026/01/01 00:00:00``), as syslog and dmesg
write them (``Jan  1 00:00:00``, ``Thu Jan  1 00:00:00 2026``), and as web servers do (``01/Jan/2026:00:00:00 +0000``).
Day and month as numbers in another order than year, month, day are not read: they can mean two dates.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from portkin.errors import ConfigError
from portkin_training.ingest.values.stamp_forms import MONTHS, tidied
from portkin_training.ingest.values.stamp_scan import LOCAL, YEARLESS, ZONED, scan_stamps
from portkin_training.ingest.values.transport import is_missing

MICROSECONDS = {"s": 1_000_000, "ms": 1000, "us": 1, "ns": 0.001}
"""Unit of numeric stamps -> microseconds in it."""
UNITS = ("auto", *MICROSECONDS)
NO_TIME = -1
"""What a value becomes that is no time."""
DAY = 86_400_000_000

_YEAR_10000 = 253_402_300_800 * 1_000_000
_SMALLEST = (("ns", 1e17), ("us", 1e14), ("ms", 1e11))
"""Unit -> the smallest number taken for it: below 1e11 a number is seconds, up to the year 5138; above it as
milliseconds is later than March 1973."""

_NUMBER = r"^[+-]?(?:\d+(?:\.\d*)?|\.\d+)(?:[eE][+-]?\d+)?$"
_ZONED = r"^[^:]*:.*(?:Z|[+-]\d\d(?::?\d\d)?)$"
_SYSLOG = (
    r"^(?:[A-Z][a-z]{2},? +)?(?P<month>[A-Za-z]{3}) +(?P<day>\d{1,2})(?: (?P<year1>\d{4}))?"
    r" (?P<time>\d\d:\d\d:\d\d(?:\.\d{1,6})?)\d*(?: [A-Z]{3,4})?(?: (?P<year2>\d{4}))?(?P<zone>Z|[+-]\d\d:?\d\d)?:?$"
)


def no_time(text: str) -> str:
    """What to do about a text that is no time."""
    if is_missing(text):
        return "it is missing; have the program write one (`dmesg -T`, `journalctl -o short-iso`)"
    if re.match(r"\d\d?:\d\d", text):
        return "it has no date; have the program write one (argus: `ra -u`)"
    if re.match(r"\d\d?[/.-]\d\d?[/.-]\d{2,4}", text):
        return "its day and month can mean two dates; write year, month, day, or seconds since 1970"
    if re.match(r"[+-]?[\d.,]+$", text):
        return "seconds, milliseconds, microseconds or nanoseconds since 1970 are needed"
    return "a day and time that there are, as 2026-01-01T00:00:00Z, or seconds since 1970, are needed"


@dataclass
class Clock:
    """How the stamps of one input are read, and what was noticed meanwhile.

    Attributes:
        unit: unit of numbers, one of `UNITS`; auto: by their size.
        tz: zone of text that names none.
        year: of the first stamp, where text names none; it grows when December turns to January.
        month: of the last stamp that named no year; 0 before the first.
        latest: us; without ``year``, stamps that name no year are of the last one that keeps them before this.
        local: stamps that named no zone.
        ambiguous: those of them that a change of clocks makes ambiguous or impossible; the first reading was taken.
        yearless: stamps that named no year.
        back: whether, without ``year``, one of them would lie most of a year before another that came before it.
        units: units that numbers were taken for.
    """

    unit: str = "auto"
    tz: str = "UTC"
    year: int | None = None
    month: int = 0
    latest: int | None = None
    local: int = 0
    ambiguous: int = 0
    yearless: int = 0
    back: bool = False
    units: set[str] = field(default_factory=set)
    _last: datetime | None = None

    def __post_init__(self) -> None:
        """Raise ConfigError for a unit or zone that is none."""
        if self.unit not in UNITS:
            raise ConfigError(f"stamp unit {self.unit!r}: one of {', '.join(UNITS)} is needed")
        try:
            ZoneInfo(self.tz)
        except (ZoneInfoNotFoundError, ValueError, OSError):
            raise ConfigError(f"time zone {self.tz!r} is not known; name one as Europe/Berlin or UTC") from None

    def stamps(self, column: pa.Array) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
        """Stamps, (n,) int64 us, and a mask of the rows that have none, where they are 0."""
        kind = column.type
        if pa.types.is_timestamp(kind):
            us = _to_us(pc.fill_null(pc.cast(column, pa.int64()), NO_TIME).to_numpy(), kind.unit)
            found = us if kind.tz else self._zoned(pa.array(us, pa.timestamp("us"), mask=us < 0))
        elif pa.types.is_date(kind):
            found = self._zoned(pc.cast(column, pa.timestamp("us")))
        elif pa.types.is_string(kind) or pa.types.is_large_string(kind):
            found = self._text(pc.cast(column, pa.string()))
        else:
            found = self._scaled(column)
        bad = (found < 0) | (found >= _YEAR_10000)
        return np.where(bad, 0, found), bad

    def _text(self, column: pa.Array) -> NDArray[np.int64]:
        # Most blocks are of one form throughout: then one pass is all.
        forms, us, days = scan_stamps(column)
        if (forms == ZONED).all():
            return us
        if (forms == LOCAL).all():
            return self._zoned(pa.array(us, pa.timestamp("us")))
        if (forms == YEARLESS).all() and (dated := self._dated(us, days)) is not None:
            return dated
        try:
            return self._scaled(pc.cast(column, pa.float64()))
        except pa.ArrowInvalid:
            pass
        column = self._with_year(tidied(column))
        found = np.full(len(column), NO_TIME, np.int64)
        left = ~column.is_null().to_numpy(zero_copy_only=False)
        for pattern, kind in (
            (_NUMBER, pa.float64()),
            (_ZONED, pa.timestamp("us", "UTC")),
            ("", pa.timestamp("us")),
        ):
            matches = pc.match_substring_regex(column, pattern).fill_null(False).to_numpy(zero_copy_only=False)
            rows = np.flatnonzero(left & matches)
            left[rows] = False
            if len(rows):
                found[rows] = self._cast(_forgiving(column.take(pa.array(rows)), kind))
        return found

    def _cast(self, column: pa.Array) -> NDArray[np.int64]:
        if pa.types.is_floating(column.type):
            return self._scaled(column)
        return _whole(column) if column.type.tz else self._zoned(column)

    def _scaled(self, column: pa.Array) -> NDArray[np.int64]:
        kind = pa.int64() if pa.types.is_integer(column.type) else pa.float64()
        exact = pc.fill_null(pc.cast(column, kind, safe=False), NO_TIME).to_numpy()
        if self.unit != "auto":
            return _to_us(exact, self.unit)
        found = _to_us(exact, "s")
        large = exact >= _SMALLEST[-1][1]
        if len(exact) and not large.all():
            self.units.add("s")
        for unit, least in _SMALLEST:
            rows = large & (exact >= least)
            large &= ~rows
            if rows.any():
                found[rows] = _to_us(exact[rows], unit)
                self.units.add(unit)
        return found

    def _zoned(self, column: pa.Array) -> NDArray[np.int64]:
        """Of local times."""
        self.local += len(column) - column.null_count
        if self.tz == "UTC":
            return _whole(column)
        first, second = (
            _whole(pc.assume_timezone(column, self.tz, ambiguous=which, nonexistent=which))
            for which in ("earliest", "latest")
        )
        self.ambiguous += int(np.count_nonzero(first != second))
        return first

    def _dated(self, us: NDArray[np.int64], days: NDArray[np.int64]) -> NDArray[np.int64] | None:
        """Stamps (n,) of times of the day and their days, as `scan_stamps` has them; None where a day is none."""
        first, of = _runs(days)
        names = [((day >> 8).to_bytes(3, "big").decode("latin-1"), str(day & 0xFF)) for day in days[first].tolist()]
        if any(name.capitalize() not in MONTHS for name, _ in names):
            return None
        month = self.month, self.year
        dates = [self._date(name, day, "", "") for name, day in names]
        try:
            midnights = np.array([np.datetime64(date or "NaT", "us") for date in dates], "datetime64[us]")
        except ValueError:
            midnights = np.array(["NaT"], "datetime64[us]")
        if np.isnat(midnights).any():
            self.month, self.year = month
            return None
        self.yearless += len(us)
        return self._zoned(pa.array(midnights[of].astype(np.int64) + us, pa.timestamp("us")))

    def _with_year(self, column: pa.Array) -> pa.Array:
        """The column with the stamps of syslog and dmesg as ISO 8601; the others as they are."""
        parts = pc.extract_regex(column, _SYSLOG)
        if parts.null_count == len(parts):
            return column
        month, day, year1, time, year2, zone = parts.flatten()
        dates = pc.binary_join_element_wise(month, day, year1, year2, " ").dictionary_encode()
        texts = [*self._dates(dates), None]
        codes = pc.fill_null(dates.indices, len(texts) - 1).to_numpy()
        first, of = _runs(codes)
        known = [self._date(*text.split(" ")) if (text := texts[code]) else None for code in codes[first].tolist()]
        date = pa.array(known, pa.string()).take(pa.array(of))
        return pc.coalesce(pc.binary_join_element_wise(date, "T", time, zone, ""), column)

    def _dates(self, dates: pa.Array) -> list[str | None]:
        texts: list[str | None] = dates.dictionary.to_pylist()
        counts = np.bincount(dates.indices.drop_null().to_numpy(), minlength=len(texts))
        self.yearless += sum(int(n) for text, n in zip(texts, counts, strict=True) if text and text.endswith("  "))
        return texts

    def _date(self, month: str, day: str, year1: str, year2: str) -> str | None:
        number = MONTHS.get(month.capitalize())
        if number is None:
            return None
        if written := year1 or year2:
            return f"{written}-{number:02d}-{int(day):02d}"
        if self.year is not None:
            if (self.month, number, int(day)) == (1, 12, 31):  # a late line of another host
                return f"{self.year - 1:04d}-12-31"
            if number < self.month - 6:
                self.year += 1
            self.month = number
            return f"{self.year:04d}-{number:02d}-{int(day):02d}"
        latest = datetime.now(UTC) if self.latest is None else datetime.fromtimestamp(self.latest / 1e6, UTC)
        for year in range(latest.year + 1, latest.year - 8, -1):
            try:
                when = datetime(year, number, int(day), tzinfo=UTC)
            except ValueError:
                continue
            if when.timestamp() <= latest.timestamp() + 86_400:
                self.back |= self._last is not None and (self._last - when).days > 180
                self._last = when
                return when.strftime("%Y-%m-%d")
        return None


def _runs(days: NDArray[np.integer[Any]]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """The first row (m,) of each run of equal days (n,), and which run each row is of: of which year a day is follows
    from those before it."""
    begins = np.ones(len(days), np.bool_)
    begins[1:] = days[1:] != days[:-1]
    return np.flatnonzero(begins), np.cumsum(begins) - 1


def _forgiving(column: pa.Array, kind: pa.DataType) -> pa.Array:
    """The column cast, with null for what cannot be."""
    try:
        return pc.cast(column, kind)
    except pa.ArrowInvalid:
        if len(column) == 1:
            return pa.nulls(1, kind)
    half = len(column) // 2
    return pa.concat_arrays([_forgiving(column[:half], kind), _forgiving(column[half:], kind)])


def _to_us(numbers: NDArray[Any], unit: str) -> NDArray[np.int64]:
    if numbers.dtype == np.int64 and unit == "ns":
        exact: NDArray[np.int64] = numbers // 1000
        return exact
    scale = MICROSECONDS[unit]
    with np.errstate(invalid="ignore", over="ignore"):
        us = numbers.astype(np.float64) * scale
        bad = ~((us >= 0) & (us < _YEAR_10000))
        whole = numbers * int(scale) if numbers.dtype == np.int64 else np.rint(us)
        return np.where(bad, NO_TIME, whole).astype(np.int64)


def _whole(column: pa.Array) -> NDArray[np.int64]:
    us: NDArray[np.int64] = pc.fill_null(pc.cast(column, pa.int64()), NO_TIME).to_numpy()
    return us
