"""Who is a scanner, and what it probes: the twin of zeek-scripts/detection.zeek and scanners.zeek.

Both reach the same verdicts from the same packets; a test compares them on every capture. Names,
order of steps and defaults are the scripts': change one only with the other.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from enum import Enum
from typing import NamedTuple, Protocol

from portkin.net.addresses import Nets
from portkin_training.core.protocols import TCP

US = 1_000_000
"""Microseconds in a second; all times here are microseconds since 1970."""


class Evidence(Enum):
    """What makes a source a scanner."""

    DARKNET = "DARKNET"
    TRW = "TRW"
    FAILED = "FAILED"


@dataclass(frozen=True)
class DetectorConfig:
    """The options of zeek-scripts/config.zeek, by the same names; intervals in seconds.

    TRW is the sequential hypothesis test of Jung, Paxson, Berger and Balakrishnan (IEEE S&P 2004): a first contact
    that fails multiplies the likelihood ratio by (1 - theta_1) / (1 - theta_0), one that is answered by
    theta_1 / theta_0; the source is a scanner at beta / alpha, benign at (1 - beta) / (1 - alpha).
    """

    protected_nets: Nets = Nets()  # noqa: RUF009  (immutable)
    darknets: Nets = Nets()  # noqa: RUF009
    exempt_nets: Nets = Nets()  # noqa: RUF009
    exempt_ports: frozenset[tuple[int, int]] = frozenset()
    """(port, IANA protocol)"""
    trw: bool = True
    trw_benign_success: float = 0.8
    trw_scanner_success: float = 0.2
    trw_false_positive: float = 0.01
    trw_detection: float = 0.99
    failed_threshold: int = 10
    failed_interval: float = 300.0
    answer_timeout: float = 1.0
    source_timeout: float = 3600.0
    max_sources: int = 200_000
    max_contacts: int = 256


class Probe(NamedTuple):
    """A scanner's probe."""

    ts: int
    """When it was known as a scanner's, microseconds since 1970."""
    src: int
    """A source, as `core.context` has it: an address of 128 bits, IPv4 as IPv4-mapped IPv6, in its context."""
    dst: int
    port: int
    proto: int
    evidence: Evidence
    past: bool
    """Whether the packet came before the source was known as a scanner."""
    sent: int
    """When the packet came, or was found to have failed, microseconds since 1970."""


class Contact(NamedTuple):
    """What a source tried to reach."""

    dst: int
    port: int
    proto: int


class Sink(Protocol):
    """Receives what the detector finds."""

    def probe(self, probe: Probe) -> None:
        """A scanner probed."""

    def service(self, ts: int, port: int, proto: int) -> None:
        """The network offers a service on this port."""


@dataclass(slots=True)
class _Tracker:
    last: int
    pending: dict[Contact, int] = field(default_factory=dict)
    counted: set[Contact] = field(default_factory=set)


@dataclass(slots=True)
class _Suspect:
    last: int
    walk: float = 0.0
    failed: dict[Contact, int] = field(default_factory=dict)


@dataclass(slots=True)
class _Scanner:
    last: int
    evidence: Evidence


