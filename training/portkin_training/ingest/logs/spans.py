"""Spans of a block's bytes as columns of text."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from portkin_training.core.unaligned import kernel, u8

NOT_THERE = -1
"""Length of a span whose value is not there: null."""


@kernel
def _copied(data, begins, lengths, offsets, out):
    """Fill in the bytes of a column, whose texts end at ``offsets``."""
    base = np.int64(data.ctypes.data)
    for row in range(len(begins)):
        to, begin = np.int64(offsets[row]), base + begins[row]
        for at in range(offsets[row + 1] - to):
            out[to + at] = u8(begin + at)


def text_column(data: NDArray[np.uint8], begins: NDArray[Any], lengths: NDArray[Any]) -> pa.Array:
    """The texts (n,) of spans of ``data``: where each begins, and its length, `NOT_THERE` for null."""
    n = len(begins)
    there = lengths >= 0
    offsets = np.zeros(n + 1, np.int32)
    np.cumsum(np.maximum(lengths, 0), out=offsets[1:])
    out = np.empty(int(offsets[-1]), np.uint8)
    _copied(data, begins, lengths, offsets, out)
    valid = None if there.all() else pa.py_buffer(np.packbits(there, bitorder="little"))
    return pa.StringArray.from_buffers(n, pa.py_buffer(offsets), pa.py_buffer(out), valid)
