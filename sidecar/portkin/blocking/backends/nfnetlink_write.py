"""Writing elements into nftables' sets by nfnetlink, as one transaction.

By hand, since libnftables reads text and asks the kernel for all sets first: half a millisecond of processor time for
ten blocks, where this needs a fifth of one. The layouts are those of linux/netfilter/nfnetlink.h and nf_tables.h, part
of the kernel's stable interface.
"""

from __future__ import annotations

import errno
import os
import socket
import struct
from collections.abc import Iterable, Iterator, Sequence
from functools import lru_cache
from typing import NamedTuple

from portkin.blocking.backends.nfnetlink import NETLINK_NETFILTER
from portkin.net.netlink import NLM_F_ACK, NLM_F_REQUEST, NLMSG_ERROR, NetlinkError, attribute

_SUBSYSTEM = 10
_BATCH_BEGIN, _BATCH_END = 16, 17
_NEWSETELEM, _DELSETELEM = (_SUBSYSTEM << 8 | number for number in (12, 14))
_NLM_F_CREATE = 0x400
_HEADER = struct.Struct("=IHHII")
_ATTRIBUTE = struct.Struct("=HH")
_CODE = struct.Struct("=i")
_INET = struct.pack("=BBH", 1, 0, 0)
_NF_TABLES = struct.pack("=BBH", 0, 0, socket.htons(_SUBSYSTEM))
_NESTED = 0x8000
_LIST_TABLE, _LIST_SET, _LIST_ELEMENTS = 1, 2, 3
_LIST_ELEMENT = 1
_ELEM_KEY, _ELEM_TIMEOUT, _ELEM_EXPIRATION, _ELEM_EXPR = 1, 4, 5, 7
_TIMEOUT_HEAD, _EXPIRATION_HEAD = (_ATTRIBUTE.pack(12, kind) for kind in (_ELEM_TIMEOUT, _ELEM_EXPIRATION))
_DATA_VALUE = 1
_EXPR_NAME, _EXPR_DATA = 1, 2
_COUNTER_BYTES, _COUNTER_PACKETS = 1, 2
_AT_ONCE = 400
"""Elements of one message: a list of attributes holds 64 KB, an element takes some 120 bytes at most."""
_TIMEOUT = 30.0
_READ = 1 << 16
_SO_SNDBUFFORCE = 32


class Change(NamedTuple):
    """An element, and with what it is added; of one that is deleted the key alone counts."""

    key: bytes
    """As the kernel has it: an address and a port, padded to a multiple of four bytes."""
    milliseconds: int = 0
    """Until it expires; 0: never."""
    expires: bool = False
    """Whether an element that is there already gets this time too (Linux 6.12)."""
    packets: int = 0
    bytes: int = 0
    """What its counter begins with."""


class Command(NamedTuple):
    """Changes of one set."""

    name: str
    changes: Sequence[Change]
    delete: bool = False


class ElementWriter:
    """A netlink socket, opened when it is needed first. For one thread at a time."""

    def __init__(self) -> None:
        self._socket: socket.socket | None = None
        self._room = 0
        self._sequence = 0

    def write(self, table: str, commands: Iterable[Command]) -> None:
        """Carry out all commands on a table of the ``inet`` family, in order, or none. Raises NetlinkError."""
        opened = self._socket or self._open()
        first = self._sequence = self._sequence + 1
        messages = [_message(_BATCH_BEGIN, 0, first, _NF_TABLES)]
        bodies = [(command.delete, body) for command in commands for body in _bodies(table, command)]
        for at, (delete, body) in enumerate(bodies, 1):
            self._sequence += 1
            flags = (0 if delete else _NLM_F_CREATE) | (NLM_F_ACK if at == len(bodies) else 0)
            messages.append(_message(_DELSETELEM if delete else _NEWSETELEM, flags, self._sequence, body))
        if not bodies:
            return
        last = self._sequence
        messages.append(_message(_BATCH_END, 0, last, _NF_TABLES))
        data = b"".join(messages)
        if len(data) > self._room:
            opened.setsockopt(socket.SOL_SOCKET, _SO_SNDBUFFORCE, 2 * len(data))
            self._room = len(data)
        try:
            opened.sendto(data, (0, 0))
            self._await(opened, first, last)
        except TimeoutError:
            self.close()
            raise NetlinkError(errno.ETIMEDOUT, f"the kernel did not answer within {_TIMEOUT:g} s") from None
        except OSError:
            self.close()  # and with it answers that are still to come
            raise

    def close(self) -> None:
        """Close the socket."""
        if self._socket is not None:
            self._socket.close()
            self._socket = None

    def _open(self) -> socket.socket:
        opened = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, NETLINK_NETFILTER)
        opened.settimeout(_TIMEOUT)
        self._socket, self._room = opened, _READ
        return opened

    def _await(self, opened: socket.socket, first: int, last: int) -> None:
        """Read answers up to that to the message ``last``. Raises NetlinkError for the first that is an error."""
        while True:
            data = memoryview(opened.recv(_READ))
            while len(data) >= _HEADER.size:
                length, kind, _, number, _ = _HEADER.unpack_from(data)
                if kind == NLMSG_ERROR and first <= number <= last:
                    code = _CODE.unpack_from(data, _HEADER.size)[0]
                    if code:
                        raise NetlinkError(-code, _words(-code))
                    if number == last:
                        return
                data = data[(length + 3) & ~3 :]


def _words(code: int) -> str:
    return "a set is full" if code == errno.ENFILE else os.strerror(code)


def _message(kind: int, flags: int, number: int, body: bytes) -> bytes:
    return _HEADER.pack(_HEADER.size + len(body), kind, NLM_F_REQUEST | flags, number, 0) + body


def _bodies(table: str, command: Command) -> Iterator[bytes]:
    """What follows the headers of the messages for a command."""
    place = (
        _INET
        + attribute(_LIST_TABLE, table.encode("ascii") + b"\0")
        + attribute(_LIST_SET, command.name.encode("ascii") + b"\0")
    )
    for at in range(0, len(command.changes), _AT_ONCE):
        elements = b"".join(map(_element, command.changes[at : at + _AT_ONCE]))
        yield place + attribute(_LIST_ELEMENTS | _NESTED, elements)


def _element(change: Change) -> bytes:
    after = b""
    if change.milliseconds:
        time = change.milliseconds.to_bytes(8, "big")
        after = _TIMEOUT_HEAD + time + _EXPIRATION_HEAD + time if change.expires else _TIMEOUT_HEAD + time
    if change.packets:
        counted = attribute(_COUNTER_BYTES, change.bytes.to_bytes(8, "big"))
        counted += attribute(_COUNTER_PACKETS, change.packets.to_bytes(8, "big"))
        named = attribute(_EXPR_NAME, b"counter\0") + attribute(_EXPR_DATA | _NESTED, counted)
        after += attribute(_ELEM_EXPR | _NESTED, named)
    return _head(len(change.key), len(after)) + change.key + after


@lru_cache(maxsize=64)
def _head(width: int, after: int) -> bytes:
    """What stands before the key of an element: ``width`` is the key's length, ``after`` that of what follows it."""
    return (
        _ATTRIBUTE.pack(12 + width + after, _LIST_ELEMENT | _NESTED)
        + _ATTRIBUTE.pack(8 + width, _ELEM_KEY | _NESTED)
        + _ATTRIBUTE.pack(4 + width, _DATA_VALUE)
    )