class ScannerDetector:
    """Judges contacts in the order of their packets, and reports the probes of scanners to its sink."""

    def __init__(
        self,
        config: DetectorConfig,
        sink: Sink,
        *,
        probe_policy: Callable[[int, int, int, int], bool] = lambda src, dst, port, proto: True,
    ) -> None:
        self._config = config
        self._sink = sink
        self._probe_policy = probe_policy
        self._answer_timeout = round(config.answer_timeout * US)
        self._source_timeout = round(config.source_timeout * US)
        self._failed_interval = round(config.failed_interval * US)
        self._step_failed = math.log((1 - config.trw_scanner_success) / (1 - config.trw_benign_success))
        self._step_answered = math.log(config.trw_scanner_success / config.trw_benign_success)
        self._scanner_at = math.log(config.trw_detection / config.trw_false_positive)
        self._benign_at = math.log((1 - config.trw_detection) / (1 - config.trw_false_positive))
        self._trackers: dict[int, _Tracker] = {}
        self._suspects: dict[int, _Suspect] = {}
        self._scanners: dict[int, _Scanner] = {}
        self.state_full = 0
        """Contacts that were not judged because a table was full."""

    def contacted(self, ts: int, src: int, dst: int, port: int, proto: int) -> None:
        """A first contact: the first SYN of a TCP connection, the first datagram of a UDP flow."""
        if not self._counts(src, dst, port, proto):
            return
        contact = Contact(dst, port, proto)
        if not self._is_scanner(ts, src):
            if dst in self._config.darknets:
                self._found_scanner(ts, src, Evidence.DARKNET)
            elif not self._note_contact(ts, src, contact):
                return
        scanner = self._scanners[src]
        scanner.last = ts
        self._sink.probe(Probe(ts, src, *contact, scanner.evidence, past=False, sent=ts))

    def answered(self, ts: int, src: int, dst: int, port: int, proto: int) -> None:
        """The SYN-ACK or datagram that answers a contact, or the originator's ACK where only its direction is seen."""
        if self._is_protected(dst):
            self._sink.service(ts, port, proto)
        # UDP counts only (_record_failure), so its successes weigh nothing.
        if self._close(src, Contact(dst, port, proto)) and proto == TCP:
            self._record_success(ts, src)

    def refused(self, ts: int, src: int, dst: int, port: int, proto: int) -> None:
        """The RST or the ICMP port unreachable that answered a contact."""
        contact = Contact(dst, port, proto)
        if self._close(src, contact):
            self._record_failure(ts, src, contact)

    def read(self, events: Iterable[tuple[int, int, int, int, int, int]]) -> None:
        """Judge contact events in order: (kind, ts, src, dst, port, protocol), kinds as in `ingest.contacts`."""
        by_kind = (self.contacted, self.answered, self.refused)
        for kind, *contact in events:
            by_kind[kind](*contact)

    # Contacts (detection.zeek)

    def _is_protected(self, dst: int) -> bool:
        nets = self._config.protected_nets
        return not nets or dst in nets or dst in self._config.darknets

    def _counts(self, src: int, dst: int, port: int, proto: int) -> bool:
        return (
            self._is_protected(dst)
            and src not in self._config.exempt_nets
            and (port, proto) not in self._config.exempt_ports
            and self._probe_policy(src, dst, port, proto)
        )

    def _note_contact(self, ts: int, src: int, contact: Contact) -> bool:
        """Keep a contact until it is answered; True where the source turns out to be a scanner meanwhile."""
        tracker = self._trackers.get(src)
        if tracker is None or ts - tracker.last >= self._source_timeout:
            if len(self._trackers) >= self._config.max_sources:
                self.state_full += 1
                return False
            tracker = self._trackers[src] = _Tracker(ts)
        tracker.last = ts
        self._fail_overdue(ts, src, tracker)
        if self._is_scanner(ts, src):
            return True
        if contact in tracker.counted:
            return False
        if len(tracker.counted) >= self._config.max_contacts:
            tracker.counted = set(tracker.pending)
        tracker.counted.add(contact)
        tracker.pending[contact] = ts
        return False

    def _fail_overdue(self, ts: int, src: int, tracker: _Tracker) -> None:
        # A source that sends faster than answers can arrive is no client.
        excess = max(0, len(tracker.pending) - self._config.max_contacts + 1)
        overdue: list[Contact] = []
        for contact, since in tracker.pending.items():
            if len(overdue) >= excess and ts - since < self._answer_timeout:
                break
            overdue.append(contact)
        for contact in overdue:
            del tracker.pending[contact]
            if contact.proto == TCP:
                self._record_failure(ts, src, contact)
            if self._is_scanner(ts, src):
                return

    def _close(self, src: int, contact: Contact) -> bool:
        tracker = self._trackers.get(src)
        if tracker is None or contact not in tracker.pending:
            return False
        del tracker.pending[contact]
        return True

    # Verdicts (scanners.zeek)

    def _is_scanner(self, ts: int, src: int) -> bool:
        scanner = self._scanners.get(src)
        if scanner is None:
            return False
        if ts - scanner.last >= self._source_timeout:
            del self._scanners[src]
            return False
        return True

    def _found_scanner(self, ts: int, src: int, evidence: Evidence) -> None:
        self._scanners[src] = _Scanner(ts, evidence)
        suspect = self._suspects.pop(src, None)
        tracker = self._trackers.pop(src, None)
        failed, pending = suspect.failed if suspect else {}, tracker.pending if tracker else {}
        for contact, sent in (*failed.items(), *pending.items()):
            self._sink.probe(Probe(ts, src, contact.dst, contact.port, contact.proto, evidence, past=True, sent=sent))

    def _record_failure(self, ts: int, src: int, contact: Contact) -> None:
        if self._is_scanner(ts, src):
            return
        suspect = self._suspects.get(src)
        if suspect is None or ts - suspect.last >= self._source_timeout:
            if len(self._suspects) >= self._config.max_sources:
                self.state_full += 1
                return
            suspect = self._suspects[src] = _Suspect(ts)
        suspect.last = ts
        suspect.failed.pop(contact, None)  # and added again: the order is that of the latest failure
        suspect.failed[contact] = ts
        self._forget_failed(ts, suspect)
        if self._config.trw and contact.proto == TCP:
            suspect.walk += self._step_failed
            if suspect.walk >= self._scanner_at:
                self._found_scanner(ts, src, Evidence.TRW)
                return
        if 0 < self._config.failed_threshold <= len(suspect.failed):
            self._found_scanner(ts, src, Evidence.FAILED)

    def _forget_failed(self, ts: int, suspect: _Suspect) -> None:
        excess = max(0, len(suspect.failed) - self._config.max_contacts)
        old: list[Contact] = []
        for contact, since in suspect.failed.items():
            if len(old) >= excess and ts - since < self._failed_interval:
                break
            old.append(contact)
        for contact in old:
            del suspect.failed[contact]

    def _record_success(self, ts: int, src: int) -> None:
        suspect = self._suspects.get(src)
        if suspect is None:
            return
        if ts - suspect.last >= self._source_timeout:
            del self._suspects[src]
            return
        if not self._config.trw:
            return
        suspect.walk += self._step_answered
        if suspect.walk <= self._benign_at:
            suspect.walk = 0.0
