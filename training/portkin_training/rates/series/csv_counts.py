"""A CSV of ready-made counts: rows (port, bin, count), read strictly, each fault with its line."""

from __future__ import annotations

import csv
import math
import re
from collections import Counter
from collections.abc import Callable, Sequence
from datetime import date, datetime
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from portkin.errors import InputError, listed
from portkin.net.ports import Port
from portkin.timeseries.bins import DAY, bin_start, day_start, zone
from portkin.wording import amount
from portkin_training.core.csv_text import open_csv
from portkin_training.core.doubtful_times import doubtful_times

PORTS = ("port", "dst_port", "dest_port", "dport", "dpt")
TIMES = ("hour", "day", "bin", "time", "date", "datetime", "timestamp", "ts")
COUNTS = ("requests", "connections", "packets", "probes", "count", "counts", "events", "hits")
_INGEST = "of a capture or a log make probes first: portkin ingest"
MOST = 2**53
"""The largest count: up to it every whole number has a double of its own."""
MOST_BINS = 1_000_000
"""A century of hours: a file that spans more has a wrong year in it."""
FEWEST_TIMES = 3
"""Distinct times from which on it says something that none of them is the beginning of a bin."""

_GROUPED = re.compile(r"[1-9]\d{0,2}([.,]\d{3})+")
_DECIMAL_COMMA = re.compile(r"\d+,\d*")


def read_counts(
    path: Path, width: int, tz: str, tell: Callable[[str], None]
) -> tuple[NDArray[np.float64], list[Port], NDArray[np.float64]]:
    """The rows of a CSV: seconds since the epoch (n,), ports, counts (n,); InputError for what cannot be read.

    A time without a zone is of `tz`. `width` of the bins, in seconds, says whether a change of clocks matters. `tell`
    gets a sentence where times name no zone, where none of them is the beginning of a bin, and where rows repeat the
    local time of a port, which is what an autumn hour looks like.

    Columns are parted as the header has it: by commas, semicolons, tabs or bars.
    """
    when: list[float] = []
    ports: list[Port] = []
    counts: list[float] = []
    seen: dict[str, float] = {}
    lines: dict[str, int] = {}
    known: dict[str, Port] = {}
    rows_of: set[tuple[str, str]] = set()
    repeated: list[tuple[int, str]] = []
    try:
        with path.open(newline="", encoding="utf-8-sig") as opened:
            delimiter, rows = open_csv(opened)
            header = [name.strip() for name in next(rows, (0, []))[1]]
            if any("\0" in name for name in header):
                raise InputError(f"{path}: binary, and no CSV; {_INGEST}")
            if not header:
                raise InputError(f"{path}: empty; its first line names the columns, as port,hour,count")
            at_port, at_time, at_count = _columns(path, header)
            for line, row in rows:
                if not row:
                    continue
                where = f"{path}, line {line}"
                if len(row) != len(header):
                    raise InputError(f"{where}: {len(row)} fields, but {len(header)} columns are named")
                time, port = row[at_time].strip(), row[at_port].strip()
                if time not in seen:
                    seen[time] = _seconds(where, time, width, tz)
                    lines[time] = line
                if port not in known:
                    known[port] = _port(where, port)
                if (time, port) in rows_of and datetime.fromisoformat(time).tzinfo is None:
                    repeated.append((line, time))
                rows_of.add((time, port))
                when.append(seen[time])
                ports.append(known[port])
                counts.append(_count(where, row[at_count].strip(), commas=delimiter != ","))
    except (csv.Error, UnicodeDecodeError) as error:
        raise InputError(f"{path}: not a CSV file in UTF-8 ({error}); {_INGEST}") from None
    if not when:
        raise InputError(f"{path}: no rows")
    _check_times(path, seen, lines, width, tz, tell)
    if repeated:
        line, time = repeated[0]
        tell(
            f"{path}: {amount(len(repeated), 'row')} with the time and port of another, added to it, the first in line "
            f"{line} ({time}); if these are local times and the clocks went back, write them in UTC, or with their "
            "offset"
        )
    return np.array(when), ports, np.array(counts)


def _columns(path: Path, header: Sequence[str]) -> list[int]:
    """Where port, time and count are among the names of columns."""
    names = [name.lower() for name in header]
    found = [next((names.index(one) for one in usual if one in names), None) for usual in (PORTS, TIMES, COUNTS)]
    missing = [usual[0] for usual, at in zip((PORTS, TIMES, COUNTS), found, strict=True) if at is None]
    if missing:
        raise InputError(
            f"{path}: no column {', '.join(map(repr, missing))}; there are {listed(header)}; name the columns "
            "port,hour,count (or day), or of a log make probes first: portkin ingest"
        )
    return [at for at in found if at is not None]


