"""Blocks in Suricata: a host bit per source and port, which static rules test; no rule is ever reloaded.

Bits are ``pk<port>`` for TCP and ``pk<port>u`` for UDP, set by ``add-hostbit`` over Suricata's unix socket. Suricata
removes a bit when its time is over, and all bits when it stops: then `lost_blocks` is true, and all are sent again.

Before 7.0.14 and 8.0.3 Suricata keeps the bits of every IPv6 address under ``::`` (its ticket 8103), and says that all
is well. So each connection is tried out with its first bit, on addresses that no packet comes from.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable, Mapping
from ipaddress import IPv4Address, IPv6Address
from pathlib import Path

from portkin.blocking.backends.backend import Batch, Uncounted
from portkin.blocking.backends.host_bits import bit_of, stores_ipv6_wrongly
from portkin.blocking.block import BlockKey, Mode
from portkin.errors import BackendError
from portkin.net.addresses import Address
from portkin.net.suricata_socket import SuricataSocket

NO_RULE = "no rule of the running Suricata tests this port; build rules for it with `portkin rules`"
_TRIAL_SECONDS = 30


class Suricata(Uncounted):
    """A `Backend`: one connection, reopened by `setup`. For one thread at a time."""

    mode: Mode = "suricata"

    def __init__(
        self, path: Path | None = None, *, timeout: float = 5.0, clock: Callable[[], float] = time.monotonic
    ) -> None:
        """``path``: Suricata's socket; None to look for it. ``clock`` returns seconds."""
        self._suricata = SuricataSocket(path, timeout=timeout)
        self._clock = clock
        self._tried = False
        self._ipv6_fault = ""
        self._version = "of unknown version"

    def setup(self, room: int = 0) -> None:
        """Connect. Suricata keeps as many bits as its memory holds (``host.memcap``)."""
        self._suricata.connect()
        self._version = str(self._suricata.command("version").get("message", "of unknown version"))
        self._tried = False
        self._ipv6_fault = self._one_for_all() if stores_ipv6_wrongly(self._version) else ""

    def join(self) -> bool:
        """Connect: what other processes set stays set."""
        self.setup()
        return True

    def apply(self, batch: Batch) -> Mapping[BlockKey, str]:
        """Carry out the batch; returns the keys whose bit no rule tests, or that Suricata would take for others."""
        refused, began = {}, self._clock()
        for again, items in ((True, batch.extend), (False, batch.add)):
            for key, seconds, *_ in items:
                # Thousands of bits take seconds, and the last must not end later for that.
                reason = self._set(key, seconds - int(self._clock() - began), again)
                if reason:
                    refused[key] = reason
        for key in batch.remove:
            self._bit("remove-hostbit", key.address, bit_of(key.port))
        return refused

    def lost_blocks(self) -> bool:
        """Whether the connection has closed: Suricata stopped, and its bits are gone."""
        return self._suricata.closed

    def ipv6_fault(self) -> str:
        return self._ipv6_fault

    def close(self) -> None:
        self._suricata.close()

    def _set(self, key: BlockKey, seconds: float, again: bool) -> str:
        """Set a bit; returns why it cannot be set, or nothing."""
        # Whole seconds, rounded down: a block must not outlive its time.
        if int(seconds) < 1:
            return ""
        address, bit = key.address, bit_of(key.port)
        if not self._tried and not self._try(bit):
            return NO_RULE
        if address.version == 6 and self._ipv6_fault:
            return self._ipv6_fault
        if again:
            # Setting a bit again does not change its time.
            self._bit("remove-hostbit", address, bit)
        return "" if self._add(address, bit, int(seconds)) else NO_RULE

    def _try(self, bit: str) -> bool:
        """Set the bit for addresses no packet comes from, and check which have it; False where no rule tests it."""
        # Another address each time, since `portkin blocks` may try the same at once. 240.0.0.0/4 is reserved (RFC
        # 1112, section 4), 100::/64 is discarded (RFC 6666).
        ipv4 = IPv4Address(0xF000_0000 | secrets.randbits(27))
        ipv6, other = (IPv6Address((0x100 << 112) | secrets.randbits(64)) for _ in range(2))
        if not self._add(ipv4, bit, _TRIAL_SECONDS):
            return False
        if not self._has(ipv4, bit):
            raise BackendError(f"Suricata {self._version}: a host bit that was set is not seen; nothing is blocked")
        self._bit("remove-hostbit", ipv4, bit)
        self._add(ipv6, bit, _TRIAL_SECONDS)
        self._ipv6_fault = "" if self._has(ipv6, bit) and not self._has(other, bit) else self._one_for_all()
        self._bit("remove-hostbit", ipv6, bit)
        self._tried = True
        return True

    def _one_for_all(self) -> str:
        return (
            f"Suricata {self._version} keeps the host bits of all IPv6 addresses under one, so none is blocked; "
            "7.0.14 and 8.0.3 or later tell them apart"
        )

    def _add(self, address: Address, bit: str, seconds: int) -> bool:
        """Set a bit; False where no rule of Suricata tests it."""
        reply = self._bit("add-hostbit", address, bit, expire=seconds)
        if reply.get("message") == "hostbit not found":
            return False
        if reply.get("return") != "OK":
            raise BackendError(f"Suricata refused the bit {bit}: {reply.get('message')}")
        return True

    def _has(self, address: Address, bit: str) -> bool:
        listed = self._suricata.command("list-hostbit", ipaddress=str(address)).get("message")
        bits = listed.get("hostbits") if isinstance(listed, dict) else None
        found = [one for one in bits if isinstance(one, dict) and one.get("name") == bit] if type(bits) is list else []
        return any(type(one.get("expire")) is int and one["expire"] > 0 for one in found)

    def _bit(self, command: str, address: Address, bit: str, **more: int) -> dict[str, object]:
        return self._suricata.command(command, ipaddress=str(address), hostbit=bit, **more)
