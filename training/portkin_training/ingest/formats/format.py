"""What a format is, and two shapes that formats come in: JSON lines, and lines that match a pattern."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from portkin.errors import InputError
from portkin_training.ingest.logs import text_blocks
from portkin_training.ingest.logs.json_documents import OneALine, is_document, object_begin
from portkin_training.ingest.logs.json_lines import JsonPaths, json_blocks
from portkin_training.ingest.reading import Reading
from portkin_training.ingest.reasons import Reasons
from portkin_training.ingest.records import Columns, Rows
from portkin_training.ingest.streams import BROKEN_STREAM, open_stream

HEAD = 1 << 18
"""Bytes of an input by which it is recognised."""
FURTHER = 1 << 25
"""Bytes in which the first record of a format is looked for, where others' lines come before it."""


@dataclass(frozen=True)
class Head:
    """The beginning of an input, by which its format is recognised."""

    data: bytes

    @cached_property
    def text(self) -> str:
        """The beginning as text, as readers of lines see it."""
        return text_blocks.plain_text(self.data)

    @cached_property
    def lines(self) -> list[str]:
        """The first lines that hold something; the last may be cut."""
        return [line.rstrip("\r") for line in self.text.split("\n") if line.strip()]

    @cached_property
    def objects(self) -> list[dict[str, Any]]:
        """The JSON objects among the lines."""
        found = []
        lines = self.lines
        if is_document(self.text):
            lines = OneALine()(self.text.encode()).decode().split("\n")
        for line in lines:
            if (at := object_begin(line)) >= 0:
                value = _whole(line[at:])
                if isinstance(value, dict):
                    found.append(value)
        return found

    def has_keys(self, *keys: str) -> bool:
        """Whether a JSON line holds all these keys at its top."""
        return any(all(key in found for key in keys) for found in self.objects)

    def matches(self, pattern: str) -> bool:
        """Whether a line matches, at any place."""
        compiled = re.compile(pattern)
        return any(compiled.search(line) for line in self.lines)


def further(path: Path) -> Iterator[Head]:
    """Windows of `HEAD` bytes behind the first one, of a text; each begins in a line. At most `FURTHER` bytes."""
    with open_stream(path) as stream:
        taken = 0
        while taken < FURTHER:
            try:
                data = stream.read(HEAD)
            except BROKEN_STREAM:
                return
            if not data:
                return
            if taken:
                yield Head(data)
            taken += len(data)


def _whole(text: str) -> Any:
    """The JSON value of a text; of one that is cut, what stands before the cut; None for what is no JSON."""
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        pass
    if text.rstrip().endswith("}"):
        return None
    before = text.rpartition(",")[0]
    try:
        return json.loads(before + "}" * (before.count("{") - before.count("}")))
    except (ValueError, RecursionError):
        return None


def first_bytes(path: Path) -> bytes:
    """The first `HEAD` bytes of an input, decompressed; fewer where it is shorter.

    Raises:
        InputError: no such file, or its beginning cannot be decompressed.
    """
    data = b""
    with open_stream(path) as stream:
        try:
            while len(data) < HEAD and (more := stream.read(HEAD - len(data))):
                data += more
        except BROKEN_STREAM as error:
            if not data:
                raise InputError(f"{path}: byte 0: cannot be decompressed ({error})") from error
    return data


@dataclass(frozen=True)
class Source:
    """An input that is to be read.

    Attributes:
        path: the file.
        reading: the report on it.
        any_state: flows that were answered count too.
        foreign: which other format some lines are of, if any: for lines that are no records of the one that is read.
    """

    path: Path
    reading: Reading
    any_state: bool = False
    foreign: Callable[[Head], str | None] = lambda head: None


Judge = Callable[[Columns, Source], tuple[Columns, Reasons]]
"""From the columns of a format to the fields of a probe, and why rows are none."""


@dataclass(frozen=True)
class Format:
    """A format of records.

    Attributes:
        name: as ``--format`` takes it and reports print it.
        title: what it is, for people.
        recognise: whether an input begins like one.
        rows: the rows of an input.
        packets: whether a record is a packet with its flags, judged by the rules for captures.
        lines: whether each record is a line by itself, so that others may stand before the first one.
        session: seconds that records of one session may lie apart; None: as for all.
    """

    name: str
    title: str
    recognise: Callable[[Head], bool]
    rows: Callable[[Source], Iterator[Rows]]
    packets: bool = False
    session: int | None = None
    lines: bool = True


def json_rows(paths: Mapping[str, str | Sequence[str]], judge: Judge) -> Callable[[Source], Iterator[Rows]]:
    """A reader of JSON lines: column -> JSON pointer of its value, or several of which the first there counts."""

    def rows(source: Source) -> Iterator[Rows]:
        values = JsonPaths(paths)
        for first, block in json_blocks(source.path, source.reading, first_bytes(source.path)):
            columns, where = values.columns(block, first, source.reading)
            yield judged(columns, where, judge, source)

    return rows


