"""Labelled traces, streamed: packets in, rows for the replay out, in memory that does not grow with the trace."""

from __future__ import annotations

import queue
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numba
import numpy as np

from portkin_training.core.groups import Grouper
from portkin_training.core.hashing import mixed
from portkin_training.core.port_codes import codes_of
from portkin_training.core.protocols import TCP, UDP
from portkin_training.ingest.captures.packets import ACK, SYN, Packets
from portkin_training.ingest.captures.pcap import read_capture
from portkin_training.ingest.reading import Reading
from portkin_training.replay.events import SCAN, Events
from portkin_training.replay.mawi.matcher import Matcher

Judged = tuple[Packets, np.ndarray]
"""Packets, and of each whether it is BENIGN, a SCAN's or UNCOUNTED."""

DUPLICATE_US = 10_000
"""Within how many microseconds the same segment is a duplicate: above the skew of a capture point that sees a packet
twice, below any retransmission timer (200 ms and more)."""


class Duplicates:
    """Finds TCP segments that the capture point saw twice, as MAWI's traces of 2015-05-28 to 09-03 hold them.

    The key is (source, destination, ports, flags, sequence number). UDP datagrams are all kept: their columns do not
    tell a duplicate from the next datagram. The memory is a table of fixed size in which a newer segment may take an
    older one's place, so that a duplicate may be missed, but nothing else is dropped.
    """

    def __init__(self, slots: int = 1 << 20) -> None:
        self._keys = np.zeros((slots, 2), np.uint64)
        self._stamps = np.full(slots, -(1 << 60), np.int64)
        self.found = 0

    def keep(self, packets: Packets) -> np.ndarray:
        """Which packets are no duplicates, bool (n,)."""
        kept = np.ones(len(packets), bool)
        self.found += _mark(packets.columns(), self._keys, self._stamps, DUPLICATE_US, kept)
        return kept


@numba.njit(cache=True, nogil=True)
def _mark(packets, keys, stamps, window, kept):  # pragma: no cover - compiled
    ts, src, dst, sport, dport, proto, flags, seq, _ = packets
    found = 0
    mask = len(stamps) - 1
    for i in range(len(ts)):
        if proto[i] != TCP:
            continue
        ports = np.uint64(sport[i]) << np.uint64(16) | np.uint64(dport[i])
        one = np.uint64(flags[i]) << np.uint64(56)
        two = np.uint64(seq[i]) << np.uint64(32) | ports
        for word in (src[i, 0], src[i, 1], dst[i, 0], dst[i, 1]):
            one = mixed(one, word)
        at = np.int64(mixed(one, two) & np.uint64(mask))
        if keys[at, 0] == one and keys[at, 1] == two and ts[i] - stamps[at] < window:
            kept[i] = False
            found += 1
        else:
            keys[at, 0], keys[at, 1] = one, two
        stamps[at] = ts[i]
    return found


@dataclass
class Trace:
    """A labelled capture, and what its reading came to."""

    path: Path
    matcher: Matcher
    reading: Reading
    duplicates: Duplicates | None = None

    def events(self, grouper: Grouper, unit: int) -> Iterator[Events]:
        """The rows of its TCP and UDP packets: every packet of a labelled scan is a probe and acted upon (the regular
        detector is taken to know it, as in paper 1, VI); every row has this unit."""
        for packets, truth, code in self.judged():
            yield Events(
                ts=packets.ts,
                group=grouper.number(packets.src, packets.dst),
                code=code,
                act=truth == SCAN,
                truth=truth,
                opens=opens_of(packets),
                unit=np.full(len(packets), unit, np.int32),
            )

    def judged(self) -> Iterator[tuple[Packets, np.ndarray, np.ndarray]]:
        """Its TCP and UDP packets, chunk by chunk: of each what it is, uint8 (n,), as in `Events.truth`, and its port
        code, int32 (n,)."""
        for packets, truth in _read_ahead(self._judged()):
            yield packets, truth, codes_of(packets.dport, packets.proto)

    def _judged(self) -> Iterator[Judged]:
        for packets in read_capture(self.path, self.reading):
            kept = (packets.proto == TCP) | (packets.proto == UDP)
            if self.duplicates:
                kept &= self.duplicates.keep(packets)
            if not kept.all():
                packets = packets[kept]
            if len(packets):
                yield packets, self.matcher.truth(packets.ts, packets.src, packets.dst, packets.sport, packets.dport)


def opens_of(packets: Packets) -> np.ndarray:
    """Which packets open a connection, bool (n,)."""
    opens: np.ndarray = (packets.proto == TCP) & (packets.flags & (SYN | ACK) == SYN)
    return opens


def _read_ahead(chunks: Iterator[Judged], depth: int = 4) -> Iterator[Judged]:
    """The chunks, made in a thread of its own while the last ones are worked on (kernels release the GIL)."""
    ready: queue.Queue[Judged | BaseException | None] = queue.Queue(depth)
    stopped = threading.Event()

    def put(item: Judged | BaseException | None) -> None:
        while not stopped.is_set():
            try:
                return ready.put(item, timeout=0.1)
            except queue.Full:
                continue

    def work() -> None:
        try:
            for chunk in chunks:
                put(chunk)
                if stopped.is_set():
                    return
            put(None)
        except BaseException as error:
            put(error)

    threading.Thread(target=work, name="decode", daemon=True).start()
    try:
        while (item := ready.get()) is not None:
            if isinstance(item, BaseException):
                raise item
            yield item
    finally:
        stopped.set()
