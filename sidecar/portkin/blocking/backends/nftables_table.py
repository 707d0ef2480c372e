"""Whose a table of nftables is, and whether it still drops: its mark, its parts and its rules, read by nfnetlink.

A table is ours if it carries our comment, which the kernel keeps from 5.10 on. Names are no proof: a firewall may have
a table with the name that somebody chose for ours.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from portkin.blocking.backends.nfnetlink import NETLINK_NETFILTER
from portkin.blocking.backends.nftables_setup import MARK
from portkin.net.netlink import Interrupted, attribute, attributes, dump, sequence

_SUBSYSTEM = 10 << 8
_GETTABLE, _GETCHAIN, _GETRULE, _GETSET, _GETOBJ, _GETFLOWTABLE = (_SUBSYSTEM | kind for kind in (1, 4, 7, 10, 19, 23))
_GENMSG = b"\1\0\0\0"  # family inet, version 0, no resource
_TABLE = 1  # the table's name, in the messages of everything that is in a table
_TABLE_NAME, _TABLE_FLAGS, _TABLE_HANDLE, _TABLE_USERDATA = 1, 2, 4, 6
_DORMANT = 1
_COMMENT = 0
_PARTS = {"chain": (_GETCHAIN, 3), "set": (_GETSET, 2), "object": (_GETOBJ, 2), "flowtable": (_GETFLOWTABLE, 2)}
"""What a table can hold besides rules: the request that lists it, and the attribute with its name."""
_RULE_CHAIN, _RULE_EXPRESSIONS = 2, 4
_EXPRESSION_NAME, _EXPRESSION_DATA = 1, 2
_LOOKUP_SET = 1
_SET_NAME, _SET_DESCRIPTION = 2, 9
_DESCRIPTION_SIZE = 1
_ROUNDS = 5


@dataclass(frozen=True)
class TableState:
    """A table of the ``inet`` family."""

    comment: str
    handle: int
    """Another one for each table that is created."""
    dormant: bool
    """Whether its chains are switched off."""
    parts: frozenset[tuple[str, str]]
    """What it holds, as ``("chain", "scanners")``; unnamed sets of rules are left out."""

    @property
    def ours(self) -> bool:
        """Whether it carries our mark."""
        return self.comment == MARK


def read_table(table: str) -> TableState | None:
    """What there is under this name; None where there is no such table. Raises NetlinkError."""
    for body in _listed(_GETTABLE):
        found = attributes(body)
        if _text(found.get(_TABLE_NAME)) == table:
            flags = int.from_bytes(found.get(_TABLE_FLAGS, b""), "big")
            handle = int.from_bytes(found.get(_TABLE_HANDLE, b""), "big")
            parts = frozenset((kind, name) for kind in _PARTS for name in _names(table, kind))
            return TableState(_comment(found.get(_TABLE_USERDATA)), handle, bool(flags & _DORMANT), parts)
    return None


def dropping_sets(table: str, chain: str) -> list[str]:
    """The sets that the chain's rules look up before they give a verdict, one per rule, in order; empty: no such set.

    Raises NetlinkError.
    """
    found = []
    for body in _listed(_GETRULE, table):
        rule = attributes(body)
        if (_text(rule.get(_TABLE)), _text(rule.get(_RULE_CHAIN))) != (table, chain):
            continue
        looked_up = verdict = ""
        for _, expression in sequence(rule.get(_RULE_EXPRESSIONS, memoryview(b""))):
            parts = attributes(expression)
            verdict = _text(parts.get(_EXPRESSION_NAME))
            if verdict == "lookup":
                looked_up = _text(attributes(parts[_EXPRESSION_DATA]).get(_LOOKUP_SET))
        found.append(looked_up if verdict == "immediate" else "")
    return found


def set_sizes(table: str) -> dict[str, int]:
    """How many elements each set of the table may hold; 0: any number. Raises NetlinkError."""
    sizes = {}
    for body in _listed(_GETSET, table):
        found = attributes(body)
        if _text(found.get(_TABLE)) == table:
            size = attributes(found.get(_SET_DESCRIPTION, memoryview(b""))).get(_DESCRIPTION_SIZE, b"")
            sizes[_text(found.get(_SET_NAME))] = int.from_bytes(size, "big")
    return sizes


def _names(table: str, kind: str) -> Iterator[str]:
    request, name = _PARTS[kind]
    for body in _listed(request, table):
        found = attributes(body)
        text = _text(found.get(name))
        if _text(found.get(_TABLE)) == table and not text.startswith("__"):
            yield text


def _listed(request: int, table: str = "") -> list[memoryview]:
    """Everything of this kind in the ``inet`` family; read again where it changed meanwhile.

    ``table`` keeps the kernel from listing other tables, where it heeds that.
    """
    payload = _GENMSG + (attribute(_TABLE, table.encode() + b"\0") if table else b"")
    for _ in range(_ROUNDS - 1):
        try:
            return _read(request, payload)
        except Interrupted:
            continue
    return _read(request, payload)


def _read(request: int, payload: bytes) -> list[memoryview]:
    answer = request - 1  # NFT_MSG_NEWx stands before NFT_MSG_GETx
    return [body[len(_GENMSG) :] for kind, body in dump(NETLINK_NETFILTER, request, payload) if kind == answer]


def _text(value: memoryview | None) -> str:
    return bytes(value or b"").rstrip(b"\0").decode(errors="replace")


def _comment(userdata: memoryview | None) -> str:
    """The comment in nftables' user data: type, length, value (libnftnl's udata)."""
    data = bytes(userdata or b"")
    while len(data) >= 2:
        kind, length = data[0], data[1]
        if kind == _COMMENT:
            return data[2 : 2 + length].rstrip(b"\0").decode(errors="replace")
        data = data[2 + length :]
    return ""
