"""What every fuzz target shares: its registration, bytes made out of seeds, and memory with fences.

A target is a check of a folder to write into and of bytes from outside. It raises for whatever is wrong: an error that
no reader documents, a count that does not add up, a result that depends on how the bytes came. Whatever else a check
varies, as options and sizes of pieces, it draws by `choice` from the bytes themselves, so that an input alone says what
is done with it.
"""

from __future__ import annotations

import ctypes
import mmap
import random
import re
import unicodedata
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from portkin.errors import PortkinError, shown

T = TypeVar("T")
Check = Callable[[Path, bytes], None]


@dataclass(frozen=True)
class Target:
    """One reader, or a family of them.

    Attributes:
        about: what is checked, in a line.
        seeds: good inputs, made out of what the tests use.
        check: see above.
    """

    name: str
    about: str
    seeds: Callable[[], Iterable[bytes]]
    check: Check


TARGETS: dict[str, Target] = {}
"""Every target of the modules that are loaded."""


def target(seeds: Callable[[], Iterable[bytes]]) -> Callable[[Check], Check]:
    """Makes a check a target of its name, with the first line of its docstring."""

    def register(check: Check) -> Check:
        name = check.__name__.replace("_", "-")
        TARGETS[name] = Target(name, (check.__doc__ or "").partition("\n")[0], seeds, check)
        return check

    return register


def choice(data: bytes, of: Sequence[T], salt: int = 0) -> T:
    """One of these, the same for the same bytes; other ones with another salt."""
    digest = blake2b(data, digest_size=8, person=b"%d" % salt).digest()
    return of[int.from_bytes(digest, "big") % len(of)]


def noticed(*outcome: object) -> None:
    """Tell the fuzzer what came out, where compiled loops took ways that it does not see."""
    for hear in HEARING:
        hear(repr(outcome))


HEARING: list[Callable[[str], None]] = []
"""The fuzzer, where one is at work."""


def refused(act: Callable[[], T], *errors: type[PortkinError], naming: str = "") -> T | None:
    """What ``act`` returns; None where it raises one of the errors for people, which names ``naming`` and can be shown.

    Whatever else it raises is a fault.
    """
    try:
        return act()
    except errors as error:
        assert type(error) in errors, f"{type(error).__name__} is not documented"
        assert naming in str(error), f"does not name {naming}: {error}"
        printable(shown(str(error)))
        return None


def printable(text: str) -> None:
    """Raise AssertionError for a text that does more to a terminal than to write on it."""
    text.encode()
    odd = {
        char for char in text if (unicodedata.category(char) == "Cc" and char != "\n") or char in "\u202e\u2066\u2028"
    }
    assert not odd, f"control characters {odd} in {text!r}"


# Bytes out of seeds.

_ODD = (
    "", "0", "-1", "65535", "65536", "99999", "4294967296", "9223372036854775807", "9223372036854775808",
    "18446744073709551616", "9" * 30, "9" * 4400, "1e3", "1e400", "-1e400", "1.5", "6.0", "nan", "inf", "-inf", "0x16",
    "null", "true", '""', "[]", "{}", "[1]", '{"a":1}', "[" * 1100, '{"a":' * 1100, r'"\ud800"', r'"\u0000"', r'"\n"',
    r'"\u001b[2J"', "1970-01-01T00:00:00Z", "0001-01-01T00:00:00+23:59", "9999-12-31T23:59:59-23:59",
    "2026-02-30T24:61:61", "0000-00-00", "Feb 29 00:00:00", "Dec 31 23:59:59", "Jan  1 00:00:00", "2147483647.9999999",
    "-62135596800", "253402300800", "::", "::ffff:192.0.2.1", "fe80::1%eth0", "[2001:db8::1]", "192.0.2.1/32",
    "192.0.2.1:80", "3325256711", "010.1.2.3", "host.example", "\u0663\u0664", "\u2028", "\ufeff", "\x1b[31m", "\x00",
    "\r", "\x85", "\xff", "x" * 5000, "tcp", "udp", "17", "icmp", "SYN", "SYN ACK", "-", "(empty)", "#fields", "ssh",
    "1s", "-1ns", "99999999999999h", "1/?",
)  # fmt: skip
"""What stands where a number, a time, an address, a name or an object should."""
_WORD = re.compile(rb'"(?:[^"\\\n]|\\.)*"|[^\s,;|"=:{}\[\]]+')
_BYTES = (b"\n", b"\r\n", b"\r", b"\0", b"\xff", b'"', b",", b"{", b"}", b"[", b"]", b"\t", b"|", b"#", b"\\", b" ")


def mutated(data: bytes, draw: random.Random, other: bytes = b"") -> bytes:
    """The bytes with one to four changes: words replaced by odd ones, bytes changed, parts repeated, cut or joined with
    ``other`` ones."""
    changed = bytearray(data)
    for _ in range(draw.randint(1, 4)):
        at = draw.randrange(len(changed) + 1)
        match draw.randrange(9):
            case 0 | 1 | 2:
                words = [*_WORD.finditer(changed, max(0, at - 200), at + 200)]
                if words:
                    word = draw.choice(words)
                    changed[word.start() : word.end()] = draw.choice(_ODD).encode("utf-8", "surrogatepass")
            case 3:
                changed[at : at + 1] = bytes([draw.randrange(256)])
            case 4:
                if at < len(changed):
                    changed[at] ^= 1 << draw.randrange(8)
            case 5:
                changed[at : at + draw.randrange(8)] = draw.choice(_BYTES)
            case 6:
                changed[at : at + draw.choice((1, 2, 4, 8, 64))] = b""
            case 7:
                part = changed[at : at + draw.choice((1, 4, 64, 512))]
                changed[at:at] = part * draw.choice((1, 2, 30))
            case 8:
                changed[at:] = other[draw.randrange(len(other) + 1) :]
    return bytes(changed[:MOST])


MOST = 1 << 13
"""Bytes of an input at most."""


class Fenced:
    """Memory between two pages that nobody may touch: to read or write beyond it ends the process, not by luck alone.

    Compiled loops check no bounds. They are given bytes that end at the last fence, and then bytes that begin at the
    first.
    """

    def __init__(self, most: int = 2 * MOST) -> None:
        """Room for ``most`` bytes."""
        page = mmap.PAGESIZE
        self._room = -(-most // page) * page
        self._map = mmap.mmap(-1, self._room + 2 * page)
        self._first = ctypes.addressof(ctypes.c_char.from_buffer(self._map)) + page
        protect = ctypes.CDLL(None, use_errno=True).mprotect
        protect.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int]
        for fence in (self._first - page, self._first + self._room):
            if protect(fence, page, 0):
                raise OSError(ctypes.get_errno(), "mprotect")

    def holding(self, data: bytes, *, at_end: bool) -> NDArray[np.uint8]:
        """The bytes (n,) as the last, or as the first, that can be read."""
        address = self._first + (self._room - len(data) if at_end else 0)
        ctypes.memmove(address, data, len(data))
        return np.frombuffer((ctypes.c_uint8 * len(data)).from_address(address), np.uint8)

    def both(self, data: bytes, act: Callable[[NDArray[np.uint8]], T]) -> T:
        """What ``act`` makes of the bytes, the same at either end."""
        one, other = (act(self.holding(data, at_end=at_end)) for at_end in (True, False))
        assert repr(one) == repr(other)
        return one
