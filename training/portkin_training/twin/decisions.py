"""From scanners' probes to decisions: the twin of zeek-scripts/decision.zeek."""

from __future__ import annotations

import heapq
from collections.abc import Callable
from dataclasses import dataclass, field

from portkin.bundles.table import Table
from portkin.bundles.table_format import DEFAULT_K
from portkin.net.addresses import Nets
from portkin.net.ports import Port
from portkin_training.core.protocols import port_of
from portkin_training.twin.detector import US, Evidence, Probe


@dataclass(frozen=True)
class DecisionConfig:
    """The options of zeek-scripts/config.zeek that decide, by the same names; intervals in seconds.

    `min_chance` is None where Zeek has -1: what the table recommends.
    """

    k: int = DEFAULT_K
    min_chance: float | None = None
    block_interval: float = 20_000.0
    max_ports: int = 4096
    max_decisions: int = 200_000
    never_block_nets: Nets = Nets()  # noqa: RUF009  (immutable)
    never_block_ports: frozenset[Port] = frozenset()
    block_open_services: bool = False
    service_timeout: float = 86_400.0


@dataclass(slots=True)
class ProbeDecision:
    """What one probe of a scanner led to."""

    ts: int
    """When, microseconds since 1970."""
    src: int
    """A source, as `core.context` has it."""
    probed: Port
    evidence: Evidence
    until: int
    predicted: tuple[Port, ...]
    """The nearest ports, nearest first."""
    kept: tuple[Port, ...] = ()
    """What may be blocked, the probed port first."""
    vetoed: tuple[tuple[Port, str], ...] = ()
    """What may not, and why."""
    probes: int = 1
    hits: int = 0
    """How many of the predicted ports the source probed afterwards; final when the decision has ended."""
    after: int = 0


@dataclass(slots=True)
class _Scanner:
    probes: int = 0
    last: dict[Port, int] = field(default_factory=dict)
    decisions: int = 0


class ProbeDecider:
    """The detector's sink: takes probes and services in order and keeps the decisions."""

    def __init__(
        self,
        config: DecisionConfig,
        table: Table,
        *,
        block_policy: Callable[[int, Port], bool] = lambda src, port: True,
    ) -> None:
        self._config = config
        self._table = table
        self._block_policy = block_policy
        self._interval = round(config.block_interval * US)
        self._service_timeout = round(config.service_timeout * US)
        self._services: dict[Port, int] = {}
        self._scanners: dict[int, _Scanner] = {}
        self._running: dict[tuple[int, Port], ProbeDecision] = {}
        self._ends: list[tuple[int, int, Port]] = []  # a heap of (until as it was, src, port)
        self.decisions: list[ProbeDecision] = []
        """All decisions, in the order in which they were taken."""
        self.state_full = 0
        """Probes that led to no decision because a table was full."""

    def service(self, ts: int, port: int, proto: int) -> None:
        """The network offers a service on this port."""
        self._services[port_of(port, proto)] = ts

    def probe(self, probe: Probe) -> None:
        """Decide about a scanner's probe, or extend the decision that is in force."""
        port = port_of(probe.port, probe.proto)
        self._finish_ended(probe.ts)
        running = self._running.get((probe.src, port))
        scanner = self._scanners.setdefault(probe.src, _Scanner())
        if not probe.past:
            scanner.probes += 1
            if port in scanner.last or len(scanner.last) < self._config.max_ports:
                scanner.last[port] = scanner.probes
        if running is not None:
            running.probes += 1
            running.until = probe.ts + self._interval
            return
        if scanner.decisions >= self._config.max_ports or len(self._running) >= self._config.max_decisions:
            self.state_full += 1
            return
        scanner.decisions += 1
        decision = self._decide(probe, port, scanner.probes)
        self._running[probe.src, port] = decision
        heapq.heappush(self._ends, (decision.until, probe.src, port))
        self.decisions.append(decision)

    def close(self) -> None:
        """End what still runs, as at the end of a capture."""
        for decision in list(self._running.values()):
            self._finish(decision)

    def _decide(self, probe: Probe, port: Port, after: int) -> ProbeDecision:
        predicted = self._table.predicted(port, self._config.k, self._config.min_chance).ports
        reasons = [(candidate, self._veto(probe, candidate)) for candidate in (port, *predicted)]
        return ProbeDecision(
            ts=probe.ts,
            src=probe.src,
            probed=port,
            evidence=probe.evidence,
            until=probe.ts + self._interval,
            predicted=predicted,
            kept=tuple(candidate for candidate, reason in reasons if reason is None),
            vetoed=tuple((candidate, reason) for candidate, reason in reasons if reason is not None),
            after=after,
        )

    def _veto(self, probe: Probe, port: Port) -> str | None:
        if probe.src in self._config.never_block_nets:
            return "never_block_net"
        if port in self._config.never_block_ports:
            return "never_block_port"
        seen = self._services.get(port)
        if not self._config.block_open_services and seen is not None and probe.ts - seen < self._service_timeout:
            return "open_service"
        if not self._block_policy(probe.src, port):
            return "policy"
        return None

    def _finish_ended(self, ts: int) -> None:
        while self._ends and self._ends[0][0] <= ts:
            _, src, port = heapq.heappop(self._ends)
            decision = self._running[src, port]
            if decision.until > ts:  # extended since
                heapq.heappush(self._ends, (decision.until, src, port))
            else:
                self._finish(decision)

    def _finish(self, decision: ProbeDecision) -> None:
        del self._running[decision.src, decision.probed]
        scanner = self._scanners[decision.src]
        decision.hits = sum(scanner.last.get(port, 0) > decision.after for port in decision.predicted)
        scanner.decisions -= 1
        if not scanner.decisions:
            del self._scanners[decision.src]
