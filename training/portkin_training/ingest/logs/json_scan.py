"""Values at paths out of JSON lines, in one pass over their bytes, for lines that are simple.

A line is simple if it is one JSON object by RFC 8259, and its wanted values are texts without escapes, numbers without
exponents, literals, or not there. The scan judges all of a line, wanted or not; what it does not take is left to a
whole JSON parser (`json_lines`), which knows why a line is none. Half a line's time goes into strings, so no library
that builds each of its values keeps up.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from portkin_training.core.unaligned import i64, inlined, kernel, u8
from portkin_training.ingest.logs.spans import NOT_THERE

MOST_NODES = 62
"""Keys on all paths together; each has a bit in the set of those that a line has shown."""
_DEEPEST = 32
_NO_NODE = -1
_KEY, _FIRST_KEY, _VALUE, _FIRST_VALUE, _AFTER = range(5)
_LONGEST_NUMBER = 25


@dataclass(frozen=True)
class PathTree:
    """The wanted paths as a tree; node 0 is the line's object, and the children of a node follow one another.

    Attributes:
        children: (nodes + 1,) int64, the first child of each node; they end where those of the next begin.
        begins: (nodes + 1,) int64, where the key that leads to a node begins in ``keys``.
        keys: (bytes,) uint8.
        columns: (nodes,) int64, the column that a node's value is, or -1.
        sizes: (nodes,) int64, bits of the lengths of the keys of a node's children, modulo 64.
    """

    children: NDArray[np.int64]
    begins: NDArray[np.int64]
    keys: NDArray[np.uint8]
    columns: NDArray[np.int64]
    sizes: NDArray[np.int64]

    @classmethod
    def of(cls, paths: Sequence[Sequence[str]]) -> PathTree | None:
        """The tree of paths, each a sequence of keys; None where a path is empty or there twice, or they have too many
        keys."""
        columns = {tuple(path): column for column, path in enumerate(paths)}
        found = {path[:depth] for path in columns for depth in range(len(path) + 1)}
        if () in columns or len(columns) < len(paths) or len(found) > MOST_NODES:
            return None
        nodes: list[tuple[str, ...]] = [()]
        children = []
        for node in nodes:  # it grows
            children.append(len(nodes))
            nodes += sorted(one for one in found if len(one) == len(node) + 1 and one[:-1] == node)
        keys = [b"", *(node[-1].encode("utf-8", "surrogatepass") for node in nodes[1:])]
        sizes = [0] * len(nodes)
        for node, key in zip(nodes[1:], keys[1:], strict=True):
            sizes[nodes.index(node[:-1])] |= 1 << (len(key) & 63)
        return cls(
            np.array([*children, len(nodes)], np.int64),
            np.cumsum([0, *map(len, keys)]),
            np.frombuffer(b"".join(keys), np.uint8),
            np.array([columns.get(node, -1) for node in nodes], np.int64),
            np.array(sizes, np.uint64).view(np.int64),
        )

    def arrays(self) -> tuple[NDArray[Any], ...]:
        """The attributes in their order, (nodes + 1,) or (nodes,) each, as `scan` takes them."""
        return self.children, self.begins, self.keys, self.columns, self.sizes


@inlined
def _hexadecimal(byte):
    return 48 <= byte <= 57 or 65 <= byte <= 70 or 97 <= byte <= 102


@inlined
def _string_end(at, end):
    """Where the string that begins behind a quote at ``at - 1`` ends, and whether it has escapes; -1 for no string."""
    escaped = False
    while at < end:
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
def _scalar_end(at, end):
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
    digits = at
    while at < end and 48 <= u8(at) <= 57:
        at += 1
    if at == digits or (u8(digits) == 48 and at > digits + 1):
        return np.int64(-1)
    if at < end and u8(at) == 46:
        at += 1
        digits = at
        while at < end and 48 <= u8(at) <= 57:
            at += 1
        if at == digits:
            return np.int64(-1)
    return at if at - begin <= _LONGEST_NUMBER else np.int64(-1)


@inlined
def _child(begin, length, first, last, key_begins, keys):
    """The node among those from ``first`` to ``last`` that the key leads to, or `_NO_NODE`; the latter two are the
    addresses of arrays."""
    for child in range(first, last):
        key = i64(key_begins + child * 8)
        if i64(key_begins + child * 8 + 8) - key == length:
            same = True
            for at in range(length):
                if u8(begin + at) != u8(keys + key + at):
                    same = False
                    break
            if same:
                return np.int64(child)
    return np.int64(_NO_NODE)


@kernel
def scan(data, ends, tree, begins, lengths, simple):
    """Fill in, for each line of ``data`` between ``ends`` (n + 1,), where each column's value begins and its length
    (columns, n), and whether the line is simple (n,); ``tree`` is of `PathTree.arrays`."""
    children, key_begins, keys, node_columns, sizes = tree
    base, key_begins_at, keys_at = (
        np.int64(data.ctypes.data),
        np.int64(key_begins.ctypes.data),
        np.int64(keys.ctypes.data),
    )
    stack = np.empty(_DEEPEST + 1, np.int64)  # the node of each open object, or -2 of an array
    for row in range(len(simple)):
        at, end = base + ends[row], base + ends[row + 1]
        for each in range(len(lengths)):
            begins[each, row] = 0
            lengths[each, row] = NOT_THERE
        simple[row] = False
        if at == end or u8(at) != 123:
            continue
        seen, depth, node, mode = np.int64(0), np.int64(0), np.int64(0), _VALUE
        while True:
            while at < end and (u8(at) == 32 or u8(at) == 10 or u8(at) == 13 or u8(at) == 9):
                at += 1
            if at == end:
                simple[row] = depth == 0 and mode == _AFTER
                break
            byte = u8(at)
            if mode == _AFTER:
                if depth == 0:
                    break
                at += 1
                if byte == 44:
                    node = np.int64(_NO_NODE)
                    mode = _VALUE if stack[depth] == -2 else _KEY
                elif byte == (93 if stack[depth] == -2 else 125):
                    depth -= 1
                else:
                    break
            elif mode <= _FIRST_KEY:
                if byte == 125 and mode == _FIRST_KEY:
                    at += 1
                    depth -= 1
                    mode = _AFTER
                    continue
                if byte != 34:
                    break
                begin = at + 1
                at, escaped = _string_end(begin, end)
                if at < 0:
                    break
                length = at - begin
                at += 1
                while at < end and (u8(at) == 32 or u8(at) == 9):
                    at += 1
                if at == end or u8(at) != 58:
                    break
                at += 1
                node = np.int64(_NO_NODE)
                if stack[depth] >= 0:
                    if escaped:
                        break
                    above = stack[depth]
                    if sizes[above] >> (length & 63) & 1:
                        node = _child(begin, length, children[above], children[above + 1], key_begins_at, keys_at)
                    if node >= 0:
                        if seen >> node & 1:  # of equal keys the whole parser says which counts
                            break
                        seen |= np.int64(1) << node
                mode = _VALUE
            elif byte == 123:
                if depth == _DEEPEST or (node >= 0 and node_columns[node] >= 0):
                    break
                at += 1
                depth += 1
                stack[depth] = node
                mode = _FIRST_KEY
            elif byte == 91:
                if depth == _DEEPEST or node >= 0:
                    break
                at += 1
                depth += 1
                stack[depth] = -2
                mode = _FIRST_VALUE
            elif byte == 93 and mode == _FIRST_VALUE:
                at += 1
                depth -= 1
                mode = _AFTER
            else:
                column = node_columns[node] if node >= 0 else np.int64(_NO_NODE)
                if byte == 34:
                    begin = at + 1
                    at, escaped = _string_end(begin, end)
                    if at < 0 or (escaped and column >= 0):
                        break
                    stop = at
                    at += 1
                else:
                    begin = at
                    at = _scalar_end(begin, end)
                    minus_zero = byte == 45 and u8(begin + 1) == 48  # which every parser writes in its own way
                    if at < 0 or (minus_zero and column >= 0):
                        break
                    stop = at
                if column >= 0 and byte != 110:
                    begins[column, row] = begin - base
                    lengths[column, row] = stop - begin
                mode = _AFTER
