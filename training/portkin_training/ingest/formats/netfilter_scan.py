"""The parts of kernel lines of the usual shape, in one pass over their bytes.

It finds what the pattern of `netfilter` finds, in lines whose time is ISO 8601 or syslog's without a year and whose
parts follow one another without surprises; all other lines are left to the pattern. An expression engine that captures
nine groups takes several times as long as all else together.
"""

from __future__ import annotations

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from portkin_training.core.unaligned import inlined, kernel
from portkin_training.ingest.logs.spans import text_columns
from portkin_training.ingest.values.text_numbers import text_buffers

PARTS = ("ts", "in", "out", "src", "dst", "proto", "sport", "dport", "flags")
_TS, _IN, _OUT, _SRC, _DST, _PROTO, _SPORT, _DPORT, _FLAGS = range(9)
_FLAG_WORDS = np.array([int.from_bytes(word, "big") for word in (b"CWR", b"ECE", b"URG", b"ACK", b"PSH", b"RST", b"SYN",
                                                                 b"FIN")])  # fmt: skip


@inlined
def _is(data, at, end, a, b, c, d):
    """Whether four bytes stand at a place."""
    return at + 4 <= end and data[at] == a and data[at + 1] == b and data[at + 2] == c and data[at + 3] == d


@inlined
def _blank(byte):
    return byte == 32 or byte == 9 or byte == 10 or byte == 12 or byte == 13


@inlined
def _word_end(data, at, end):
    while at < end and not _blank(data[at]):
        at += 1
    return at


@inlined
def _digits_end(data, at, end):
    while at < end and 48 <= data[at] <= 57:
        at += 1
    return at


@inlined
def _time_end(data, at, end):
    """Where the time ends that a line begins with; -1 where it has another form than the two usual ones."""
    if at + 20 > end:
        return np.int64(-1)
    if data[at + 4] == 45 and 48 <= data[at] <= 57:
        for place in range(19):
            byte, digit = data[at + place], 48 <= data[at + place] <= 57
            if place == 4 or place == 7:
                good = byte == 45
            elif place == 10:
                good = byte == 84 or byte == 32
            elif place == 13 or place == 16:
                good = byte == 58
            else:
                good = digit
            if not good:
                return np.int64(-1)
        at += 19
        if at < end and data[at] == 44:  # a fraction behind a comma is left to the pattern
            return np.int64(-1)
        while at < end and not _blank(data[at]) and data[at] != 93 and data[at] != 44:
            at += 1
        return at
    month = 65 <= data[at] <= 90 and 97 <= data[at + 1] <= 122 and 97 <= data[at + 2] <= 122 and data[at + 3] == 32
    day = (data[at + 4] == 32 or 48 <= data[at + 4] <= 57) and 48 <= data[at + 5] <= 57 and data[at + 6] == 32
    if not (month and day and data[at + 9] == 58 and data[at + 12] == 58 and data[at + 15] == 32):
        return np.int64(-1)
    for place in (7, 8, 10, 11, 13, 14):
        if not 48 <= data[at + place] <= 57:
            return np.int64(-1)
    following = data[at + 16]  # a year or UTC may belong to the time
    if 48 <= following <= 57 or following == 85:
        return np.int64(-1)
    return at + 15


@inlined
def _flags_begin(data, at, least):
    """Where the flags begin that end before ``at``, each with a blank behind it; ``at`` where there are none."""
    while at - 5 >= least and data[at - 1] == 32 and data[at - 5] == 32:
        word = (np.int64(data[at - 4]) << 8 | data[at - 3]) << 8 | data[at - 2]
        known = False
        for one in _FLAG_WORDS:
            known |= word == one
        if not known:
            break
        at -= 4
    return at


@kernel
def _scan(data, offsets, begins, lengths, usual):
    for row in range(len(usual)):
        at, end = np.int64(offsets[row]), np.int64(offsets[row + 1])
        for part in range(9):
            begins[part, row], lengths[part, row] = at, 0
        usual[row] = False
        while end > at and (data[end - 1] == 10 or data[end - 1] == 13):
            end -= 1
        stop = _time_end(data, at, end)
        if stop < 0:
            continue
        lengths[_TS, row] = stop - at
        at = stop
        while at + 3 <= end and not (data[at] == 73 and data[at + 1] == 78 and data[at + 2] == 61):  # IN=
            at += 1
        if at + 3 > end:
            continue
        stop = _word_end(data, at + 3, end)
        begins[_IN, row], lengths[_IN, row] = at + 3, stop - at - 3
        at = stop + 1
        if stop >= end or data[stop] != 32 or not _is(data, at, end, 79, 85, 84, 61):  # OUT=
            continue
        stop = _word_end(data, at + 4, end)
        begins[_OUT, row], lengths[_OUT, row] = at + 4, stop - at - 4
        at = stop
        while at < end and not _is(data, at, end, 83, 82, 67, 61):  # SRC=
            at += 1
        if at >= end:
            continue
        stop = _word_end(data, at + 4, end)
        begins[_SRC, row], lengths[_SRC, row] = at + 4, stop - at - 4
        at = stop + 1
        if stop >= end or data[stop] != 32 or lengths[_SRC, row] == 0 or not _is(data, at, end, 68, 83, 84, 61):  # DST=
            continue
        stop = _word_end(data, at + 4, end)
        begins[_DST, row], lengths[_DST, row] = at + 4, stop - at - 4
        if stop >= end or data[stop] != 32 or lengths[_DST, row] == 0:
            continue
        at = stop + 1
        while at < end and not (_is(data, at, end, 80, 82, 79, 84) and at + 6 < end and data[at + 4] == 79
                                and data[at + 5] == 61):  # fmt: skip  # PROTO=
            at += 1
        if at >= end:
            continue
        stop = _word_end(data, at + 6, end)
        begins[_PROTO, row], lengths[_PROTO, row] = at + 6, stop - at - 6
        if lengths[_PROTO, row] == 0:
            continue
        at = stop
        if at + 5 < end and data[at] == 32 and _is(data, at + 1, end, 83, 80, 84, 61):  # SPT=
            stop = _digits_end(data, at + 5, end)
            to = stop + 5
            if stop > at + 5 and stop < end and data[stop] == 32 and _is(data, stop + 1, end, 68, 80, 84, 61):  # DPT=
                last = _digits_end(data, to, end)
                if last > to:
                    begins[_SPORT, row], lengths[_SPORT, row] = at + 5, stop - at - 5
                    begins[_DPORT, row], lengths[_DPORT, row] = to, last - to
                    at = last
        usual[row] = True
        place = at
        while place < end and data[place] != 91:  # [ begins the packet that an ICMP error quotes
            if (
                data[place] == 85
                and _is(data, place, end, 85, 82, 71, 80)
                and place + 4 < end
                and data[place + 4] == 61
            ):
                first = _flags_begin(data, place, at)
                if first < place:
                    begins[_FLAGS, row], lengths[_FLAGS, row] = first, place - first
                    break
            place += 1


def scan(lines: pa.Array) -> tuple[dict[str, pa.Array], NDArray[np.bool_]]:
    """The `PARTS` of lines (n,), "" where one is not there, and which lines have the usual shape (n,); the parts of
    others mean nothing. No line may be null."""
    n = len(lines)
    usual = np.zeros(n, np.bool_)
    data, offsets = text_buffers(lines)
    begins, lengths = np.zeros((2, len(PARTS), n), np.int32)
    _scan(data, offsets, begins, lengths, usual)
    return dict(zip(PARTS, text_columns(data, begins, lengths), strict=True)), usual
