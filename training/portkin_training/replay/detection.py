"""What a detector makes of contacts: which were probes, and when each was acted upon."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from portkin.net.addresses import Nets
from portkin_training.ingest.contacts import CONTACT, Contacts
from portkin_training.replay.events import BENIGN, SCAN, UNCOUNTED, Events, Grouper, codes_of, units_of
from portkin_training.twin.detector import Contact, Detector, DetectorConfig, Probe, Sink, run

Name = Literal["probe", "trw", "count", "zeek", "suricata"]

EVERYWHERE = Nets(["0.0.0.0/0", "::/0"])


def configure(name: Name, config: DetectorConfig = DetectorConfig()) -> DetectorConfig:  # noqa: B008
    """The configuration by which the one detector is the named one: `probe` takes the whole world for a darknet,
    `trw` and `count` leave out the other's evidence, `zeek` is the package's own default, both.
    `suricata` is another detector, in `replay.suricata`."""
    match name:
        case "probe":
            return replace(config, darknets=EVERYWHERE)
        case "trw":
            return replace(config, failed_threshold=0)
        case "count":
            return replace(config, trw=False)
    return config


def addresses(halves: np.ndarray) -> list[int]:
    """128-bit addresses as Python numbers, of int64 halves (n, 2)."""
    high, low = halves.view(np.uint64).T.tolist()
    return [h << 64 | lo for h, lo in zip(high, low, strict=True)]


def told(contacts: Contacts) -> Iterator[tuple[int, int, int, int, int, int]]:
    """The contact events one by one, as `detector.run` takes them."""
    return zip(
        contacts.kind.tolist(),
        contacts.ts.tolist(),
        addresses(contacts.src),
        addresses(contacts.dst),
        contacts.dport.tolist(),
        contacts.proto.tolist(),
        strict=True,
    )


class Both:
    """A sink that tells several."""

    def __init__(self, *sinks: Sink) -> None:
        self._sinks = sinks

    def probe(self, probe: Probe) -> None:
        for sink in self._sinks:
            sink.probe(probe)

    def service(self, ts: int, port: int, proto: int) -> None:
        for sink in self._sinks:
            sink.service(ts, port, proto)


class _Rows:
    """A sink that notes which contact each probe was."""

    def __init__(self) -> None:
        self.row = -1
        self.latest: dict[tuple[int, Contact], int] = {}
        self.probes: list[tuple[int, int, int]] = []  # row of the contact, row at which it was known, stamp

    def probe(self, probe: Probe) -> None:
        row = self.latest[probe.src, Contact(probe.dst, probe.port, probe.proto)] if probe.past else self.row
        self.probes.append((row, self.row, probe.ts))

    def service(self, ts: int, port: int, proto: int) -> None:
        pass

    def watch(self, events: Iterable[tuple[int, int, int, int, int, int]]):
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
    rows = _Rows()
    run(rows.watch(told(contacts)), Detector(config, Both(rows, *sinks)))
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


def events_of(
    detected: Detected,
    grouper: Grouper,
    over: Literal["days", "sources"],
    truth_of: np.ndarray | None = None,
) -> Events:
    """The rows that the replay reads. `truth_of` uint8 (n,) says what each contact is; without it the detector is
    believed, and contacts that are no probes stand in for benign connections."""
    contacts = detected.contacts
    kept = np.flatnonzero(contacts.kind == CONTACT)
    late = detected.late
    rows = np.concatenate([kept, late[:, 0]])
    ts = np.concatenate([contacts.ts[kept], late[:, 2]])
    # An order comes before the contact at which it was given; what was known at a time that stands later.
    order = np.argsort(np.concatenate([kept * 2 + 1, late[:, 1] * 2]), kind="stable")
    if truth_of is None:
        truth_of = np.where(detected.probe, SCAN, BENIGN)
    truth = truth_of[kept]
    truth = np.concatenate([truth, np.full(len(late), UNCOUNTED)]).astype(np.uint8)
    act = np.concatenate([detected.acted[kept], np.ones(len(late), bool)])
    rows, ts, truth, act = rows[order], ts[order], truth[order], act[order]
    group = grouper.number(contacts.src[rows], contacts.dst[rows])
    return Events(
        ts=ts,
        group=group,
        code=codes_of(contacts.dport[rows], contacts.proto[rows]),
        act=act,
        truth=truth,
        opens=np.ones(len(rows), bool),
        unit=units_of(ts, group, over),
    )
