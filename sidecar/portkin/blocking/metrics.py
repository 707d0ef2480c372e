"""What Prometheus can read about blocking."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from prometheus_client import CollectorRegistry, Counter, Histogram
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric

from portkin.blocking.backends.backend import Dropped
from portkin.blocking.stats import Figures

BUCKETS = (1e-4, 2e-4, 5e-4, 1e-3, 2e-3, 4e-3, 6e-3, 8e-3, 15e-3, 40e-3, 0.1, 0.5, 2.0)
"""Seconds; a block should be in place within 8 ms of its probe."""


class EnforceMetrics:
    """The counters of blocking, in a registry that may hold others too."""

    def __init__(self, registry: CollectorRegistry) -> None:
        known = {"registry": registry}
        self._blocks = Counter("portkin_blocks", "What came of blocks", ["mode", "outcome"], **known)
        self._vetoes = Counter("portkin_block_vetoes", "Blocks refused", ["reason"], **known)
        self._requests = Counter("portkin_block_requests", "Requests from Zeek", ["kind"], **known)
        self._errors = Counter("portkin_block_errors", "Failures of backend or books", ["part"], **known)
        self._backend = Histogram("portkin_block_backend_seconds", "One batch in the backend", buckets=BUCKETS, **known)
        self._books = Histogram("portkin_block_books_seconds", "One batch in the books", buckets=BUCKETS, **known)
        self._whole = Histogram(
            "portkin_block_seconds", "From request read to block in place", buckets=BUCKETS, **known
        )
        self._collected: Callable[[], Iterable[Metric]] = tuple
        registry.register(self)  # type: ignore[arg-type]

    def collect(self) -> Iterable[Metric]:
        """For the registry: what is asked for when it is read."""
        return self._collected()

    def watch(self, active: Callable[[], dict[str, int]], figures: Figures, dropped: Callable[[], Dropped]) -> None:
        """Read these when Prometheus asks. ``active`` gives blocks per mode."""
        self._collected = lambda: _families(active(), figures, dropped())

    def requested(self, kind: str) -> None:
        """A message came: ``block`` or ``unblock``."""
        self._requests.labels(kind).inc()

    def ended(self, mode: str, outcome: str, count: int = 1) -> None:
        """``added``, ``extended``, ``exists``, ``restored``, ``adopted``, or how a block ended."""
        if count:
            self._blocks.labels(mode, outcome).inc(count)

    def vetoed(self, reason: str, count: int = 1) -> None:
        self._vetoes.labels(reason).inc(count)

    def failed(self, part: str) -> None:
        """``backend``, ``books`` or ``defect``."""
        self._errors.labels(part).inc()

    def applied(self, seconds: float) -> None:
        self._backend.observe(seconds)

    def written(self, seconds: float) -> None:
        self._books.observe(seconds)

    def done(self, seconds: float) -> None:
        self._whole.observe(seconds)


def _families(active: dict[str, int], figures: Figures, dropped: Dropped) -> list[Metric]:
    holding = GaugeMetricFamily("portkin_blocks_active", "Blocks that hold", labels=["mode"])
    for mode, count in active.items():
        holding.add_metric([mode], count)
    families: list[Any] = [
        holding,
        CounterMetricFamily("portkin_dropped_packets", "Packets that blocks kept away", value=dropped.packets),
        CounterMetricFamily("portkin_dropped_bytes", "Bytes that blocks kept away", value=dropped.bytes),
    ]
    for name, text in (
        ("blocking_ratio", "Probes that met a block / probes"),
        ("usefulness", "Blocks whose port was tried again / blocks"),
        ("predicted_usefulness", "The same of predicted ports alone"),
        ("new_port_recall", "Of probes of ports new to a known source, the share blocked before"),
    ):
        family = GaugeMetricFamily(f"portkin_{name}", text, labels=["mode"])
        for mode, counts in figures.counts.items():
            family.add_metric([mode], getattr(counts, name))
        families.append(family)
    return families
