"""What a format is, and the shapes that formats come in: JSON lines, lines that match a pattern, delimited columns."""

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
from portkin_training.ingest.logs.json_documents import OneALine, is_document
from portkin_training.ingest.logs.json_lines import JsonPaths, json_blocks
from portkin_training.ingest.reading import Reading
from portkin_training.ingest.reasons import Reasons
from portkin_training.ingest.records import FIELDS, Columns, Rows
from portkin_training.ingest.streams import BROKEN_STREAM, open_stream

HEAD = 1 << 18
"""Bytes of an input by which it is recognised."""
MOST_LINES = 2000


@dataclass(frozen=True)
class Head:
    """The beginning of an input, by which its format is recognised."""

    data: bytes

    @cached_property
    def text(self) -> str:
        """The beginning as text, without a byte order mark."""
        return self.data.decode("utf-8", "replace").removeprefix("\ufeff").replace("\0", "")

    @cached_property
    def lines(self) -> list[str]:
        """The first lines that hold something, at most `MOST_LINES`; the last may be cut."""
        return [line.rstrip("\r") for line in self.text.split("\n") if line.strip()][:MOST_LINES]

    @cached_property
    def objects(self) -> list[dict[str, Any]]:
        """The JSON objects among the lines."""
        found = []
        lines = self.lines
        if is_document(self.data):
            lines = OneALine()(self.data).decode("utf-8", "replace").split("\n")[:MOST_LINES]
        for line in lines:
            if line.lstrip().startswith("{"):
                try:
                    value = json.loads(line)
                except (ValueError, RecursionError):
                    continue
                found.append(value)
        return found

    def has_keys(self, *keys: str) -> bool:
        """Whether a JSON line holds all these keys at its top."""
        return any(all(key in found for key in keys) for found in self.objects)

    def matches(self, pattern: str) -> bool:
        """Whether a line matches, at any place."""
        compiled = re.compile(pattern)
        return any(compiled.search(line) for line in self.lines)


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
    """

    path: Path
    reading: Reading
    any_state: bool = False


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
        session: seconds that records of one session may lie apart; None: as for all.
    """

    name: str
    title: str
    recognise: Callable[[Head], bool]
    rows: Callable[[Source], Iterator[Rows]]
    packets: bool = False
    session: int | None = None


def json_rows(paths: Mapping[str, str | Sequence[str]], judge: Judge) -> Callable[[Source], Iterator[Rows]]:
    """A reader of JSON lines: column -> JSON pointer of its value, or several of which the first there counts."""

    def rows(source: Source) -> Iterator[Rows]:
        values = JsonPaths(paths)
        for first, block in json_blocks(source.path, source.reading, first_bytes(source.path)):
            columns, where = values.columns(block, first, source.reading)
            yield _judged(columns, where, judge, source)

    return rows


@dataclass(frozen=True)
class LinePattern:
    """Lines that are records of a format, and their parts.

    Attributes:
        needle: text that every such line holds, so that others cost little.
        pattern: RE2; its named groups become columns, "" where a group is not there.
        scan: finds the same in lines of the usual shape, faster: from lines (n,) the columns and a mask of those it
            took, or None.
    """

    needle: str
    pattern: str
    scan: Callable[[pa.Array], tuple[Columns, NDArray[np.bool_]]] | None = None


def line_rows(patterns: Sequence[LinePattern], judge: Judge) -> Callable[[Source], Iterator[Rows]]:
    """A reader of lines among which others may stand; a record is the first pattern whose needle it holds."""

    def rows(source: Source) -> Iterator[Rows]:
        for first, block in text_blocks.blocks(source.path, source.reading):
            lines, where = text_blocks.lines_of(block, first)
            left = np.ones(len(lines), np.bool_)
            for pattern in patterns:
                held = left & pc.match_substring(lines, pattern.needle).to_numpy(zero_copy_only=False)
                left &= ~held
                at = np.flatnonzero(held)
                if len(at):
                    taken = lines if len(at) == len(lines) else lines.take(pa.array(at))
                    columns, matched = groups(taken, where[at], pattern, source.reading)
                    yield _judged(columns, matched, judge, source)
            others = int(np.count_nonzero(left & (pc.binary_length(lines).to_numpy(zero_copy_only=False) > 2)))
            if others:
                source.reading.read += others
                source.reading.skipped["other lines"] += others

    return rows


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


def _judged(columns: Columns, where: NDArray[np.int64], judge: Judge, source: Source) -> Rows:
    fields, reasons = judge(columns, source)
    return Rows(fields, where, reasons)


@dataclass
class Delimited:
    """A reader of delimited columns whose names a header line holds, as programs with a fixed form write them.

    Attributes:
        delimiter: between the columns.
        columns: our name of a column -> its names in headers, small letters without blanks.
        judge: see `Judge`.
        names: of the columns, where there is no header line.
        header: whether a line is the header.
        end: what lines begin with behind which no more rows come.
    """

    delimiter: str
    columns: Mapping[str, Sequence[str]]
    judge: Judge
    header: Callable[[str], bool]
    names: Sequence[str] = ()
    end: tuple[str, ...] = ()

    def __call__(self, source: Source) -> Iterator[Rows]:
        """The rows; lines of another width (titles, summaries) are bad where they are not empty."""
        names = [*self.names]
        for first, block in text_blocks.blocks(source.path, source.reading):
            if not names or self.header(block.partition(b"\n")[0].decode("utf-8", "replace")):
                head, _, block = block.partition(b"\n")
                first += 1
                names = [_plain(name) for name in head.decode("utf-8", "replace").split(self.delimiter)]
            block, ended = self._until_end(block)
            if block:
                yield self._rows(block, first, names, source)
            if ended:
                return

    def _until_end(self, block: bytes) -> tuple[bytes, bool]:
        for text in self.end:
            at = 0 if block.startswith(text.encode()) else block.find(b"\n" + text.encode()) + 1
            if at or block.startswith(text.encode()):
                return block[:at], True
        return block, False

    def _rows(self, block: bytes, first: int, names: Sequence[str], source: Source) -> Rows:
        found, where = text_blocks.parse_delimited(
            block, first, names, self.delimiter, quoted=True, reading=source.reading
        )
        columns = {}
        for name, several in self.columns.items():
            there = [found[one] for one in several if one in found]
            if there:
                columns[name] = there[0]
        missing = [several[0] for name, several in self.columns.items() if name in FIELDS and name not in columns]
        if missing:
            raise InputError(f"{source.path}: line 1: no column {', '.join(missing)}; have the program write them")
        return _judged(columns, where, self.judge, source)


def _plain(name: str) -> str:
    return re.sub(r"\s+", "", name.strip().strip('"').lower())


def is_in(column: pa.Array, *values: str) -> NDArray[np.bool_]:
    """(n,) whether a text is one of these; False for null."""
    mask: NDArray[np.bool_] = pc.is_in(column, pa.array(values, column.type)).to_numpy(zero_copy_only=False)
    return mask


def filled(column: pa.Array) -> NDArray[np.bool_]:
    """(n,) whether a text is there and not empty."""
    mask: NDArray[np.bool_] = pc.fill_null(pc.not_equal(column, ""), False).to_numpy(zero_copy_only=False)
    return mask