def _port(where: str, text: str) -> Port:
    try:
        return Port.parse(text)
    except ValueError as error:
        raise InputError(f"{where}: {error}") from None


def _count(where: str, text: str, *, commas: bool) -> float:
    """A count. Where `commas` do not part columns, they may be those of decimals, and groups of three digits may be
    thousands or decimals; the latter are refused."""
    if commas and _GROUPED.fullmatch(text):
        raise InputError(
            f"{where}: {text!r} may be a number with thousands apart or one with decimals; write digits alone, as 1010"
        )
    if commas and _DECIMAL_COMMA.fullmatch(text):
        text = text.replace(",", ".")
    try:
        count = float(text)
    except ValueError:
        count = math.nan
    if "_" in text or not math.isfinite(count):
        raise InputError(f"{where}: {text!r} is not a count; write digits alone, as 1010")
    if count < 0:
        raise InputError(f"{where}: a count of {text}; nothing is probed less than 0 times")
    if not count.is_integer():
        raise InputError(f"{where}: a count of {text}; counts are whole numbers")
    if count > MOST:
        raise InputError(f"{where}: a count of {text}; more than {MOST} cannot be counted")
    return count


def _seconds(where: str, text: str, width: int, tz: str) -> float:
    try:
        read = datetime.fromisoformat(text)
        if not 1 < read.year < 9999:  # whose days the calendar may not have in other zones
            raise ValueError
        if read.tzinfo is not None:
            return read.timestamp()
        earlier, later = (read.replace(tzinfo=zone(tz), fold=fold).timestamp() for fold in (0, 1))
    except (ValueError, OverflowError):
        raise InputError(f"{where}: {text!r} is not an ISO 8601 time; write it as 2026-01-31T05:00") from None
    if width >= DAY and (day := _date(text)) is not None:
        try:
            return day_start(day, tz)
        except ValueError as error:
            raise InputError(f"{where}: {error}, where the calendar skips it; leave the row out") from None
    if bin_start(earlier, width, tz) != bin_start(later, width, tz):
        happens = "comes twice" if earlier < later else "does not exist"
        raise InputError(
            f"{where}: {text} {happens} in {tz}, where the clocks change; write times in UTC, or with their offset, as "
            f"{text}+01:00"
        )
    return earlier


def _date(text: str) -> date | None:
    try:
        return date.fromisoformat(text)
    except ValueError:  # with a time of the day
        return None


def _check_times(
    path: Path, seen: dict[str, float], lines: dict[str, int], width: int, tz: str, tell: Callable[[str], None]
) -> None:
    """Say what is doubtful about all times of a file together; InputError where they are of no bins of ours.

    `seen` has the seconds, `lines` the first line, of each time as it is written.
    """
    first, last = (pick(seen, key=lambda text: seen[text]) for pick in (min, max))
    if (seen[last] - seen[first]) / width > MOST_BINS:
        raise InputError(
            f"{path}: from {first} (line {lines[first]}) to {last} (line {lines[last]}) there are more than "
            f"{MOST_BINS:,} bins; is one of these years wrong?"
        )
    for sentence in doubtful_times(Counter(int(seconds // DAY) for seconds in seen.values()), "times"):
        tell(f"{path}: {sentence}; the series goes from {first} (line {lines[first]}) to {last} (line {lines[last]})")
    local = [text for text in seen if datetime.fromisoformat(text).tzinfo is None]
    if local and not (width >= DAY and all(len(text) <= len("2026-01-01") for text in local)):
        tell(
            f"{path}: {len(local)} of {len(seen)} times name no zone, the first in line {lines[local[0]]} "
            f"({local[0]}), and are read as {tz}; --tz says which zone they are of"
        )
    if (
        width < DAY
        and len(seen) >= FEWEST_TIMES
        and all(seconds == bin_start(seconds, DAY, tz) for seconds in seen.values())
    ):
        raise InputError(
            f"{path}: all {len(seen):,} times, from {first} on, are midnights of {tz}, so these are counts of days, "
            "and hours would be almost all unknown; count days: --bin 1d"
        )
    into = {seconds - bin_start(seconds, width, tz) for seconds in seen.values()}
    if len(seen) < FEWEST_TIMES or len(into) > 2 or 0 in into:  # days of another zone have two, in summer and winter
        return
    if width < DAY and len(local) == len(seen) and all(datetime.fromisoformat(text).minute == 0 for text in local):
        raise InputError(
            f"{path}, line {lines[first]}: {first} in {tz} is within a bin, which begin at whole hours of UTC, so its "
            "count belongs to two of them; count days (--bin 1d), or count the probes themselves"
        )
    tell(
        f"{path}: every time lies {min(into) / 60:.0f} minutes after a bin of {tz} begins, the first in line "
        f"{lines[first]} ({first}); if these are bins of another zone, say so by --tz"
    )
