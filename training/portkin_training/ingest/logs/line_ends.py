"""Where the lines of a block end, and whether it holds bytes that need care."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from portkin_training.core.unaligned import kernel, u8
from portkin_training.core.vectors import LONG, ODD, either, lowest, oddities, set_bits


@kernel
def _count(data):
    """How many line ends there are."""
    at, stop = np.int64(data.ctypes.data), np.int64(data.ctypes.data) + len(data)
    count = np.int64(0)
    while at + LONG <= stop:
        count += set_bits(either(at, np.int64(10), np.int64(10)))
        at += LONG
    while at < stop:
        count += u8(at) == 10
        at += 1
    return count


@kernel
def _fill(data, ends):
    """Fill in where the line behind each line end begins."""
    base = np.int64(data.ctypes.data)
    at, stop, row = base, base + len(data), 0
    while at + LONG <= stop:
        bits = either(at, np.int64(10), np.int64(10))
        while bits:
            ends[row] = at - base + lowest(bits) + 1
            bits &= bits - 1
            row += 1
        at += LONG
    while at < stop:
        if u8(at) == 10:
            ends[row] = at - base + 1
            row += 1
        at += 1


@kernel
def _oddities(data):
    at, stop, found = np.int64(data.ctypes.data), np.int64(data.ctypes.data) + len(data), np.int64(0)
    while at + LONG <= stop:
        found |= oddities(at)
        at += LONG
    while at < stop:
        byte = u8(at)
        found |= byte & 128
        if byte == 0 or byte == 13 or byte == 27:
            found |= ODD
        at += 1
    return found


def line_ends(block: bytes) -> NDArray[np.int64]:
    """Where each line begins, and where the last one ends: (lines + 1,)."""
    data = np.frombuffer(block, np.uint8)
    count, cut = _count(data), bool(block) and not block.endswith(b"\n")
    ends = np.empty(1 + count + cut, np.int64)
    ends[0] = 0
    _fill(data, ends[1:])
    if cut:
        ends[-1] = len(block)
    return ends


def line_breaks(block: bytes) -> int:
    """How many line ends a block holds."""
    return int(_count(np.frombuffer(block, np.uint8)))


def odd_bytes(block: bytes) -> tuple[bool, bool]:
    """Whether a block holds null bytes, escapes or carriage returns, and whether anything that is no ASCII."""
    found = int(_oddities(np.frombuffer(block, np.uint8)))
    return bool(found & ODD), bool(found & ~ODD)
