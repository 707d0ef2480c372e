"""The shape of formats whose records are lines that match a pattern, among other lines."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from portkin_training.ingest.formats.format import Judge, Source, judged
from portkin_training.ingest.logs import text_blocks
from portkin_training.ingest.logs.gathering import Chunk, gathered
from portkin_training.ingest.logs.line_ends import line_ends
from portkin_training.ingest.reading import Reading
from portkin_training.ingest.records import Columns, Rows, constant


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

    def chunks(source: Source) -> Iterator[Chunk]:
        looks = 0
        for first, block in text_blocks.blocks(source.path, source.reading):
            lines, where = text_blocks.lines_of(block, first)
            left = np.ones(len(lines), np.bool_)
            found = [_records(lines, where, left, pattern, source.reading) for pattern in patterns]
            if records := [chunk for chunk in found if len(chunk[1])]:
                yield _in_order(records)
            others = np.flatnonzero(left & (np.diff(line_ends(block)) > 2) if left.any() else left)
            if len(others):
                source.reading.read += len(others)
                source.reading.skipped["other lines"] += len(others)
            if len(others) and looks < _LOOKS:
                looks = _LOOKS if _report_foreign(lines, where, others[:_SAMPLE], source) else looks + 1

    def rows(source: Source) -> Iterator[Rows]:
        for columns, where in gathered(chunks(source)):
            yield judged(columns, where, judge, source)

    return rows


def _in_order(chunks: Sequence[Chunk]) -> Chunk:
    """The records of several patterns in the order of their lines; a part that a pattern does not have is ""."""
    if len(chunks) == 1:
        return chunks[0]
    where = np.concatenate([numbers for _, numbers in chunks])
    order = pa.array(np.argsort(where, kind="stable"))
    names = dict.fromkeys(name for columns, _ in chunks for name in columns)
    columns = {
        name: pa.concat_arrays([columns.get(name, constant("", len(numbers))) for columns, numbers in chunks])
        for name in names
    }
    return {name: column.take(order) for name, column in columns.items()}, where[order.to_numpy()]


_LOOKS, _SAMPLE = 4, 1000
"""In how many blocks, and among how many lines of each, records of another format are looked for."""


def _report_foreign(lines: pa.Array, where: NDArray[np.int64], at: NDArray[np.int64], source: Source) -> bool:
    """Note the first of the lines ``at`` (m,) that is a record of another format; whether there is one. ``where`` (n,)
    are the numbers of all lines (n,)."""
    texts = lines.take(pa.array(at)).to_pylist()
    reading = source.reading
    return reading.foreign("".join(texts)) is not None and any(map(reading.note_foreign, where[at].tolist(), texts))


def _records(
    lines: pa.Array, where: NDArray[np.int64], left: NDArray[np.bool_], pattern: LinePattern, reading: Reading
) -> Chunk:
    """The parts of the lines (n,) that are records, of those ``left`` (n,) by other patterns, and their numbers.

    What this pattern takes is left no more; ``where`` (n,) are the numbers of all lines.
    """
    usual = np.zeros(len(lines), np.bool_)
    columns: Columns = {}
    if pattern.scan is not None:
        columns, usual = pattern.scan(lines)
        if (usual & left).all():
            left[:] = False
            return columns, where
        usual &= left
        left &= ~usual
    rest = np.flatnonzero(left)
    rest = rest[_holds(lines.take(pa.array(rest)), pattern.needle)]
    left[rest] = False
    others, numbers = matched(lines.take(pa.array(rest)), where[rest], pattern, reading)
    if not usual.any():
        return others, numbers
    kept = pa.array(usual)
    where = np.concatenate((where[usual], numbers))
    order = np.argsort(where, kind="stable")
    return {
        name: pa.concat_arrays([column.filter(kept), others[name]]).take(pa.array(order))
        for name, column in columns.items()
    }, where[order]


def _holds(lines: pa.Array, needle: str | tuple[str, ...]) -> NDArray[np.bool_]:
    held = np.zeros(len(lines), np.bool_)
    for one in [needle] if isinstance(needle, str) else needle:
        if not held.all():
            held |= pc.match_substring(lines, one).to_numpy(zero_copy_only=False)
    return held


def matched(lines: pa.Array, where: NDArray[np.int64], pattern: LinePattern, reading: Reading) -> Chunk:
    """The parts of the lines (n,) that match, and their numbers (m,); the others are bad and counted.

    ``where`` (n,) are the numbers of all lines.
    """
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
