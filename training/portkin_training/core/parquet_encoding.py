"""How the integers of a column are put into a page of Parquet: by compiled loops, a fifth of the time that Arrow takes.

Two of the encodings of https://github.com/apache/parquet-format/blob/master/Encodings.md, which every reader has:
DELTA_BINARY_PACKED, of which what is left are the bits in which neighbours differ, and RLE_DICTIONARY.
BYTE_STREAM_SPLIT, a little smaller and faster to write, is for integers what Spark cannot read.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from portkin_training.core.thrift_compact import varint
from portkin_training.core.unaligned import inlined, kernel, put64

_BLOCK, _MINI = 128, 32
"""Values of a block, which has a least difference, and of a miniblock, which has a number of bits."""
_HEAD = 32
"""Most bytes of the header of DELTA_BINARY_PACKED, four varints."""
_BLOCK_BYTES = 10 + _BLOCK // _MINI + 8 * _BLOCK
"""Most bytes of a block."""
_SLACK = 8
"""Bytes behind the last value that a loop may write to."""
FEW = 64
"""Different values up to which each is looked for among those before it; more are sorted."""


@inlined
def _put_varint(out, at, number):
    """A uint64 as a varint at a place; returns the next one."""
    while number >= np.uint64(0x80):
        out[at] = np.uint8(number & np.uint64(0x7F)) | np.uint8(0x80)
        number >>= np.uint64(7)
        at += 1
    out[at] = np.uint8(number)
    return at + 1


@inlined
def _zigzag(number):
    return np.uint64((number << 1) ^ (number >> 63))


@inlined
def _pack(values, first, bits, address):
    """The low ``bits`` of `_MINI` values of an int64 array, the first in the lowest; the bits above are 0."""
    word, have, width = np.uint64(0), np.uint64(0), np.uint64(bits)
    for at in range(first, first + _MINI):
        value = np.uint64(values[at])
        word |= value << have
        have += width
        if have >= np.uint64(64):
            put64(address, word)
            address += 8
            have -= np.uint64(64)
            word = value >> (width - have) if have else np.uint64(0)
    if have:
        put64(address, word)


@kernel
def _delta_packed(values, out):
    """DELTA_BINARY_PACKED of the values into ``out``; returns how many bytes."""
    count, base = len(values), np.int64(out.ctypes.data)
    at = 0
    for number in (_BLOCK, _BLOCK // _MINI, count):
        at = _put_varint(out, at, np.uint64(number))
    at = _put_varint(out, at, _zigzag(np.int64(values[0])))
    deltas = np.empty(_BLOCK, np.int64)
    for first in range(1, count, _BLOCK):
        here = min(_BLOCK, count - first)
        for place in range(here):
            # wraps round, as readers do
            deltas[place] = np.int64(values[first + place]) - np.int64(values[first + place - 1])
        least = deltas[:here].min()
        deltas[here:] = least
        at = _put_varint(out, at, _zigzag(least))
        widths = at
        at += _BLOCK // _MINI
        for mini in range(_BLOCK // _MINI):
            begin = mini * _MINI
            every = np.int64(0)
            for place in range(begin, begin + _MINI):
                deltas[place] -= least
                every |= deltas[place]
            bits, left = 0, np.uint64(every)
            while left:
                left >>= np.uint64(1)
                bits += 1
            out[widths + mini] = bits
            if begin < here:  # the bytes of a miniblock without a value are left out
                _pack(deltas, begin, bits, base + at)
                at += bits * _MINI // 8
    return at


@kernel
def _coded(values, distinct, codes):
    """Fill in for each value its place in ``distinct``, which is filled in too; how many these are, or -1 where they
    are more than it has room for."""
    count, code, last = 1, 0, np.int64(values[0])
    distinct[0] = last
    for row in range(len(values)):
        value = np.int64(values[row])
        if value != last:
            code = 0
            while code < count and distinct[code] != value:
                code += 1
            if code == count:
                if count == len(distinct):
                    return -1
                distinct[count] = value
                count += 1
            last = value
        codes[row] = code
    return count


@kernel
def _packed_codes(codes, bits, out):
    """Codes as groups of eight values of so many bits; ``codes`` has room for a multiple of `_MINI`."""
    base = np.int64(out.ctypes.data)
    for first in range(0, len(codes), _MINI):
        _pack(codes, first, bits, base + first * bits // 8)


class Encoder:
    """Encodes columns, one after the other, in memory that it keeps."""

    def __init__(self) -> None:
        self._out = np.empty(0, np.uint8)
        self._codes = np.empty(0, np.int64)
        self._distinct = np.empty(FEW, np.int64)

    def delta_packed(self, values: NDArray[Any]) -> NDArray[np.uint8]:
        """Integers (n,), at least one, as DELTA_BINARY_PACKED; valid until the next call.

        For a column of 32 bits any two neighbours must differ by less than 2**31.
        """
        need = _HEAD + (len(values) // _BLOCK + 1) * _BLOCK_BYTES + _SLACK
        if len(self._out) < need:
            self._out = np.empty(need, np.uint8)
        return self._out[: _delta_packed(values, self._out)]

    def dictionary(self, values: NDArray[Any]) -> tuple[NDArray[np.int64], bytes] | None:
        """The different values of integers (n,), at least one, and their places in these as RLE_DICTIONARY has them;
        None where they are more than half as many as the values."""
        room = -(-len(values) // _MINI) * _MINI
        if len(self._codes) < room:
            self._codes = np.zeros(room, np.int64)
        codes = self._codes[:room]
        found = int(_coded(values, self._distinct, codes))
        distinct = self._distinct[:found]
        if found < 0:
            distinct, codes[: len(values)] = np.unique(values, return_inverse=True)
            if len(distinct) > len(values) // 2:
                return None
        bits = max(1, (len(distinct) - 1).bit_length())
        if found == 1:
            return distinct, bytes((bits,)) + varint(len(values) << 1) + b"\0"
        codes[len(values) :] = 0
        groups = -(-len(values) // 8)
        out = np.empty(room * bits // 8 + _SLACK, np.uint8)
        _packed_codes(codes, bits, out)
        return distinct, bytes((bits,)) + varint(groups << 1 | 1) + out[: groups * bits].tobytes()
