"""A CSV of ready-made counts: rows (port, bin, count), read strictly, each fault with its line."""

from __future__ import annotations

import csv
import math
from collections.abc import Callable, Sequence
from datetime import datetime
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from portkin.errors import InputError
from portkin.net.ports import Port
from portkin.timeseries.bins import bin_start, zone

PORTS = ("port", "dst_port")
TIMES = ("hour", "day", "bin", "time")
COUNTS = ("requests", "connections", "packets", "probes", "count")


def read_counts(
    path: Path, width: int, tz: str, tell: Callable[[str], None]
) -> tuple[NDArray[np.float64], list[Port], NDArray[np.float64]]:
    """The rows of a CSV: seconds since the epoch (n,), ports, counts (n,); InputError for what cannot be read.

    A time without a zone is of `tz`. `width` of the bins, in seconds, says whether a change of clocks matters. `tell`
    gets a sentence where rows repeat the local time of a port, which is what an autumn hour looks like.
    """
    when: list[float] = []
    ports: list[Port] = []
    counts: list[float] = []
    seen: dict[str, float] = {}
    known: dict[str, Port] = {}
    rows_of: set[tuple[str, str]] = set()
    repeated: list[tuple[int, str]] = []
    try:
        with path.open(newline="", encoding="utf-8-sig") as opened:
            rows = csv.reader(opened, strict=True)
            header = [name.strip() for name in next(rows, [])]
            if not header:
                raise InputError(f"{path}: empty; its first line names the columns, as port,hour,count")
            at_port, at_time, at_count = (_column(path, header, names) for names in (PORTS, TIMES, COUNTS))
            for row in rows:
                if not row:
                    continue
                where = f"{path}, line {rows.line_num}"
                if len(row) != len(header):
                    raise InputError(f"{where}: {len(row)} fields, but {len(header)} columns are named")
                time, port = row[at_time].strip(), row[at_port].strip()
                if time not in seen:
                    seen[time] = _seconds(where, time, width, tz)
                if port not in known:
                    known[port] = _port(where, port)
                if (time, port) in rows_of and datetime.fromisoformat(time).tzinfo is None:
                    repeated.append((rows.line_num, time))
                rows_of.add((time, port))
                when.append(seen[time])
                ports.append(known[port])
                counts.append(_count(where, row[at_count].strip()))
    except (csv.Error, UnicodeDecodeError) as error:
        raise InputError(f"{path}: not a CSV file in UTF-8 ({error})") from None
    if not when:
        raise InputError(f"{path}: no rows")
    if repeated:
        line, time = repeated[0]
        tell(
            f"{path}: {len(repeated)} rows repeat the time and port of another and are added to it, the first in line "
            f"{line} ({time}); if these are local times and the clocks went back, write them in UTC, or with their "
            "offset"
        )
    return np.array(when), ports, np.array(counts)


def _column(path: Path, header: Sequence[str], names: Sequence[str]) -> int:
    for name in names:
        if name in header:
            return header.index(name)
    raise InputError(f"{path}: no column {' or '.join(names)}; it has {', '.join(header)}")


def _port(where: str, text: str) -> Port:
    try:
        return Port.parse(text)
    except ValueError as error:
        raise InputError(f"{where}: {error}") from None


def _count(where: str, text: str) -> float:
    try:
        count = float(text)
    except ValueError:
        count = math.nan
    if "_" in text or not math.isfinite(count):
        raise InputError(f"{where}: {text!r} is not a count; write digits alone, as 1010")
    if count < 0:
        raise InputError(f"{where}: a count of {text}; nothing is probed less than 0 times")
    return count


def _seconds(where: str, text: str, width: int, tz: str) -> float:
    try:
        read = datetime.fromisoformat(text)
        if read.tzinfo is not None:
            return read.timestamp()
        earlier, later = (read.replace(tzinfo=zone(tz), fold=fold).timestamp() for fold in (0, 1))
    except (ValueError, OverflowError):
        raise InputError(f"{where}: {text!r} is not an ISO 8601 time") from None
    if bin_start(earlier, width, tz) != bin_start(later, width, tz):
        happens = "comes twice" if earlier < later else "does not exist"
        raise InputError(
            f"{where}: {text} {happens} in {tz}, where the clocks change; write times in UTC, or with their offset, as "
            f"{text}+01:00"
        )
    return earlier
