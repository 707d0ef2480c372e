"""Reading nftables' sets and counters by nfnetlink; by hand, since libnftables needs 2 s for 100,000 elements.

A dump gives some hundred elements per message. They have the same layout, so one is parsed attribute by
attribute and the others are read in its columns; where one differs, each is parsed by itself. The
layouts are those of linux/netfilter/nfnetlink.h and nf_tables.h, part of the kernel's stable interface.
"""

from __future__ import annotations

import errno
import struct
import time
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from portkin.net.netlink import Interrupted, NetlinkError, attribute, attributes, dump, get, sequence, spans

NETLINK_NETFILTER = 12
_SUBSYSTEM = 10 << 8
_NEWSETELEM, GETSETELEM, _NEWOBJ, _GETOBJ = (_SUBSYSTEM | number for number in (12, 13, 18, 19))
_INET = 1
_GENMSG = struct.Struct("=BBH")
_LIST_TABLE, _LIST_SET, _LIST_ELEMENTS = 1, 2, 3
_ELEM_KEY, _ELEM_EXPIRATION, _ELEM_EXPR, _ELEM_EXPRESSIONS = 1, 5, 7, 11
_DATA_VALUE = 1
_EXPR_NAME, _EXPR_DATA = 1, 2
_COUNTER_BYTES, _COUNTER_PACKETS = 1, 2
_OBJ_TABLE, _OBJ_NAME, _OBJ_DATA = 1, 2, 4
_ROUNDS = 8
_PAUSE = 0.05


class Element(NamedTuple):
    """An element of a set: its key as the kernel has it, the time left, and its counter."""

    key: bytes
    seconds: float
    """Until it expires; inf where it does not."""
    packets: int
    bytes: int


def elements(table: str, name: str) -> list[Element]:
    """All elements of a set of the ``inet`` family.

    While a set grows, the kernel moves its elements, and a dump then has some twice and lacks others; it is read
    again until that is not so. Where it changes all the while, as under a scan of many sources, what any of the
    readings has is returned. Raises NetlinkError, with ENOENT where there is no such set.
    """
    payload = _set_of(table, name)
    read: dict[bytes, Element] = {}
    for _ in range(_ROUNDS):
        found: list[Element] = []
        try:
            for kind, body in dump(NETLINK_NETFILTER, GETSETELEM, payload):
                if kind == _NEWSETELEM:
                    found.extend(_message(body))
            if len({element.key for element in found}) == len(found):
                return found
        except Interrupted:
            pass
        read.update((element.key, element) for element in found)
        time.sleep(_PAUSE)
    return list(read.values())


def element(table: str, name: str, key: bytes) -> Element | None:
    """One element of a set; None where the set has none of that key. Raises NetlinkError."""
    wanted = attribute(1, attribute(_ELEM_KEY, attribute(_DATA_VALUE, key)))
    try:
        for kind, body in get(NETLINK_NETFILTER, GETSETELEM, _set_of(table, name) + attribute(_LIST_ELEMENTS, wanted)):
            if kind == _NEWSETELEM:
                return next(_message(body), None)
    except NetlinkError as error:
        if error.errno != errno.ENOENT:
            raise
    return None


def _set_of(table: str, name: str) -> bytes:
    """A request about a set."""
    parts = attribute(_LIST_TABLE, table.encode() + b"\0"), attribute(_LIST_SET, name.encode() + b"\0")
    return _GENMSG.pack(_INET, 0, 0) + b"".join(parts)


def counter(table: str, name: str) -> tuple[int, int] | None:
    """(packets, bytes) of a named counter; None where the table has none. Raises NetlinkError."""
    payload = _GENMSG.pack(_INET, 0, 0) + attribute(_OBJ_TABLE, table.encode() + b"\0")
    found = None
    try:
        for kind, body in dump(NETLINK_NETFILTER, _GETOBJ, payload):
            parts = attributes(body[_GENMSG.size :])
            if kind == _NEWOBJ and bytes(parts[_OBJ_NAME]).rstrip(b"\0") == name.encode():
                data = attributes(parts[_OBJ_DATA])
                found = _number(data[_COUNTER_PACKETS]), _number(data[_COUNTER_BYTES])
    except Interrupted:
        pass  # other objects came or went
    return found


