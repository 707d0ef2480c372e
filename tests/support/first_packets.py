"""The probes of packets, as `portkin ingest` finds them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from portkin_training.core.probes import Probes
from portkin_training.ingest.captures.packets import Packets
from portkin_training.ingest.probe_definition import WINDOW, FirstPackets


def probes_from_packets(packets: Packets | Iterable[Packets], *, window: int = WINDOW) -> Iterator[Probes]:
    """The probes of packets in capture order; a chunk of probes for each chunk of packets."""
    first, seq = FirstPackets(window=window), 0
    for chunk in [packets] if isinstance(packets, Packets) else packets:
        probes = first.of_packets(chunk, seq)
        seq += len(probes)
        yield probes
