"""What a detector makes of contacts: which were probes, and when each was acted upon."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from portkin.net.addresses import Nets
from portkin_training.ingest.contacts import CONTACT, ContactEvent, Contacts, contact_events
from portkin_training.twin.detector import Contact, DetectorConfig, Probe, ScannerDetector, Sink

DetectorName = Literal["probe", "trw", "count", "zeek", "suricata"]

EVERYWHERE = Nets(["0.0.0.0/0", "::/0"])


def configure(name: DetectorName, config: DetectorConfig = DetectorConfig()) -> DetectorConfig:  # noqa: B008
    """The configuration of the named detector: `probe` takes every destination for a darknet, `trw` and `count` use
    one kind of evidence alone, `zeek` uses both, as the package does by default.
    `suricata` is another detector, in `twin.suricata_rules`."""
    match name:
        case "probe":
            return replace(config, darknets=EVERYWHERE)
        case "trw":
            return replace(config, failed_threshold=0)
        case "count":
            return replace(config, trw=False)
    return config


class Sinks:
    """Several sinks as one."""

    def __init__(self, *sinks: Sink) -> None:
        self._sinks = sinks

    def probe(self, probe: Probe) -> None:
        """Pass a probe on to each."""
        for sink in self._sinks:
            sink.probe(probe)

    def service(self, ts: int, port: int, proto: int) -> None:
        """Pass a service on to each."""
        for sink in self._sinks:
            sink.service(ts, port, proto)


class _RowsOfProbes:
    """A sink that records which contact each probe was."""

    def __init__(self) -> None:
        self.row = -1
        self.latest: dict[tuple[int, Contact], int] = {}
        self.probes: list[tuple[int, int, int]] = []  # row of the contact, row at which it was known, stamp

    def probe(self, probe: Probe) -> None:
        row = self.latest[probe.src, Contact(probe.dst, probe.port, probe.proto)] if probe.past else self.row
        self.probes.append((row, self.row, probe.ts))

    def service(self, ts: int, port: int, proto: int) -> None:
        pass

    def watch(self, events: Iterable[ContactEvent]) -> Iterator[ContactEvent]:
        """The events, noting where they stand."""
        for self.row, event in enumerate(events):
            kind, _, src, dst, port, proto = event
            if kind == CONTACT:
                self.latest[src, Contact(dst, port, proto)] = self.row
            yield event


@dataclass(frozen=True)
class Detected:
    """Contacts with the detector's verdict.

    `probe` (n,) bool: the contact was a scanner's; `acted` (n,) bool: it was known so when it came. `late` (m, 3)
    int64 lists the others: row of the contact, row and stamp at which it became known.
    """

    contacts: Contacts
    probe: np.ndarray
    acted: np.ndarray
    late: np.ndarray


def detect(contacts: Contacts, config: DetectorConfig, *sinks: Sink) -> Detected:
    """Run the detector over contacts, telling the sinks as well."""
    rows = _RowsOfProbes()
    ScannerDetector(config, Sinks(rows, *sinks)).read(rows.watch(contact_events(contacts)))
    found = np.array(rows.probes, np.int64).reshape(-1, 3)
    probe, acted = np.zeros(len(contacts), bool), np.zeros(len(contacts), bool)
    at_once = found[:, 0] == found[:, 1]
    probe[found[:, 0]] = True
    acted[found[at_once, 0]] = True
    return Detected(contacts, probe, acted, found[~at_once])


def all_probes(contacts: Contacts) -> Detected:
    """Every contact is a probe and acted upon, as in a darknet."""
    every = contacts.kind == CONTACT
    return Detected(contacts, every, every, np.empty((0, 3), np.int64))