def _message(body: memoryview) -> Iterator[Element]:
    """The elements in one message of a dump."""
    listed = attributes(body[_GENMSG.size :]).get(_LIST_ELEMENTS, memoryview(b""))
    if not len(listed):
        return
    stride = (int.from_bytes(listed[:2], "little" if _LITTLE else "big") + 3) & ~3
    columns = _columns(listed[4:stride])
    rows = np.frombuffer(listed, np.uint8)
    if stride < 4 or columns is None or len(rows) % stride or not _alike(rows := rows.reshape(-1, stride), columns):
        for _, element in sequence(listed):
            yield _element(element)
        return
    key, width, expiration, packets, size = columns
    keys = rows[:, 4 + key : 4 + key + width].tobytes()
    left = (_column(rows, 4 + expiration) / 1000).tolist()
    counts = zip(_column(rows, 4 + packets).tolist(), _column(rows, 4 + size).tolist(), strict=True)
    for at, (seconds, (seen, octets)) in enumerate(zip(left, counts, strict=True)):
        yield Element(keys[at * width : (at + 1) * width], seconds, seen, octets)


_LITTLE = struct.pack("=H", 1) == b"\1\0"


def _alike(rows: NDArray[np.uint8], columns: tuple[int, int, int, int, int]) -> bool:
    """Whether all rows differ from the first in nothing but their values."""
    key, width, expiration, packets, size = columns
    same = np.ones(rows.shape[1], bool)
    for at, length in ((key, width), (expiration, 8), (packets, 8), (size, 8)):
        same[4 + at : 4 + at + length] = False
    # The timeout's value may differ too, but its header may not; it stands before the expiration.
    same[4 + expiration - 12 : 4 + expiration - 4] = False
    return bool((rows[:, same] == rows[0, same]).all())


def _column(rows: NDArray[np.uint8], at: int) -> NDArray[np.uint64]:
    """Eight bytes of each row as a number; netfilter's numbers are big-endian."""
    return np.ascontiguousarray(rows[:, at : at + 8]).view(">u8")[:, 0].astype(np.uint64)


def _columns(element: memoryview) -> tuple[int, int, int, int, int] | None:
    """Where an element has its key (and how long that is), expiration, packets and bytes; None where it lacks one."""
    at: dict[str, int] = {}
    width = 0
    for kind, start, end in spans(element):
        if kind == _ELEM_KEY:
            for inner, first, last in spans(element, start, end):
                if inner == _DATA_VALUE:
                    at["key"], width = first, last - first
        elif kind == _ELEM_EXPIRATION:
            at["expiration"] = start
        elif kind == _ELEM_EXPR:
            for inner, first, last in spans(element, start, end):
                if inner == _EXPR_DATA:
                    found = {what: where for what, where, _ in spans(element, first, last)}
                    at["packets"], at["bytes"] = found.get(_COUNTER_PACKETS, -1), found.get(_COUNTER_BYTES, -1)
    if len(at) < 4 or -1 in at.values():
        return None
    return at["key"], width, at["expiration"], at["packets"], at["bytes"]


def _element(element: memoryview) -> Element:
    """One element, parsed."""
    parts = attributes(element)
    key = bytes(attributes(parts[_ELEM_KEY])[_DATA_VALUE])
    seconds = _number(parts[_ELEM_EXPIRATION]) / 1000 if _ELEM_EXPIRATION in parts else float("inf")
    expressions = [parts[_ELEM_EXPR]] if _ELEM_EXPR in parts else []
    if _ELEM_EXPRESSIONS in parts:
        expressions = [expression for _, expression in sequence(parts[_ELEM_EXPRESSIONS])]
    for expression in expressions:
        named = attributes(expression)
        if bytes(named[_EXPR_NAME]) == b"counter\0":
            data = attributes(named[_EXPR_DATA])
            return Element(key, seconds, _number(data[_COUNTER_PACKETS]), _number(data[_COUNTER_BYTES]))
    return Element(key, seconds, 0, 0)


def _number(value: memoryview) -> int:
    return int.from_bytes(value, "big")
