"""Whole numbers and dotted addresses out of Arrow text, by compiled loops over its bytes."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from portkin_training.core.unaligned import kernel

NONE = -1
"""What a text becomes that is no number, no address or null."""


@kernel
def _numbers(data, offsets, values):
    for row in range(len(values)):
        at, end = offsets[row], offsets[row + 1]
        while at < end and (data[at] == 32 or data[at] == 34):
            at += 1
        while end > at and (data[end - 1] == 32 or data[end - 1] == 34):
            end -= 1
        value, digits = np.int64(0), 0
        while at < end and 48 <= data[at] <= 57 and digits < 18:
            value = value * 10 + (data[at] - 48)
            at += 1
            digits += 1
        if at < end and data[at] == 46:  # 6.0: a number that went through a float column
            at += 1
            while at < end and data[at] == 48:
                at += 1
        values[row] = value if digits and at == end else NONE


@kernel
def _dotted(data, offsets, values):
    for row in range(len(values)):
        at, end = offsets[row], offsets[row + 1]
        value, octet, digits, dots = np.int64(0), np.int64(0), 0, 0
        sound = at < end
        while at < end and sound:
            byte = data[at]
            if 48 <= byte <= 57:
                octet = octet * 10 + (byte - 48)
                digits += 1
                sound = digits <= 10
            elif byte == 46 and dots < 3 and 0 < digits <= 3 and octet < 256:
                value = value << 8 | octet
                octet, digits = np.int64(0), 0
                dots += 1
            else:
                sound = False
            at += 1
        if sound and dots == 3 and 0 < digits <= 3 and octet < 256:
            values[row] = value << 8 | octet
        elif sound and dots == 0 and octet < 1 << 32:
            values[row] = octet
        else:
            values[row] = NONE


def whole_numbers(column: pa.Array) -> NDArray[np.int64]:
    """The numbers of text like ``443``, ``006`` or ``6.0``, (n,) int64; `NONE` for anything else."""
    return _each(column, _numbers)


def ipv4_numbers(column: pa.Array) -> NDArray[np.int64]:
    """IPv4 addresses as numbers, (n,) int64, of dotted text or of the number as text; `NONE` for anything else.

    Octets are decimal, also where zeros pad them (192.000.002.001), as logs with columns of one width write them.
    """
    return _each(column, _dotted)


def _each(column: pa.Array, loop: Any) -> NDArray[np.int64]:
    values = np.empty(len(column), np.int64)
    data, offsets = text_buffers(column)
    loop(data, offsets, values)
    if column.null_count:
        values[column.is_null().to_numpy(zero_copy_only=False)] = NONE
    return values


def text_buffers(column: pa.Array) -> tuple[NDArray[np.uint8], NDArray[np.int32]]:
    """The bytes of a string column, and where each of its n texts begins and ends: (n + 1,) offsets."""
    _, offsets, data = column.buffers()
    begin = column.offset
    ends = np.frombuffer(offsets, np.int32)[begin : begin + len(column) + 1] if len(column) else np.zeros(1, np.int32)
    return (np.frombuffer(data, np.uint8) if data is not None and data.size else np.zeros(1, np.uint8)), ends
