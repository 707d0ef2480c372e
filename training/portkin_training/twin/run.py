"""What Zeek with the sidecar would decide about a capture: contacts -> detector -> decisions."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from portkin.bundles.table import Table
from portkin_training.ingest.captures.pcap import read_capture
from portkin_training.ingest.contacts import Contacts, contacts_from_packets
from portkin_training.ingest.reading import Reading
from portkin_training.twin.decisions import Decider, Decision, DecisionConfig
from portkin_training.twin.detector import Detector, DetectorConfig, run


def decide(
    contacts: Iterable[Contacts],
    table: Table,
    detector: DetectorConfig | None = None,
    decision: DecisionConfig | None = None,
) -> list[Decision]:
    """All decisions about a stream of contacts, in the order in which they are taken."""
    decider = Decider(decision or DecisionConfig(), table)
    judge = Detector(detector or DetectorConfig(), decider)
    for chunk in contacts:
        run(rows(chunk), judge)
    decider.close()
    return decider.decisions


def decide_capture(
    path: Path,
    table: Table,
    detector: DetectorConfig | None = None,
    decision: DecisionConfig | None = None,
    *,
    reading: Reading | None = None,
) -> list[Decision]:
    """All decisions about a capture file; ``reading`` takes the account of what was read.

    Raises InputError for a file that is no capture.
    """
    return decide(contacts_from_packets(read_capture(path, reading)), table, detector, decision)


def rows(contacts: Contacts) -> Iterator[tuple[int, int, int, int, int, int]]:
    """Contacts as `detector.run` takes them: (kind, ts, src, dst, port, protocol)."""
    return zip(
        contacts.kind.tolist(),
        contacts.ts.tolist(),
        _addresses(contacts.src),
        _addresses(contacts.dst),
        contacts.dport.tolist(),
        contacts.proto.tolist(),
        strict=True,
    )


def _addresses(halves: NDArray[np.int64]) -> list[int]:
    """128-bit addresses of (n, 2) halves."""
    unsigned = halves.view(np.uint64)
    return [hi << 64 | lo for hi, lo in zip(unsigned[:, 0].tolist(), unsigned[:, 1].tolist(), strict=True)]
