"""The shape of a JSON line: what stands between its values. Programs write one line like the next, so most lines are
read by comparing what stands between the values, and looking for the end of each."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from portkin_training.core.unaligned import inlined, u8
from portkin_training.core.vectors import COPIED, WIDTH, copy_some, equal_bytes
from portkin_training.ingest.logs.json_tokens import is_minus_zero, scalar_end, string_end
from portkin_training.ingest.logs.spans import NOT_THERE

MOST_VALUES = 256
"""Values of a line whose shape is kept."""
_MOST_BYTES = 1 << 14
_PATIENCE = 8
"""After how many lines of another shape, at most, a shape is given up."""
LENGTH, COLUMN, IS_TEXT = range(3)
COUNT, LONGEST, SCORE = range(3)


@dataclass(frozen=True)
class Shape:
    """The shape of the lines of late, as kernels keep it; at first that of no line.

    Attributes:
        values: (3, `MOST_VALUES` + 1) int64, of each value the `LENGTH` of the part that stands before it, the `COLUMN`
            that it is, or -1, and whether it `IS_TEXT`; behind them the length of the last part.
        parts: (bytes,) uint8, the parts one behind the other.
        state: `COUNT` of values, -1 for no shape; `LONGEST` part; `SCORE`, which falls with lines of other shapes.
    """

    values: NDArray[np.int64] = field(default_factory=lambda: np.zeros((3, MOST_VALUES + 1), np.int64))
    parts: NDArray[np.uint8] = field(default_factory=lambda: np.zeros(_MOST_BYTES + WIDTH, np.uint8))
    state: NDArray[np.int64] = field(default_factory=lambda: np.array([-1, 0, 0], np.int64))

    def arrays(self) -> tuple[NDArray[Any], ...]:
        """The attributes in their order, (3, `MOST_VALUES` + 1), (bytes,) and (3,), as the kernels take them."""
        return self.values, self.parts, self.state


@inlined
def _same(at, part, length):
    """Whether the bytes at two places are equal; `WIDTH` more of each can be read."""
    while length >= WIDTH:
        if equal_bytes(at, part) != (np.int64(1) << WIDTH) - 1:
            return False
        at += WIDTH
        part += WIDTH
        length -= WIDTH
    wanted = (np.int64(1) << length) - 1
    return equal_bytes(at, part) & wanted == wanted


@inlined
def read_by_shape(at, end, limit, base, row, shape, begins, lengths):
    """Fill in the spans of a line that has the shape; whether it has. Those of another one may be half filled in."""
    values, parts, state = shape
    if state[COUNT] < 0 or end + state[LONGEST] + WIDTH > limit:
        return False
    part = np.int64(parts.ctypes.data)
    for value in range(state[COUNT]):
        length = values[LENGTH, value]
        if not _same(at, part, length):
            return False
        at += length
        part += length
        if at >= end:
            return False
        column, begin = values[COLUMN, value], at
        if values[IS_TEXT, value]:
            at, escaped = string_end(begin, end, limit)
            if at < 0 or (escaped and column >= 0):
                return False
        else:
            at = scalar_end(begin, end, limit)
            if at < 0 or (column >= 0 and is_minus_zero(begin)):
                return False
        if column >= 0:
            begins[column, row] = begin - base
            lengths[column, row] = NOT_THERE if u8(begin) == 110 and not values[IS_TEXT, value] else at - begin
    length = values[LENGTH, state[COUNT]]
    if at + length != end or not _same(at, part, length):
        return False
    state[SCORE] = min(state[SCORE] + 1, _PATIENCE)
    return True


@inlined
def learn(at, end, limit, spans, count, shape):
    """Take the shape of a line in place of one that few lines have had; ``spans`` (4, values) are where each of its
    ``count`` values begins and ends, its column or -1, and whether it is a text."""
    values, parts, state = shape
    if state[COUNT] >= 0 and state[SCORE] > 0:
        state[SCORE] -= 1
        return
    state[COUNT], state[LONGEST], state[SCORE] = -1, 0, 0
    if count > MOST_VALUES or end - at > _MOST_BYTES or end + COPIED > limit:
        return
    to = np.int64(parts.ctypes.data)
    for value in range(count + 1):
        length = (spans[0, value] if value < count else end) - at
        for place in range(0, length, COPIED):
            copy_some(to + place, at + place)
        to += length
        values[LENGTH, value] = length
        state[LONGEST] = max(state[LONGEST], length)
        if value < count:
            values[COLUMN, value], values[IS_TEXT, value] = spans[2, value], spans[3, value]
            at = spans[1, value]
    state[COUNT] = count