@dataclass(frozen=True)
class LinePattern:
    """Lines that are records of a format, and their parts.

    Attributes:
        needle: text that every such line holds, so that others cost little; or several of which it holds one.
        pattern: RE2; its named groups become columns, "" where a group is not there.
        scan: finds the same in lines of the usual shape, faster: from lines (n,) the columns and a mask of those it
            took, or None.
    """

    needle: str | tuple[str, ...]
    pattern: str
    scan: Callable[[pa.Array], tuple[Columns, NDArray[np.bool_]]] | None = None


def line_rows(patterns: Sequence[LinePattern], judge: Judge) -> Callable[[Source], Iterator[Rows]]:
    """A reader of lines among which others may stand; a record is the first pattern whose needle it holds."""

    def rows(source: Source) -> Iterator[Rows]:
        looks = 0
        for first, block in text_blocks.blocks(source.path, source.reading):
            lines, where = text_blocks.lines_of(block, first)
            left = np.ones(len(lines), np.bool_)
            for pattern in patterns:
                held = left & _holds(lines, pattern.needle)
                left &= ~held
                at = np.flatnonzero(held)
                if len(at):
                    taken = lines if len(at) == len(lines) else lines.take(pa.array(at))
                    columns, matched = groups(taken, where[at], pattern, source.reading)
                    yield judged(columns, matched, judge, source)
            others = np.flatnonzero(left & (pc.binary_length(lines).to_numpy(zero_copy_only=False) > 2))
            if len(others):
                source.reading.read += len(others)
                source.reading.skipped["other lines"] += len(others)
            if len(others) and looks < _LOOKS:
                looks = _LOOKS if _tell_foreign(lines, where, others[:_SAMPLE], source) else looks + 1

    return rows


_LOOKS, _SAMPLE = 4, 1000
"""In how many blocks, and among how many lines of each, records of another format are looked for."""


def _tell_foreign(lines: pa.Array, where: NDArray[np.int64], at: NDArray[np.int64], source: Source) -> bool:
    """Note the first of the lines ``at`` (m,) that is a record of another format; whether there is one. ``where`` (n,)
    are the numbers of all lines (n,)."""
    texts = lines.take(pa.array(at)).to_pylist()
    if source.foreign(Head("".join(texts).encode())) is None:
        return False
    for row, text in zip(at, texts, strict=True):
        name = source.foreign(Head(text.encode()))
        if name is not None:
            source.reading.note(
                f"line {where[row]} is a record of {name}, and others may be: to have them too, ingest the file once "
                f"more with --format {name} --append --again"
            )
            return True
    return False


def _holds(lines: pa.Array, needle: str | tuple[str, ...]) -> NDArray[np.bool_]:
    held = np.zeros(len(lines), np.bool_)
    for one in [needle] if isinstance(needle, str) else needle:
        if not held.all():
            held |= pc.match_substring(lines, one).to_numpy(zero_copy_only=False)
    return held


def groups(
    lines: pa.Array, where: NDArray[np.int64], pattern: LinePattern, reading: Reading
) -> tuple[Columns, NDArray[np.int64]]:
    """The parts of the lines (n,) that match, and their numbers (m,); the others are bad and counted.

    ``where`` (n,) are the numbers of all lines.
    """
    if pattern.scan is None:
        return _matched(lines, where, pattern, reading)
    columns, usual = pattern.scan(lines)
    if usual.all():
        return columns, where
    rest, kept = np.flatnonzero(~usual), pa.array(usual)
    others, numbers = _matched(lines.take(pa.array(rest)), where[rest], pattern, reading)
    where = np.concatenate((where[usual], numbers))
    order = np.argsort(where, kind="stable")
    taken = pa.array(order)
    return {
        name: pa.concat_arrays([column.filter(kept), others[name]]).take(taken) for name, column in columns.items()
    }, where[order]


def _matched(
    lines: pa.Array, where: NDArray[np.int64], pattern: LinePattern, reading: Reading
) -> tuple[Columns, NDArray[np.int64]]:
    parts = pc.extract_regex(lines, pattern.pattern)
    broken = parts.is_null().to_numpy(zero_copy_only=False)
    if broken.any():
        for at in np.flatnonzero(broken):
            reading.read += 1
            text = lines[int(at)].as_py().strip()
            reading.bad_row(f"line {where[at]}", f"no record: {text[:120]!r}", "no record")
        kept = pa.array(~broken)
        parts, where = parts.filter(kept), where[~broken]
    return dict(zip((one.name for one in parts.type), parts.flatten(), strict=True)), where


def judged(columns: Columns, where: NDArray[np.int64], judge: Judge, source: Source) -> Rows:
    """The rows (n,) of ``columns`` as a format judges them; ``where`` (n,) are their numbers."""
    fields, reasons = judge(columns, source)
    return Rows(fields, where, reasons)


def is_in(column: pa.Array, *values: str) -> NDArray[np.bool_]:
    """(n,) whether a text is one of these; False for null."""
    mask: NDArray[np.bool_] = pc.is_in(column, pa.array(values, column.type)).to_numpy(zero_copy_only=False)
    return mask


def filled(column: pa.Array) -> NDArray[np.bool_]:
    """(n,) whether a text is there and not empty."""
    mask: NDArray[np.bool_] = pc.fill_null(pc.not_equal(column, ""), False).to_numpy(zero_copy_only=False)
    return mask
