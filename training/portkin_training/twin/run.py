"""What Zeek with the sidecar would decide about a capture: contacts -> detector -> decisions."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from portkin.bundles.table import Table
from portkin_training.ingest.captures.options import CaptureOptions
from portkin_training.ingest.captures.pcap import read_capture
from portkin_training.ingest.contacts import Contacts, contact_events, contacts_from_packets
from portkin_training.ingest.reading import Reading
from portkin_training.twin.decisions import DecisionConfig, ProbeDecider, ProbeDecision
from portkin_training.twin.detector import DetectorConfig, ScannerDetector


def decide(
    contacts: Iterable[Contacts],
    table: Table,
    detector: DetectorConfig | None = None,
    decision: DecisionConfig | None = None,
) -> list[ProbeDecision]:
    """All decisions about a stream of contacts, in the order in which they are taken."""
    decider = ProbeDecider(decision or DecisionConfig(), table)
    scanners = ScannerDetector(detector or DetectorConfig(), decider)
    for chunk in contacts:
        scanners.read(contact_events(chunk))
    decider.close()
    return decider.decisions


def decide_capture(
    path: Path,
    table: Table,
    detector: DetectorConfig | None = None,
    decision: DecisionConfig | None = None,
    *,
    reading: Reading | None = None,
    captures: CaptureOptions = CaptureOptions(),  # noqa: B008  (immutable)
) -> list[ProbeDecision]:
    """All decisions about a capture file; ``reading`` takes the account of what was read,
    ``captures`` says how.

    Raises InputError for a file that is no capture.
    """
    return decide(contacts_from_packets(read_capture(path, reading, captures)), table, detector, decision)
