"""The shape of formats with delimited columns whose names a header line holds, as programs with a fixed form write."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from portkin.errors import InputError, listed
from portkin_training.ingest.formats.format import Head, Judge, Source, judged
from portkin_training.ingest.logs import text_blocks
from portkin_training.ingest.logs.delimited_lines import parse_delimited
from portkin_training.ingest.records import FIELDS, Rows
from portkin_training.ingest.values.transport import by_value

MOST_BEFORE = 50
"""Lines that may stand before a header, and the header."""
_SIGNS = {",": "commas", ";": "semicolons", "\t": "tabs", "|": "bars", " ": "blanks"}


@dataclass
class Delimited:
    """A reader of delimited columns whose names a header line holds, as programs with a fixed form write them.

    Attributes:
        delimiter: what may stand between the columns: whichever of these signs the header holds most of.
        columns: our name of a column -> its names in headers, small letters without blanks.
        judge: see `Judge`.
        header: whether a line is the header.
        needed: columns without which rows cannot be judged, beside those of a probe.
        names: of the columns, where there is no header line.
        end: what lines begin with behind which no more rows come.
        remedy: what to do where a column is missing; "" for what every program can.
    """

    delimiter: str
    columns: Mapping[str, Sequence[str]]
    judge: Judge
    header: Callable[[str], bool]
    needed: Sequence[str] = ()
    names: Sequence[str] = ()
    end: tuple[str, ...] = ()
    remedy: str = ""

    def begins(self, head: Head) -> bool:
        """Whether one of the first lines is the header."""
        return any(map(self.header, head.lines[:MOST_BEFORE]))

    def __call__(self, source: Source) -> Iterator[Rows]:
        """The rows; lines before the header are skipped, and those of another width behind it are bad."""
        names, delimiter, begun, ended = [*self.names], self.delimiter[0], False, False
        for first, block in text_blocks.blocks(source.path, source.reading):
            if not begun:
                lines = block.split(b"\n", MOST_BEFORE)[:MOST_BEFORE]
                texts = [line.decode("utf-8", "replace").rstrip("\r") for line in lines]
                at = next((at for at, text in enumerate(texts) if self.header(text)), -1)
                if at >= 0:
                    delimiter = max(self.delimiter, key=texts[at].count)
                    names = [_plain(name) for name in texts[at].split(delimiter)]
                    block = block[sum(len(line) + 1 for line in lines[: at + 1]) :]
                    first += at + 1
                    if before := sum(1 for text in texts[:at] if text.strip()):
                        source.reading.read += before
                        source.reading.skipped["lines before the header"] += before
                elif not names:
                    raise InputError(
                        f"{source.path}: line 1: none of the first {MOST_BEFORE} lines names columns as the program "
                        f"does; have it write its header"
                    )
                begun = True
            while block:
                rows = b"" if ended else block[: self._end(block)]
                if rows:
                    yield self._rows(rows, first, names, delimiter, source)
                block, first = block[len(rows) :], first + rows.count(b"\n")
                ended = ended or bool(block)
                rest = self._summary(block, source)
                first += block.count(b"\n") - rest.count(b"\n")
                block, ended = rest, ended and not rest

    def _end(self, block: bytes) -> int:
        """Where the rows of a block end and a summary begins."""
        ends = [0 if block.startswith(text.encode()) else block.find(b"\n" + text.encode()) + 1 or len(block)
                for text in self.end]  # fmt: skip
        return min(ends, default=len(block))

    def _summary(self, block: bytes, source: Source) -> bytes:
        """What stands behind the summary that a block begins with: of files put together, the next header and rows."""
        at = 0
        while at < len(block):
            end = (block.find(b"\n", at) + 1) or len(block)
            line = block[at:end].decode("utf-8", "replace").rstrip("\r\n")
            if self.header(line):
                return block[at:]
            if line.strip():
                source.reading.read += 1
                source.reading.skipped["lines of a summary"] += 1
            at = end
        return b""

    def _rows(self, block: bytes, first: int, names: Sequence[str], delimiter: str, source: Source) -> Rows:
        chosen = {name: next((one for one in several if one in names), None) for name, several in self.columns.items()}
        wanted = [*dict.fromkeys(one for one in chosen.values() if one is not None)]
        found, where = parse_delimited(block, first, names, wanted, delimiter, quoted=True, reading=source.reading)
        columns = {name: found[one] for name, one in chosen.items() if one is not None}
        needed = FIELDS if source.any_state else (*FIELDS, *self.needed)
        missing = [several[0] for name, several in self.columns.items() if name in needed and name not in columns]
        if missing:
            remedy = self.remedy or (
                f"have the program write {'them' if len(missing) > 1 else 'it'}, with "
                f"{' or '.join(_SIGNS[sign] for sign in self.delimiter)} between the columns"
            )
            raise InputError(
                f"{source.path}: line {max(first - 1, 1)}: no column {', '.join(missing)}; there are "
                f"{listed(names)}; {remedy}"
            )
        # Files put together repeat the header.
        repeated = self._is_name(columns["dst"])
        rows = judged(columns, where, self.judge, source)
        if repeated.any() and rows.reasons is not None:
            rows.reasons.codes[repeated] = 0
            rows.reasons.mark(repeated, "repeated header lines")
        return rows

    def _is_name(self, column: pa.Array) -> NDArray[np.bool_]:
        return by_value(column, lambda text: _plain(text) in self.columns["dst"], 0, np.bool_)


def _plain(name: str) -> str:
    return re.sub(r"\s+", "", name.strip().strip('"').lower()).replace("_", "-")
