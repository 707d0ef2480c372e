"""Rows of the block database as values. A row may hold anything, as after a bit of the file has changed."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, get_args

from portkin.blocking.block import Block, BlockKey, Mode
from portkin.net.addresses import number_of, text_of
from portkin.net.ports import PORTS, PROTOS, Port

BLOCK = "id, src, port, proto, mode, rank, since, until, hit, packets, bytes"
"""The columns of a block, in the order of `block_in`."""
_MODES = frozenset(get_args(Mode))
_TIMES = 1e11
"""Seconds since 1970 that no time of a block reaches."""


def block_in(row: Sequence[Any]) -> Block | None:
    """The block in a row; None where there is none."""
    number, src, port, proto, mode, rank, since, until, hit, packets, octets = row
    key = key_in(src, port, proto)
    try:
        if key is None or mode not in _MODES or not -_TIMES < since <= until < _TIMES:
            return None
        return Block(key, mode, int(rank), since, until, number, bool(hit), int(packets), int(octets))
    except (TypeError, ValueError):
        return None


def key_in(src: Any, port: Any, proto: Any) -> BlockKey | None:
    """The key in a row; None where there is none."""
    try:
        if proto in PROTOS and 0 <= port < PORTS:
            return BlockKey(number_of(src), Port(port, proto))
    except (TypeError, ValueError):
        pass
    return None


def values_of(key: BlockKey) -> tuple[str, int, str]:
    """A key as a row has it."""
    return text_of(key.src), key.port.number, key.port.proto
