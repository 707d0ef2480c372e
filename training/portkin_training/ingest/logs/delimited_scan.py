"""Columns of delimited lines without quotes, in one pass over their bytes."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from portkin_training.core.unaligned import inlined, kernel, u8
from portkin_training.core.vectors import LONG, either, lowest
from portkin_training.ingest.logs.line_ends import line_breaks
from portkin_training.ingest.logs.spans import NOT_THERE, text_columns


@inlined
def _signs(at, stop, delimiter):
    """The bits of delimiters and line ends among the next `LONG` bytes before ``stop``."""
    if at + LONG <= stop:
        return either(at, delimiter, np.int64(10))
    found = np.int64(0)
    for place in range(stop - at):
        byte = u8(at + place)
        if byte == delimiter or byte == 10:
            found |= np.int64(1) << place
    return found


@kernel
def _split(data, delimiter, columns, begins, lengths, widths):
    """Fill in the spans of the wanted columns (columns, lines), and how many columns each line has, 0 for an empty
    one; ``columns`` says which wanted column a place is, or -1. The block ends with a line end."""
    base = np.int64(data.ctypes.data)
    at, stop, begin, line, row, place = base, base + len(data), base, base, 0, 0
    while at < stop:
        bits = _signs(at, stop, delimiter)
        while bits:
            sign = at + lowest(bits)
            bits &= bits - 1
            ends = u8(sign) == 10
            end = sign - 1 if ends and sign > begin and u8(sign - 1) == 13 else sign
            if place < len(columns) and columns[place] >= 0:
                begins[columns[place], row] = begin - base
                lengths[columns[place], row] = end - begin
            place += 1
            begin = sign + 1
            if ends:
                widths[row] = 0 if end == line else place
                row, place, line = row + 1, 0, begin
        at += LONG


@kernel
def _without(data, begins, lengths, text):
    """Mark the spans that hold this text as not there."""
    base, size = np.int64(data.ctypes.data), len(text)
    for column in range(len(lengths)):
        for row in range(lengths.shape[1]):
            if lengths[column, row] == size:
                begin, at = base + begins[column, row], 0
                while at < size and u8(begin + at) == text[at]:
                    at += 1
                if at == size:
                    lengths[column, row] = NOT_THERE


def split(
    block: bytes, names: Sequence[str], wanted: Sequence[str], delimiter: str, nulls: Sequence[str] = ()
) -> tuple[dict[str, pa.Array], NDArray[np.int32]]:
    """The text of the ``wanted`` columns, (m,) each, of the lines that have as many as there are ``names``; and how
    many each line has, (n,), 0 for an empty one. The block ends with a line end; ``nulls`` are texts that stand for no
    value."""
    n = line_breaks(block)
    data = np.frombuffer(block, np.uint8)
    columns = np.full(len(names), -1, np.int64)
    for at, name in enumerate(wanted):
        columns[names.index(name)] = at
    begins, lengths = np.zeros((2, len(wanted), n), np.int32)
    widths = np.zeros(n, np.int32)
    _split(data, np.int64(ord(delimiter)), columns, begins, lengths, widths)
    whole = widths == len(names)
    if not whole.all():
        begins, lengths = np.ascontiguousarray(begins[:, whole]), np.ascontiguousarray(lengths[:, whole])
    for text in nulls:
        _without(data, begins, lengths, np.frombuffer(text.encode(), np.uint8))
    texts = text_columns(data, begins, lengths)
    return dict(zip(wanted, texts, strict=True)), widths
