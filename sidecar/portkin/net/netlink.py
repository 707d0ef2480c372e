"""Netlink: reading the kernel's tables, and the attributes in its messages. Nothing is written here.

netlink(7); the layouts are those of linux/netlink.h, part of the kernel's stable interface. By hand: see
`interfaces`.
"""

from __future__ import annotations

import errno
import os
import socket
import struct
from collections.abc import Iterator

NLM_F_REQUEST, NLM_F_ACK, NLM_F_DUMP = 0x1, 0x4, 0x300
NLMSG_ERROR, NLMSG_DONE = 2, 3
NLM_F_DUMP_INTR = 0x10
_HEADER = struct.Struct("=IHHII")
_ATTRIBUTE = struct.Struct("=HH")
_ERROR = struct.Struct("=i")
_TYPE = 0x3FFF  # without the flags NLA_F_NESTED and NLA_F_NET_BYTEORDER
_READ = 1 << 17
TIMEOUT = 10.0


class NetlinkError(OSError):
    """The kernel refused; ``errno`` says why."""


class Interrupted(NetlinkError):
    """What was dumped changed meanwhile, so the dump may be incomplete: read it again."""


def dump(protocol: int, kind: int, payload: bytes) -> Iterator[tuple[int, memoryview]]:
    """All messages of the answer to a dump request: (type, what follows the header).

    ``protocol`` is a ``NETLINK_*`` number, ``payload`` what follows the header of the request. Raises
    NetlinkError; Interrupted, after the last message, where the dump is inconsistent.
    """
    return _ask(protocol, kind, payload, NLM_F_REQUEST | NLM_F_DUMP)


def get(protocol: int, kind: int, payload: bytes) -> Iterator[tuple[int, memoryview]]:
    """All messages of the answer to a request for one thing, as `dump`. Raises NetlinkError, ENOENT for none such."""
    return _ask(protocol, kind, payload, NLM_F_REQUEST | NLM_F_ACK)


def _ask(protocol: int, kind: int, payload: bytes, asked: int) -> Iterator[tuple[int, memoryview]]:
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, protocol) as opened:
        opened.settimeout(TIMEOUT)
        opened.sendto(_HEADER.pack(_HEADER.size + len(payload), kind, asked, 1, 0) + payload, (0, 0))
        interrupted = False
        while True:
            try:
                data = memoryview(opened.recv(_READ))
            except TimeoutError:  # it has no errno
                raise NetlinkError(errno.ETIMEDOUT, f"the kernel did not answer within {TIMEOUT:g} s") from None
            while len(data) >= _HEADER.size:
                length, found, flags, _, _ = _HEADER.unpack_from(data)
                body = data[_HEADER.size : length]
                interrupted |= bool(flags & NLM_F_DUMP_INTR)
                if found in (NLMSG_ERROR, NLMSG_DONE):
                    code = _ERROR.unpack_from(body)[0] if len(body) >= _ERROR.size else 0
                    if code:
                        raise NetlinkError(-code, os.strerror(-code))
                    if interrupted:
                        raise Interrupted(errno.EINTR, "the table changed while it was read")
                    return
                yield found, body
                data = data[(length + 3) & ~3 :]


def attributes(data: memoryview) -> dict[int, memoryview]:
    """The attributes by type; of several of one type the last."""
    return dict(sequence(data))


def sequence(data: memoryview) -> Iterator[tuple[int, memoryview]]:
    """The attributes in order: (type, value)."""
    return ((kind, data[start:end]) for kind, start, end in spans(data))


def spans(data: memoryview, start: int = 0, end: int | None = None) -> Iterator[tuple[int, int, int]]:
    """The attributes between two places, in order: (type, where the value begins, where it ends)."""
    end = len(data) if end is None else end
    while start + 4 <= end:
        length, kind = _ATTRIBUTE.unpack_from(data, start)
        if not 4 <= length <= end - start:
            return
        yield kind & _TYPE, start + 4, start + length
        start += (length + 3) & ~3


def attribute(kind: int, value: bytes) -> bytes:
    """An attribute for a request, padded."""
    return _ATTRIBUTE.pack(4 + len(value), kind) + value + b"\0" * (-len(value) % 4)
