"""Prometheus metrics of live rates."""

from __future__ import annotations

from typing import Literal

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, Info

BUCKETS = (0.001, 0.005, 0.02, 0.05, 0.1, 0.25, 0.5, 1.0, 2.0, 5.0, 20.0)
"""Seconds; 1,074 ports should be scored within 2 s."""


class RatesMetrics:
    """The metrics of live rates, in a registry that may have others too."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._reports = Counter("portkin_rates_reports", "Reports of Zeek's nodes", ["outcome"], registry=registry)
        self._bins = Counter("portkin_rates_bins", "Bins closed", ["state"], registry=registry)
        self._alarms = Counter(
            "portkin_rates_alarms", "Anomalies, warnings and outages reported to Zeek", ["kind"], registry=registry
        )
        self._scores = Counter("portkin_rates_scores", "Ports scored at closed bins", registry=registry)
        self._errors = Counter("portkin_rates_errors", "Reports whose handling failed", registry=registry)
        self._database_errors = Counter(
            "portkin_rates_database_errors", "Failures of the rates database", registry=registry
        )
        self._reloads = Counter(
            "portkin_rates_reloads", "Attempts to reload the models", ["outcome"], registry=registry
        )
        self._model = Info("portkin_rates_model", "The models that score now", registry=registry)
        self._missing = Gauge(
            "portkin_rates_bins_missing", "Closed bins missing before the first score", registry=registry
        )
        self._latest = Gauge("portkin_rates_latest_bin_seconds", "When the latest closed bin began", registry=registry)
        self._seconds = Histogram("portkin_rates_score_seconds", "One closed bin", buckets=BUCKETS, registry=registry)

    def reported(self, outcome: Literal["new", "repeated", "old", "refused"]) -> None:
        """A report came."""
        self._reports.labels(outcome).inc()

    def closed(self, start: int, *, known: bool) -> None:
        """A bin was closed."""
        self._bins.labels("known" if known else "unknown").inc()
        self._latest.set(start)

    def scored(self, ports: int, seconds: float) -> None:
        """A closed bin was scored in that many seconds."""
        self._scores.inc(ports)
        self._seconds.observe(seconds)

    def alarmed(self, kind: Literal["anomaly", "warning", "outage"]) -> None:
        """Something is reported to Zeek."""
        self._alarms.labels(kind).inc()

    def serving(self, id: str, ports: int) -> None:
        """These models score from now on."""
        self._model.info({"id": id, "ports": str(ports)})

    def reloaded(self, outcome: Literal["changed", "same", "refused"]) -> None:
        """A reload of the models ended."""
        self._reloads.labels(outcome).inc()

    def missing(self, bins: int) -> None:
        """So many closed bins are missing before the first score."""
        self._missing.set(bins)

    def failed(self) -> None:
        """A report could not be handled."""
        self._errors.inc()

    def database_failed(self) -> None:
        """The rates database could not be read or written."""
        self._database_errors.inc()
