"""What a format is, and the shape of those that are JSON lines; for lines that match a pattern see `line_patterns`."""

from __future__ import annotations

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
from portkin.json_text import parsed
from portkin_training.ingest.logs import text_blocks
from portkin_training.ingest.logs.gathering import gathered
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

    def matches(self, needle: str, pattern: str) -> bool:
        """Whether a line matches, at any place; all that match hold ``needle``."""
        compiled = re.compile(pattern)
        return needle in self.text and any(compiled.search(line) for line in self.lines)


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
        return parsed(text)
    except ValueError:
        pass
    if text.rstrip().endswith("}"):
        return None
    before = text.rpartition(",")[0]
    try:
        return parsed(before + "}" * (before.count("{") - before.count("}")))
    except ValueError:
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
        outcomes: rows are to have a column ``outcome``, of `records.OUTCOMES`; only of formats with outcomes.
    """

    path: Path
    reading: Reading
    any_state: bool = False
    outcomes: bool = False


Judge = Callable[[Columns, Source], tuple[Columns, Reasons]]
"""From the columns of a format to the fields of a probe, and why rows are none."""


@dataclass(frozen=True)
class Format:
    """A format of records.

    Attributes:
        name: as ``--format`` takes it and reports print it; `names` says what it is.
        recognise: whether an input begins like one.
        rows: the rows of an input.
        packets: whether a record is a packet with its flags, judged by the rules for captures.
        lines: whether each record is a line by itself, so that others may stand before the first one.
        session: seconds that records of one session may lie apart; None: as for all.
        outcomes: whether a record says what came of a flow, see `Source`.
    """

    name: str
    recognise: Callable[[Head], bool]
    rows: Callable[[Source], Iterator[Rows]]
    packets: bool = False
    session: int | None = None
    lines: bool = True
    outcomes: bool = False


def json_rows(paths: Mapping[str, str | Sequence[str]], judge: Judge) -> Callable[[Source], Iterator[Rows]]:
    """A reader of JSON lines: column -> JSON pointer of its value, or several of which the first there counts."""

    def rows(source: Source) -> Iterator[Rows]:
        values = JsonPaths(paths)
        blocks = json_blocks(source.path, source.reading, first_bytes(source.path))
        for columns, where in gathered(values.columns(block, first, source.reading) for first, block in blocks):
            yield judged(columns, where, judge, source)

    return rows


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
