"""Where the tokens of JSON end. Addresses are those of bytes: ``end`` of a line, ``limit`` of what can be read."""

from __future__ import annotations

import numpy as np

from portkin_training.core.unaligned import inlined, u8
from portkin_training.core.vectors import WIDTH, digits, string_stop

_LONGEST_NUMBER = 25


@inlined
def blanks_end(at, end):
    """Where what JSON takes for blanks ends."""
    while at < end and u8(at) <= 32 and (u8(at) == 32 or u8(at) == 10 or u8(at) == 13 or u8(at) == 9):
        at += 1
    return at


@inlined
def _hexadecimal(byte):
    return 48 <= byte <= 57 or 65 <= byte <= 70 or 97 <= byte <= 102


@inlined
def string_end(at, end, limit):
    """Where the string that begins behind a quote at ``at - 1`` ends, and whether it has escapes; -1 for no string."""
    escaped = False
    while at < end:
        if at + WIDTH <= limit:
            plain = string_stop(at)
            at += plain
            if plain == WIDTH:
                continue
            if at >= end:
                break
        byte = u8(at)
        if byte == 34:
            return at, escaped
        if byte < 32:
            break
        if byte == 92:
            escaped = True
            at += 1
            if at >= end:
                break
            byte = u8(at)
            if byte == 117:
                # A surrogate is a matter for the whole parser.
                if at + 4 >= end or u8(at + 1) == 68 or u8(at + 1) == 100:
                    break
                for place in range(at + 1, at + 5):
                    if not _hexadecimal(u8(place)):
                        return np.int64(-1), escaped
                at += 4
            elif not (byte == 34 or byte == 47 or byte == 92 or byte == 98 or byte == 102 or byte == 110
                      or byte == 114 or byte == 116):  # fmt: skip
                break
        at += 1
    return np.int64(-1), escaped


@inlined
def _digits_end(at, end, limit):
    """Where the digits end."""
    if at + WIDTH <= limit:
        found = digits(at)
        if found < WIDTH:
            return min(at + found, end)
    while at < end and 48 <= u8(at) <= 57:
        at += 1
    return at


@inlined
def scalar_end(at, end, limit):
    """Where a number or literal ends; -1 for what is none, has an exponent, or is long."""
    begin = at
    byte = u8(at)
    if byte == 116 or byte == 110 or byte == 102:
        if byte == 102:
            if at + 5 > end or u8(at + 1) != 97 or u8(at + 2) != 108 or u8(at + 3) != 115 or u8(at + 4) != 101:
                return np.int64(-1)
            return at + 5
        if at + 4 > end:
            return np.int64(-1)
        if byte == 116:
            if u8(at + 1) == 114 and u8(at + 2) == 117 and u8(at + 3) == 101:
                return at + 4
        elif u8(at + 1) == 117 and u8(at + 2) == 108 and u8(at + 3) == 108:
            return at + 4
        return np.int64(-1)
    if byte == 45:
        at += 1
    first = at
    at = _digits_end(at, end, limit)
    if at == first or (u8(first) == 48 and at > first + 1):
        return np.int64(-1)
    if at < end and u8(at) == 46:
        at += 1
        first = at
        at = _digits_end(at, end, limit)
        if at == first:
            return np.int64(-1)
    return at if at - begin <= _LONGEST_NUMBER else np.int64(-1)


@inlined
def is_minus_zero(at):
    """Whether the number at a place begins with -0, which every parser writes in its own way."""
    return u8(at) == 45 and u8(at + 1) == 48
