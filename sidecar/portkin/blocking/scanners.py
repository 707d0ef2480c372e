"""Who scans now: the latest sources that Zeek asked to block, what they probed, what was predicted, what came true.

Written by the enforcer's thread, read by another one for display. Bounded in sources, and in ports of each.
"""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import islice
from typing import Literal, TypeVar

from portkin.blocking.block import Block, Evidence
from portkin.blocking.limits import ORDERS
from portkin.net.ports import Port
from portkin.zeek.block_messages import BlockRequest

Fate = Literal["blocked", "holdout", "vetoed", "error", "came"]
"""What became of a predicted port; ``came``: the source tried it while its block, or holdout, was active."""
Value = TypeVar("Value")
_FATES: dict[str, Fate] = {"added": "blocked", "extended": "blocked", "exists": "blocked", "error": "error"}


@dataclass(slots=True)
class Scanner:
    """One source. Times are seconds since 1970."""

    src: int
    first: float
    latest: float = 0.0
    evidence: Evidence = field(default_factory=Evidence)
    probed: dict[Port, float] = field(default_factory=dict)
    """When each port was probed last, the latest last."""
    predicted: dict[Port, Fate] = field(default_factory=dict)
    vetoes: Counter[str] = field(default_factory=Counter)
    """By reason, how often a request for this source was refused."""


@dataclass(frozen=True, slots=True)
class ScannerView:
    """A scanner as it was at one moment."""

    src: int
    first: float
    latest: float
    evidence: Evidence
    probed: int
    """Distinct ports that it probed."""
    ports: tuple[Port, ...]
    """The latest of these, the latest first."""
    predicted: int
    """Distinct ports that were predicted for it."""
    came: int
    """How many of these it tried afterwards."""
    held_out: int
    """How many of these are not blocked on purpose."""
    blocked: int
    """Blocks of it that are active, holdouts included."""
    veto: str
    """The most frequent reason for which a block was refused; empty for none."""


class ScannerBoard:
    """The ``sources`` latest scanners, of each ``ports`` ports at most; ``blocked`` returns how many blocks one has."""

    def __init__(self, blocked: Callable[[int], int], *, sources: int = 2000, ports: int = 256) -> None:
        self._blocked = blocked
        self._sources = sources
        self._ports = ports
        self._lock = threading.Lock()
        self._by_source: dict[int, Scanner] = {}  # in the order of the latest request

    def decided(self, src: int, request: BlockRequest, outcome: str, detail: str, now: float) -> None:
        """A request about a source, as a 128-bit number, was decided. What people order by hand makes nobody a
        scanner."""
        evidence = Evidence.parse(request.evidence)
        if evidence.kind in ORDERS:
            return
        with self._lock:
            scanner = self._by_source.pop(src, None)
            if scanner is None:
                if len(self._by_source) >= self._sources:
                    del self._by_source[next(iter(self._by_source))]
                scanner = Scanner(src, now)
            self._by_source[src] = scanner
            scanner.latest, scanner.evidence = now, evidence
            self._put(scanner.probed, request.probed, now)
            if request.rank > 0 and scanner.predicted.get(request.p) != "came":
                fate = "holdout" if detail == "holdout" else _FATES.get(outcome, "vetoed")
                self._put(scanner.predicted, request.p, fate)
            if outcome == "vetoed" and detail != "holdout":
                scanner.vetoes[detail] += 1

    def came(self, block: Block) -> None:
        """A source tried the port of an active block or holdout."""
        if block.rank == 0:
            return
        with self._lock:
            scanner = self._by_source.get(block.key.src)
            if scanner is not None and block.key.port in scanner.predicted:
                scanner.predicted[block.key.port] = "came"

    def latest(self, since: float, limit: int) -> tuple[int, list[ScannerView]]:
        """How many sources were active since then, and the ``limit`` latest of them, the latest first."""
        with self._lock:
            active = [scanner for scanner in reversed(self._by_source.values()) if scanner.latest >= since]
            return len(active), [self._view(scanner) for scanner in active[:limit]]

    def _view(self, scanner: Scanner) -> ScannerView:
        fates = Counter(scanner.predicted.values())
        most = scanner.vetoes.most_common(1)
        return ScannerView(
            scanner.src,
            scanner.first,
            scanner.latest,
            scanner.evidence,
            len(scanner.probed),
            tuple(islice(reversed(scanner.probed), 16)),
            len(scanner.predicted),
            fates["came"],
            fates["holdout"],
            self._blocked(scanner.src),
            most[0][0] if most else "",
        )

    def _put(self, ports: dict[Port, Value], port: Port, value: Value) -> None:
        """Last in order; where there are too many, the first is forgotten."""
        ports.pop(port, None)
        if len(ports) >= self._ports:
            del ports[next(iter(ports))]
        ports[port] = value
