"""Text inputs in blocks of whole lines, so that an invalid line can be named by its number."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.csv as pa_csv
from numpy.typing import NDArray

from portkin.errors import InputError
from portkin_training.ingest.reading import Reading
from portkin_training.ingest.streams import BROKEN_STREAM, open_stream

BLOCK = 1 << 23
LONGEST = 1 << 20
"""Bytes of the longest line that is read."""
_MARK = b"\xef\xbb\xbf"


_LONE_RETURN = re.compile(rb"\r(?!\n)")
_COLOUR = re.compile(rb"\x1b\[[0-9;]*[A-Za-z]")
"""What programs write around words to colour them on a terminal, as `dmesg --color=always` does."""


def blocks(
    path: Path, reading: Reading, rewrite: Callable[[bytes], bytes] = lambda piece: piece
) -> Iterator[tuple[int, bytes]]:
    """(number of the first line, whole lines) of a file, in blocks of about 8 MiB; the first line is 1.

    ``rewrite`` is given the bytes of the file piece by piece and returns what is read in their place.

    Where a compressed file is cut, the lines before the cut are yielded and the reading reports it. Lines longer than
    `LONGEST` are left out and reported; each leaves an empty line.
    """
    line, carried, ended, skipping = 1, b"", False, False
    with open_stream(path, reading) as stream:
        while not ended:
            try:
                piece = stream.read(BLOCK) or b""
            except BROKEN_STREAM as error:
                reading.problem("the end", f"the file is cut or damaged ({error}); what came before is kept")
                piece = b""
            ended = not piece
            if line == 1 and not carried:
                _refuse_other_text(path, piece)
                piece = piece.removeprefix(_MARK)
            piece = rewrite(piece)
            if skipping:
                end = piece.find(b"\n")
                if end < 0 and not ended:
                    continue
                piece, skipping = piece[max(end, 0) :], False
            block = carried + piece
            end = len(block) if ended else block.rfind(b"\n") + 1
            carried = block[end:]
            if end:
                whole = block[:end]
                yield line, _cleaned(whole, line, reading)
                line += _breaks(whole)
            if len(carried) > LONGEST:
                _too_long(line, reading)
                carried, skipping = b"", True


def _refuse_other_text(path: Path, head: bytes) -> None:
    if head.startswith((b"\xff\xfe", b"\xfe\xff")):
        raise InputError(f"{path}: byte 0: text in UTF-16; convert it with `iconv -f UTF-16 -t UTF-8`")
    if b"\r" in head and b"\n" not in head:
        raise InputError(f"{path}: line 1: lines end with carriage returns alone; convert it with `tr '\\r' '\\n'`")


def plain_text(data: bytes) -> str:
    """The beginning of an input as text as `blocks` yields it: without byte order mark, null bytes and colours."""
    data = _COLOUR.sub(b"", data.replace(b"\0", b"").removeprefix(_MARK))
    return data.decode("utf-8", "replace")


def _too_long(line: int, reading: Reading) -> None:
    reading.read += 1
    reading.bad_row(f"line {line}", f"longer than {LONGEST:,} bytes")


def _cleaned(block: bytes, first: int, reading: Reading) -> bytes:
    """The block without overlong lines and null bytes, and with what is no UTF-8 replaced, so that both are bad values
    and no failures. Logs that are emptied while they are written begin with null bytes."""
    if b"\0" in block:
        block = block.replace(b"\0", b"")
    if b"\x1b" in block:
        block = _COLOUR.sub(b"", block)
    if b"\r" in block and block.count(b"\r") != block.count(b"\r\n"):
        # Readers take a carriage return by itself for the end of a line: numbers and quotes would go astray.
        block = _LONE_RETURN.sub(b" ", block)
    if not block.isascii():
        try:
            block.decode()
        except UnicodeDecodeError:
            block = block.decode(errors="replace").encode()
    ends = line_ends(block)
    lengths = np.diff(ends)
    if len(lengths) and lengths.max() > LONGEST:
        for at in np.flatnonzero(lengths > LONGEST):
            _too_long(first + int(at), reading)
        kept = (b"\n" if n > LONGEST else block[a:z] for a, z, n in zip(ends, ends[1:], lengths, strict=False))
        block = b"".join(kept)
    return block


def _breaks(block: bytes) -> int:
    return int(np.count_nonzero(np.frombuffer(block, np.uint8) == 10))


def line_ends(block: bytes) -> NDArray[np.int64]:
    """Where each line begins, and where the last one ends: (lines + 1,)."""
    breaks = np.flatnonzero(np.frombuffer(block, np.uint8) == 10) + 1
    ends = np.concatenate(([0], breaks))
    return ends if not block or block.endswith(b"\n") else np.append(ends, len(block))


def lines_of(block: bytes, first: int) -> tuple[pa.Array, NDArray[np.int64]]:
    """The lines of a block as text, line ends included, without copying it; and their numbers: (n,) each."""
    ends = line_ends(block)
    n = len(ends) - 1
    buffers = [None, pa.py_buffer(ends.astype(np.int32)), pa.py_buffer(block)]
    return pa.StringArray.from_buffers(n, *buffers[1:]), np.arange(first, first + n)


def parse_delimited(
    block: bytes, first: int, names: Sequence[str], delimiter: str, *, quoted: bool, reading: Reading
) -> tuple[dict[str, pa.Array], NDArray[np.int64]]:
    """The text columns of delimited lines, and the line number of each row: (n,) each. Lines of another width are bad.

    Args:
        block: whole lines.
        first: number of the first one.
        names: of the columns; of equal ones the first counts.
        quoted: whether "..." quotes a value.
    """
    unique = [name if names.index(name) == at else f"{name} #{at}" for at, name in enumerate(names)]
    parsed = _parsed(block, unique, delimiter, quoted)
    if len(parsed[0]) + len(parsed[1]) != len(line_ends(block)) - 1:  # a quote without its pair took lines together
        parsed = _parsed(_requoted(block, delimiter), unique, "\x1f", quoted=False)
    table, wrong = parsed
    for number, width in wrong.items():
        reading.read += 1
        reading.bad_row(
            f"line {first + number - 1}",
            f"{width} columns where the header has {len(unique)}",
            "another number of columns than the header has",
        )
    lines = np.delete(np.arange(first, first + len(table) + len(wrong)), np.array([*wrong], np.int64) - 1)
    columns = {name: table.column(name).combine_chunks() for name in unique}
    ends = line_ends(block)
    empty = np.flatnonzero(np.diff(ends) <= 2)
    empty = empty[[not block[ends[at] : ends[at + 1]].strip() for at in empty]] if len(empty) else empty
    filled = ~np.isin(lines - first, empty)
    if filled.all():
        return columns, lines
    kept = pa.array(filled)
    return {name: column.filter(kept) for name, column in columns.items()}, lines[filled]


def _parsed(block: bytes, names: Sequence[str], delimiter: str, quoted: bool) -> tuple[pa.Table, dict[int, int]]:
    """The rows of this width, and of the others: place among the rows, from 1 -> columns."""
    wrong: dict[int, int] = {}

    def skip(row: pa_csv.InvalidRow) -> str:
        wrong[row.number] = row.actual_columns
        return "skip"

    table = pa_csv.read_csv(
        io.BytesIO(block),
        read_options=pa_csv.ReadOptions(column_names=names, use_threads=False, block_size=len(block) + 1),
        parse_options=pa_csv.ParseOptions(
            delimiter=delimiter,
            quote_char='"' if quoted else False,
            ignore_empty_lines=False,
            invalid_row_handler=skip,
        ),
        convert_options=pa_csv.ConvertOptions(
            column_types={name: pa.string() for name in names}, strings_can_be_null=False, check_utf8=False
        ),
    )
    return table.combine_chunks(), wrong


def _requoted(block: bytes, delimiter: str) -> bytes:
    """The block with the unit separator for a delimiter and without quotes, each line by itself."""
    lines = block.decode().split("\n")
    if not lines[-1]:
        lines.pop()
    rows = (_values(line.rstrip("\r"), delimiter) for line in lines)
    return "".join(
        "\x1f".join(value.replace("\x1f", " ").replace("\n", " ") for value in row) + "\n" for row in rows
    ).encode()


def _values(line: str, delimiter: str) -> list[str]:
    """The values of one line; none where they cannot be separated, as in one longer than the csv module takes."""
    try:
        return next(csv.reader([line], delimiter=delimiter), [])
    except csv.Error:
        return []
