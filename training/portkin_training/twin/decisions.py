"""From scanners' probes to decisions: the twin of zeek-scripts/decision.zeek."""

from __future__ import annotations

import heapq
from collections.abc import Callable
from dataclasses import dataclass, field

from portkin.bundles.prediction import predicted_of_source
from portkin.bundles.table import Table
from portkin.bundles.table_format import DEFAULT_K, RECENT
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
    by_source: bool = True
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
    """The predicted ports, nearest or likeliest first."""
    by_source: bool = False
    """Whether they were predicted by what the source probed before."""
    kept: tuple[Port, ...] = ()
    """What may be blocked, the probed port first."""
    vetoed: tuple[tuple[Port, str], ...] = ()
    """What may not, and why."""
    probes: int = 1
    hits: int = 0
    """How many of the predicted ports the source probed afterwards; final when the decision has ended."""
    after: int = 0


@dataclass(slots=True)
class _History:
    """Of a scanner: ProbeHistory of zeek-scripts/probe-history.zeek."""

    probes: int = 0
    last: dict[Port, int] = field(default_factory=dict)
    recent: tuple[Port, ...] = ()
    first: int = 0
    latest: int = 0
    decisions: int = 0

    def remember(self, port: Port, probe: Probe, most: int) -> None:
        """Note a probe."""
        if not probe.past:
            self.probes += 1
            if port in self.last or len(self.last) < most:
                self.last[port] = self.probes
        elif len(self.last) < most:
            self.last.setdefault(port, 0)
        self.recent = (port, *(other for other in self.recent if other != port))[:RECENT]
        # Probes from before the verdict come in the order of their failures.
        self.first = min(self.first, probe.sent) if len(self.recent) > 1 else probe.sent
        self.latest = max(self.latest, probe.sent)


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
        self._histories: dict[int, _History] = {}
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
        history = self._histories.setdefault(probe.src, _History())
        history.remember(port, probe, self._config.max_ports)
        if running is not None:
            running.probes += 1
            running.until = probe.ts + self._interval
            return
        if history.decisions >= self._config.max_ports or len(self._running) >= self._config.max_decisions:
            self.state_full += 1
            if not history.decisions:
                del self._histories[probe.src]
            return
        history.decisions += 1
        decision = self._decide(probe, port, history)
        self._running[probe.src, port] = decision
        heapq.heappush(self._ends, (decision.until, probe.src, port))
        self.decisions.append(decision)

    def close(self) -> None:
        """End what still runs, as at the end of a capture."""
        for decision in list(self._running.values()):
            self._finish(decision)

    def _decide(self, probe: Probe, port: Port, history: _History) -> ProbeDecision:
        predicted, by_source = self._predict(port, history)
        reasons = [(candidate, self._veto(probe, candidate)) for candidate in (port, *predicted)]
        return ProbeDecision(
            ts=probe.ts,
            src=probe.src,
            probed=port,
            evidence=probe.evidence,
            until=probe.ts + self._interval,
            predicted=predicted,
            by_source=by_source,
            kept=tuple(candidate for candidate, reason in reasons if reason is None),
            vetoed=tuple((candidate, reason) for candidate, reason in reasons if reason is not None),
            after=history.probes,
        )

    def _predict(self, port: Port, history: _History) -> tuple[tuple[Port, ...], bool]:
        """The predicted ports, and whether they are so by the source."""
        most, cutoff = self._config.k, self._config.min_chance
        # Zeek asks by source as long as no more than max_open_by_source questions are open; a capture waits for them.
        if not self._config.by_source or self._table.source_model is None:
            return self._table.predicted(port, most, cutoff).ports, False
        elapsed = (history.latest - history.first) / US
        found = predicted_of_source(self._table, history.recent, len(history.last), elapsed, most, cutoff)
        return found.ports, found.by_source

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
        history = self._histories[decision.src]
        decision.hits = sum(history.last.get(port, 0) > decision.after for port in decision.predicted)
        history.decisions -= 1
        if not history.decisions:
            del self._histories[decision.src]
