"""The order of time: of rotated files, whatever their names, and of the rows of a log that has another one."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import groupby, islice, pairwise
from pathlib import Path

import numpy as np

from portkin_training.core.probes import Probes
from portkin_training.ingest.captures.packets import Packets
from portkin_training.ingest.first_years import Begin, first_years
from portkin_training.ingest.inputs import InputOptions, detect, read_input
from portkin_training.ingest.reading import Reading
from portkin_training.ingest.streams import modified_us

ROOM = 1 << 18
"""Rows that are held back, so that a record that comes so many too late still finds its place."""


EMPTY = "empty"
"""The kind of a file without a byte."""


@dataclass(frozen=True)
class Input:
    """An input in its place.

    Attributes:
        kind: one of `formats.names.KINDS`.
        year: of its first time that names none; None: as `Clock` takes it.
    """

    path: Path
    kind: str
    year: int | None = None


def in_time_order(inputs: Sequence[Path], options: InputOptions) -> list[Input]:
    """The inputs, those of one kind that stand together by the times that they begin with, as rotated files must be
    read. Where the year of the first time is given, each that needs one is told its own (`first_years`).

    An empty file among others is `EMPTY`: a log that was rotated a moment ago.

    Raises:
        InputError: an input cannot be opened or is of no known kind.
    """
    year = options.columns.year
    several = len(inputs) > 1
    found = [Input(path, _kind(path, options) if several else options.kind or detect(path), year) for path in inputs]
    found.sort(key=lambda one: one.kind != EMPTY)  # none stands between those of one kind
    groups = [[*group] for _, group in groupby(range(len(found)), key=lambda at: found[at].kind)]
    if len(found) == 1 or (year is None and len(groups) == len(found)):
        return found
    begins = {at: _begin(found[at], options) for group in groups if year or len(group) > 1 for at in group}
    if year is not None:
        for at, (own, begin) in first_years(begins, year, options.columns.tz).items():
            found[at], begins[at] = replace(found[at], year=own), begin
    return [found[at] for group in groups for at in sorted(group, key=lambda at: begins[at].us if at in begins else 0)]


def _kind(path: Path, options: InputOptions) -> str:
    """The kind of one of several inputs."""
    if path.is_file() and not path.stat().st_size:
        return EMPTY
    return options.kind or detect(path)


def _begin(one: Input, options: InputOptions) -> Begin:
    """The times in the first chunk of an input that has any, as without a year that is given."""
    if one.kind == EMPTY:
        return Begin(math.inf)
    reading = Reading(str(one.path))
    options = replace(options, kind=one.kind, columns=replace(options.columns, year=None))
    for chunk in islice(read_input(one.path, reading, options), 4):
        if len(chunk):
            return Begin(int(chunk.ts.min()), int(chunk.ts[0]), modified_us(one.path), reading.yearless)
    return Begin(math.inf)


def by_time(chunks: Iterable[Packets | Probes]) -> Iterator[Packets | Probes]:
    """The rows of a log, all of one type, in the order of time, as far as none comes more than `ROOM` rows too late.

    Logs of flows are in the order in which these ended, tables in any. What is in order already is passed on as it is.
    """
    held: list[Packets | Probes] = []
    rows = 0
    for chunk in chunks:
        if not len(chunk):
            continue
        held.append(chunk)
        rows += len(chunk)
        if rows >= 2 * ROOM:
            held = _sorted(held)
            while rows > ROOM:
                first, n = held.pop(0), rows - ROOM
                yield first[:n]
                rows -= len(first[:n])
                if len(first) > n:
                    held.insert(0, first[n:])
    yield from _sorted(held)


def _sorted(chunks: list[Packets | Probes]) -> list[Packets | Probes]:
    """The rows by their stamps, equal ones as they come; the chunks themselves where they are in order."""
    ends = [(chunk.ts[0], chunk.ts[-1]) for chunk in chunks]
    in_order = all(before[1] <= behind[0] for before, behind in pairwise(ends))
    if in_order and all((chunk.ts[1:] >= chunk.ts[:-1]).all() for chunk in chunks):
        return chunks
    whole: Packets | Probes = type(chunks[0]).concat(chunks)  # type: ignore[arg-type]  # all are of one type
    return [whole[np.argsort(whole.ts, kind="stable")]]
