"""Spans of a block's bytes as columns of text."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from portkin_training.core.unaligned import inlined, kernel, u8
from portkin_training.core.vectors import COPIED, copy_some

NOT_THERE = -1
"""Length of a span whose value is not there: null."""


@kernel
def _ends(lengths, offsets, missing):
    """Fill in where the texts of each column end, one behind the other, and how many are not there."""
    for column in range(len(lengths)):
        at, absent = np.int32(0), 0
        offsets[column, 0] = 0
        for row in range(lengths.shape[1]):
            length = lengths[column, row]
            if length < 0:
                absent += 1
            else:
                at += length
            offsets[column, row + 1] = at
        missing[column] = absent


@inlined
def _copy(to, begin, length, limit):
    """Copy a text, but for its end where that is close to ``limit``, behind which nothing can be read; returns how
    much. Up to `COPIED` bytes behind it are written too."""
    at = np.int64(0)
    while at < length and begin + at + COPIED <= limit:
        copy_some(to + at, begin + at)
        at += COPIED
    return at


@kernel
def _copied(data, begins, lengths, offsets, places, out):
    """Fill in the bytes of each column, whose texts end at ``offsets`` behind its place in ``out``; there are `COPIED`
    bytes between the columns, and at the end."""
    base, limit = np.int64(data.ctypes.data), np.int64(data.ctypes.data) + len(data)
    for column in range(len(places)):
        place, to = places[column], np.int64(out.ctypes.data) + places[column]
        for row in range(begins.shape[1]):
            length = np.int64(lengths[column, row])
            if length > 0:
                begin, first = base + begins[column, row], np.int64(offsets[column, row])
                for at in range(_copy(to + first, begin, length, limit), length):
                    out[place + first + at] = u8(begin + at)


def text_columns(data: NDArray[np.uint8], begins: NDArray[np.int32], lengths: NDArray[np.int32]) -> list[pa.Array]:
    """The texts (n,) of each column of spans of ``data``: where each begins, and its length, `NOT_THERE` for null;
    (columns, n) each."""
    columns, n = lengths.shape
    offsets, missing = np.empty((columns, n + 1), np.int32), np.empty(columns, np.int64)
    _ends(lengths, offsets, missing)
    places = np.zeros(columns + 1, np.int64)
    np.cumsum(offsets[:, -1] + COPIED, out=places[1:])
    out = np.empty(places[-1], np.uint8)
    _copied(data, begins, lengths, offsets, places[:-1], out)
    texts = pa.py_buffer(out)
    nothing = pa.nulls(n, pa.string())
    found = []
    for column in range(columns):
        if missing[column] == n:
            found.append(nothing)
            continue
        valid = pa.py_buffer(np.packbits(lengths[column] >= 0, bitorder="little")) if missing[column] else None
        text = texts.slice(int(places[column]), int(offsets[column, -1]))
        found.append(pa.StringArray.from_buffers(n, pa.py_buffer(offsets[column]), text, valid))
    return found
