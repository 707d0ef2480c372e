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
from portkin_training.ingest.logs.json_shape import MOST_VALUES, learn, read_by_shape
from portkin_training.ingest.logs.json_tokens import blanks_end, is_minus_zero, scalar_end, string_end
from portkin_training.ingest.logs.spans import NOT_THERE

MOST_NODES = 62
"""Keys on all paths together; each has a bit in the set of those that a line has shown."""
_DEEPEST = 32
_NO_NODE = -1
_KEY, _FIRST_KEY, _VALUE, _FIRST_VALUE, _AFTER = range(5)


@dataclass(frozen=True)
class PathTree:
    """The wanted paths as a tree; node 0 is the line's object, and the children of a node follow one another.

    Attributes:
        children: (nodes + 1,) int64, the first child of each node; they end where those of the next begin.
        begins: (nodes + 1,) int64, where the key that leads to a node begins in ``keys``.
        keys: (bytes,) uint8.
        columns: (nodes,) int64, the column that a node's value is, or -1.
        sizes: (nodes,) int64, bits of the lengths of the keys of a node's children, modulo 64.
        firsts: (nodes,) int64, the first eight bytes of the key that leads to a node, zeros behind a shorter one.
    """

    children: NDArray[np.int64]
    begins: NDArray[np.int64]
    keys: NDArray[np.uint8]
    columns: NDArray[np.int64]
    sizes: NDArray[np.int64]
    firsts: NDArray[np.int64]

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
            np.array([int.from_bytes(key[:8], "little", signed=False) for key in keys], np.uint64).view(np.int64),
        )

    def arrays(self) -> tuple[NDArray[Any], ...]:
        """The attributes in their order, (nodes + 1,) or (nodes,) each, as `scan` takes them."""
        return self.children, self.begins, self.keys, self.columns, self.sizes, self.firsts


@inlined
def _first_bytes(begin, length, limit):
    """The first eight bytes of a key as `PathTree.firsts` has them."""
    if begin + 8 <= limit:
        return i64(begin) if length >= 8 else i64(begin) & ((np.int64(1) << (length * 8)) - 1)
    found = np.int64(0)
    for at in range(min(length, 8)):
        found |= u8(begin + at) << (8 * at)
    return found


@inlined
def _child(begin, length, limit, first, last, tree):
    """The node among those from ``first`` to ``last`` that the key leads to, or `_NO_NODE`; ``tree`` has the addresses
    of `PathTree.firsts`, ``begins`` and ``keys``."""
    firsts, key_begins, keys = tree
    wanted = _first_bytes(begin, length, limit)
    for child in range(first, last):
        if i64(firsts + child * 8) == wanted:
            key = i64(key_begins + child * 8)
            if i64(key_begins + child * 8 + 8) - key == length:
                at = np.int64(8)
                while at < length and u8(begin + at) == u8(keys + key + at):
                    at += 1
                if at >= length:
                    return np.int64(child)
    return np.int64(_NO_NODE)


@inlined
def _note(spans, count, begin, end, column, text):
    """Note a value for the shape of its line."""
    if count < MOST_VALUES:
        spans[0, count], spans[1, count], spans[2, count], spans[3, count] = begin, end, column, text


@kernel
def scan(data, ends, tree, shape, begins, lengths, simple):
    """Fill in, for each line of ``data`` between ``ends`` (n + 1,), where each column's value begins and its length
    (columns, n), and whether the line is simple (n,); ``tree`` is of `PathTree.arrays`, and
    ``shape``, which it changes, of `Shape.arrays`."""
    children, key_begins, keys, node_columns, sizes, firsts = tree
    base = np.int64(data.ctypes.data)
    named = np.int64(firsts.ctypes.data), np.int64(key_begins.ctypes.data), np.int64(keys.ctypes.data)
    limit = base + len(data)
    stack = np.empty(_DEEPEST + 1, np.int64)  # the node of each open object, or -2 of an array
    spans = np.empty((4, MOST_VALUES + 1), np.int64)
    begins[:] = 0
    lengths[:] = NOT_THERE
    for row in range(len(simple)):
        at, end = base + ends[row], base + ends[row + 1]
        simple[row] = False
        if at == end or u8(at) != 123:
            continue
        if read_by_shape(at, end, limit, base, row, shape, begins, lengths):
            simple[row] = True
            continue
        lengths[:, row] = NOT_THERE
        count = np.int64(0)
        seen, depth, node, mode = np.int64(0), np.int64(0), np.int64(0), _VALUE
        above = np.int64(-2)
        while True:
            at = blanks_end(at, end)
            if at == end:
                break
            byte = u8(at)
            if mode <= _FIRST_KEY:
                if byte == 125 and mode == _FIRST_KEY:
                    at += 1
                    depth -= 1
                    mode = _AFTER
                else:
                    if byte != 34:
                        break
                    begin = at + 1
                    at, escaped = string_end(begin, end, limit)
                    if at < 0:
                        break
                    length = at - begin
                    at = blanks_end(at + 1, end)
                    if at == end or u8(at) != 58:
                        break
                    at = blanks_end(at + 1, end)
                    if at == end:
                        break
                    byte = u8(at)
                    node = np.int64(_NO_NODE)
                    if above >= 0:
                        if escaped:
                            break
                        if sizes[above] >> (length & 63) & 1:
                            node = _child(begin, length, limit, children[above], children[above + 1], named)
                            if node >= 0:
                                if seen >> node & 1:  # of equal keys the whole parser says which counts
                                    break
                                seen |= np.int64(1) << node
                    mode = _VALUE
            if mode == _AFTER:
                pass
            elif byte == 34:
                column = node_columns[node] if node >= 0 else np.int64(_NO_NODE)
                begin = at + 1
                at, escaped = string_end(begin, end, limit)
                if at < 0:
                    break
                if column >= 0:
                    if escaped:
                        break
                    begins[column, row] = begin - base
                    lengths[column, row] = at - begin
                _note(spans, count, begin, at, column, np.int64(1))
                count += 1
                at += 1
            elif byte == 123:
                if depth == _DEEPEST or (node >= 0 and node_columns[node] >= 0):
                    break
                at += 1
                depth += 1
                stack[depth] = above = node
                mode = _FIRST_KEY
                continue
            elif byte == 91:
                if depth == _DEEPEST or node >= 0:
                    break
                at += 1
                depth += 1
                stack[depth] = above = np.int64(-2)
                mode = _FIRST_VALUE
                continue
            elif byte == 93 and mode == _FIRST_VALUE:
                at += 1
                depth -= 1
            else:
                column = node_columns[node] if node >= 0 else np.int64(_NO_NODE)
                begin = at
                at = scalar_end(begin, end, limit)
                if at < 0:
                    break
                if column >= 0:
                    if is_minus_zero(begin):
                        break
                    if byte != 110:
                        begins[column, row] = begin - base
                        lengths[column, row] = at - begin
                _note(spans, count, begin, at, column, np.int64(0))
                count += 1
            # What closes objects and lists, and then a comma or the end of the line.
            above = stack[depth]
            at = blanks_end(at, end)
            while depth and at < end and u8(at) == (93 if above == -2 else 125):
                depth -= 1
                above = stack[depth]
                at = blanks_end(at + 1, end)
            if depth == 0:
                if at == end:
                    simple[row] = True
                    learn(base + ends[row], end, limit, spans, count, shape)
                break
            if at == end or u8(at) != 44:
                break
            at += 1
            node = np.int64(_NO_NODE)
            mode = _VALUE if above == -2 else _KEY
