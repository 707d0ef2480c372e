"""JSON arrays and indented objects as JSON lines: each object on the line where it begins."""

from __future__ import annotations

import json
import re

import numpy as np

from portkin_training.core.unaligned import kernel

_DEPTH, _IN_STRING, _ESCAPED, _PENDING, _PARTED, _BEGINS = range(6)


@kernel
def _one_a_line(data, out, state):
    """Copy ``data`` to ``out``, at most twice as long: line ends inside of an object go behind it, signs between
    objects become blanks, and two objects on a line get a line end between them. An object that is not closed where a
    line begins with another one was cut, and ends there. Returns the bytes of ``out``."""
    depth, in_string, escaped, pending, parted, begins = state
    size = 0
    for byte in data:
        if begins and depth and byte == 123:
            if size + pending > len(out):
                break
            for _ in range(pending):
                out[size] = 10
                size += 1
            depth, pending, parted = np.int64(0), np.int64(0), np.int64(1)
        begins = np.int64(byte == 10)
        if in_string:
            if byte == 10 or byte == 13:  # no JSON: the string was not closed
                in_string, escaped = np.int64(0), np.int64(0)
            elif escaped:
                escaped = np.int64(0)
            elif byte == 92:
                escaped = np.int64(1)
            elif byte == 34:
                in_string = np.int64(0)
        elif byte == 34 and depth:
            in_string = np.int64(1)
        if byte == 10:
            if depth:
                pending += 1
                byte = 32
            else:
                parted = np.int64(1)
        elif not in_string and byte == 123:
            if depth == 0 and not parted:
                out[size] = 10
                size += 1
            parted = np.int64(0)
            depth += 1
        elif not in_string and byte == 125 and depth:
            depth -= 1
            if depth == 0:
                out[size] = 125
                size += 1
                if size + pending > len(out):
                    break
                for _ in range(pending):
                    out[size] = 10
                    size += 1
                parted = np.int64(pending > 0)
                pending = np.int64(0)
                continue
        elif depth == 0:
            byte = 32
        out[size] = byte
        size += 1
    state[0], state[1], state[2], state[3], state[4], state[5] = depth, in_string, escaped, pending, parted, begins
    return size


class OneALine:
    """Rewrites a JSON document piece by piece; line numbers stay those of the document where it has one object a line
    or less."""

    def __init__(self) -> None:
        """At the beginning of a document."""
        self._state = np.array([0, 0, 0, 0, 1, 1], np.int64)

    def __call__(self, piece: bytes) -> bytes:
        """The piece rewritten."""
        out = np.empty(2 * len(piece) + int(self._state[_PENDING]) + 16, np.uint8)
        size = _one_a_line(np.frombuffer(piece, np.uint8), out, self._state)
        return out[:size].tobytes()


def is_document(head: str) -> bool:
    """Whether JSON begins that is no JSON lines: an array, an object that goes on over line ends, or several on a line.
    A first line that is cut is none if the next one begins an object."""
    text = head.lstrip()
    if text[:1] == "[":
        return text[1:].lstrip()[:1] in ("{", "]", "")
    first, end, others = text.partition("\n")
    if _SEVERAL.search(first) and _goes_on(first):
        return True
    return text[:1] == "{" and bool(end) and not first.rstrip().endswith("}") and others.lstrip("\r\n")[:1] != "{"


_SEVERAL = re.compile(r"\}\s*,?\s*\{")


def _goes_on(line: str) -> bool:
    """Whether another object stands behind the first one of a line, as collectors of clouds write them."""
    try:
        _, end = _DECODER.raw_decode(line)
    except (ValueError, RecursionError):
        return False
    return line[end:].lstrip(" ,\t\r")[:1] == "{"


_DECODER = json.JSONDecoder()
_PREFIX = 256
"""Characters that may stand before the object of a line: what syslog, ``data:`` or a record separator put there."""


def object_begin(line: str) -> int:
    """Where the JSON object of a line begins; -1 where it has none."""
    at = line.find("{")
    return at if 0 <= at <= _PREFIX else -1
