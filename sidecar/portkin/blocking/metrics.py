"""Prometheus metrics of blocking."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric

from portkin.blocking.backends.backend import Dropped
from portkin.blocking.block import Mode
from portkin.blocking.stats import BlockingStats

BUCKETS = (1e-4, 2e-4, 5e-4, 1e-3, 2e-3, 4e-3, 6e-3, 8e-3, 15e-3, 40e-3, 0.1, 0.5, 2.0)
"""Seconds; a block should be in place within 8 ms of its probe."""


class Backend(NamedTuple):
    """The backend, as metrics have it."""

    mode: Mode
    ready: bool
    ipv6_faulty: bool
    dropped: Dropped
    foreign: int
    """Elements that it holds and the sidecar never asked for."""


class BlockingMetrics:
    """The metrics of blocking, in a registry that may have others too."""

    def __init__(self, registry: CollectorRegistry) -> None:
        def seconds(name: str, what: str) -> Histogram:
            return Histogram(f"portkin_block{name}_seconds", what, buckets=BUCKETS, registry=registry)

        self._blocks = Counter("portkin_blocks", "Blocks by outcome", ["mode", "outcome"], registry=registry)
        self._vetoes = Counter("portkin_block_vetoes", "Blocks refused", ["reason"], registry=registry)
        self._requests = Counter("portkin_block_requests", "Requests from Zeek", ["kind"], registry=registry)
        self._errors = Counter(
            "portkin_block_errors", "Failures of backend, database or queue", ["component"], registry=registry
        )
        for component in ("backend", "database", "queue", "defect"):  # from zero on, so that the first one is a rise
            self._errors.labels(component)
        self._latest_error = Gauge(
            "portkin_block_latest_error_timestamp_seconds",
            "When the latest was; 0 for none",
            registry=registry,
        )
        self._database_ready = Gauge(
            "portkin_block_database_ready", "0: what is to be blocked could not be recorded at last", registry=registry
        )
        self._database_ready.set(1)
        self._backend = seconds("_backend", "One batch in the backend")
        self._database = seconds("_database", "One batch in the database")
        self._whole = seconds("", "From request read to block in place")
        self._collected: Callable[[], Iterable[Metric]] = tuple
        registry.register(self)

    def collect(self) -> Iterable[Metric]:
        """For the registry: metrics that are read when Prometheus asks."""
        return self._collected()

    def watch(
        self,
        active: Callable[[], dict[str, int]],
        limit: Callable[[], int],
        stats: BlockingStats,
        backend: Callable[[], Backend],
    ) -> None:
        """Read these when Prometheus asks. ``active`` returns the active blocks per mode, ``limit`` how many there may
        be in all."""
        self._collected = lambda: _families(active(), limit(), stats, backend())

    def requested(self, kind: str, count: int) -> None:
        """So many requests came: ``block`` or ``unblock``."""
        self._requests.labels(kind).inc(count)

    def counted(self, mode: str, outcome: str, count: int = 1) -> None:
        """``added``, ``extended``, ``exists``, ``restored``, ``adopted``, or how a block ended."""
        if count:
            self._blocks.labels(mode, outcome).inc(count)

    def vetoed(self, reason: str, count: int = 1) -> None:
        """So many requests were refused for this reason."""
        self._vetoes.labels(reason).inc(count)

    def failed(self, component: str) -> None:
        """``backend``, ``database``, ``queue``, ``resolver`` or ``defect``."""
        self._errors.labels(component).inc()
        self._latest_error.set_to_current_time()
        if component == "database":
            self._database_ready.set(0)

    def applied(self, seconds: float) -> None:
        """The backend took a batch in that many seconds."""
        self._backend.observe(seconds)

    def written(self, seconds: float) -> None:
        """The database took a batch in that many seconds."""
        self._database.observe(seconds)
        self.recorded()

    def recorded(self) -> None:
        """The database takes what is written into it."""
        self._database_ready.set(1)

    def done(self, seconds: float) -> None:
        """A request was answered after that many seconds."""
        self._whole.observe(seconds)


def _families(active: dict[str, int], limit: int, stats: BlockingStats, backend: Backend) -> list[Metric]:
    dropped = backend.dropped
    ready = GaugeMetricFamily("portkin_block_backend_ready", "1: the backend holds all blocks", labels=["mode"])
    ready.add_metric([backend.mode], backend.ready)
    faulty = GaugeMetricFamily("portkin_block_ipv6_faulty", "1: no IPv6 source can be blocked", labels=["mode"])
    faulty.add_metric([backend.mode], backend.ipv6_faulty)
    active_blocks = GaugeMetricFamily("portkin_blocks_active", "Active blocks", labels=["mode"])
    for mode, count in active.items():
        active_blocks.add_metric([mode], count)
    families: list[Any] = [
        active_blocks,
        GaugeMetricFamily("portkin_blocks_limit", "Active blocks there may be, of all modes together", value=limit),
        ready,
        faulty,
        GaugeMetricFamily(
            "portkin_block_foreign_elements", "What the backend holds and nobody asked for", value=backend.foreign
        ),
        CounterMetricFamily("portkin_dropped_packets", "Packets that blocks dropped", value=dropped.packets),
        CounterMetricFamily("portkin_dropped_bytes", "Bytes that blocks dropped", value=dropped.bytes),
    ]
    for name, text in (
        ("blocking_ratio", "Probes that met a block / probes"),
        ("usefulness", "Blocks whose port was tried / blocks"),
        ("predicted_usefulness", "The same, of predicted ports only"),
        ("new_port_recall", "Of probes of ports new to a known source, the share blocked before"),
    ):
        family = GaugeMetricFamily(f"portkin_{name}", text, labels=["mode"])
        for mode, counts in stats.by_mode.items():
            ratio = getattr(counts, name)
            if math.isfinite(ratio):  # of nothing there is no ratio
                family.add_metric([mode], ratio)
        families.append(family)
    return families
