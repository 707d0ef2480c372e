"""Packets: what a capture says, as columns; what the capture readers return."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from portkin_training.core.columns import Columns

FIN, SYN, RST, PSH, ACK, URG, ECE, CWR = 1, 2, 4, 8, 16, 32, 64, 128
"""TCP flag bits (RFC 9293, 3.1)."""

IPV4_MAPPED = 0xFFFF_0000_0000
"""Low half of ::ffff:0.0.0.0, to which an IPv4 address is added (RFC 4291, 2.5.5.2); its high half is 0."""


@dataclass(frozen=True, slots=True)
class Packets(Columns):
    """Packets in capture order; n rows.

    A row with ``proto`` 6 or 17 is a TCP segment or a UDP datagram. A row with ``proto`` 1 or 58 is an ICMP(v6)
    port unreachable: addresses and ports are those of the datagram it quotes (so ``src`` sent the probe), and
    ``flags`` holds the quoted protocol (6 or 17). Other packets have no row.

    Attributes:
        ts: (n,) int64, microseconds since the epoch, UTC.
        src, dst: (n, 2) int64, the high and low half of the 128-bit address; IPv4 is IPv4-mapped.
        sport, dport: (n,) uint16.
        proto: (n,) uint8.
        flags: (n,) uint8, TCP flags; 0 for UDP.
        seq: (n,) uint32, TCP sequence number; 0 otherwise.
        context: (n,) int64, what distinguishes equal addresses (`core.context`); 0 where nothing does.
    """

    ts: NDArray[np.int64]
    src: NDArray[np.int64]
    dst: NDArray[np.int64]
    sport: NDArray[np.uint16]
    dport: NDArray[np.uint16]
    proto: NDArray[np.uint8]
    flags: NDArray[np.uint8]
    seq: NDArray[np.uint32]
    context: NDArray[np.int64]

    @classmethod
    def empty(cls, n: int) -> Packets:
        """Columns of n rows, not filled in; without context."""
        return cls(
            ts=np.empty(n, np.int64),
            src=np.empty((n, 2), np.int64),
            dst=np.empty((n, 2), np.int64),
            sport=np.empty(n, np.uint16),
            dport=np.empty(n, np.uint16),
            proto=np.empty(n, np.uint8),
            flags=np.empty(n, np.uint8),
            seq=np.empty(n, np.uint32),
            context=np.zeros(n, np.int64),
        )

    @classmethod
    def none(cls) -> Packets:
        return cls.empty(0)
