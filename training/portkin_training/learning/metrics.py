"""What `portkin learn` exports to Prometheus, as a file for node_exporter's textfile collector."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from pathlib import Path

from prometheus_client import CollectorRegistry, write_to_textfile
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from portkin_training.evaluation.table_on_day import DayFigures

OUTCOMES = ("replaced", "refused", "failed")
"""What became of a table that was due: it took the place of the old one, was worse than that, or could not be made."""
_FIGURES = {
    "probes": "Probes of the day that the figures are of",
    "new_ports": "Probes by which a source reached a port new to it",
    "blocks": "Blocks that the table would have issued",
    "recall": "Of the new ports, the share already blocked",
    "usefulness": "Of the blocks, the share that was probed",
    "euclidean_recall": "The recall of neighboring numbers with as many blocks",
    "expected_recall": "The recall that the table states for its cut-off",
    "chance_ratio": "What came true, over what the chances of the table state",
}


@dataclass
class Progress:
    """What a learner has done since it was started, and what it knows."""

    probes: int = 0
    log_errors: int = 0
    refreshes: Counter[str] = field(default_factory=Counter)
    looked: datetime | None = None
    latest: datetime | None = None  # of the probes gathered
    until: date | None = None  # of the table in service: the first day it has not learnt from
    figures: DayFigures | None = None  # of the last day that a table was tried on

    @property
    def failed(self) -> bool:
        """Whether the log could not be read, or a table that was due did not replace the old one."""
        return bool(self.log_errors or self.refreshes["refused"] or self.refreshes["failed"])


class _Families(Collector):
    def __init__(self, progress: Progress) -> None:
        self._progress = progress

    def collect(self) -> Iterator[Metric]:
        one = self._progress
        yield CounterMetricFamily("portkin_learn_probes", "Probes gathered from the log", value=one.probes)
        yield CounterMetricFamily("portkin_learn_log_errors", "Looks at the log that failed", value=one.log_errors)
        refreshes = CounterMetricFamily("portkin_learn_refreshes", "Tables that were due", labels=["outcome"])
        for outcome in OUTCOMES:
            refreshes.add_metric([outcome], one.refreshes[outcome])
        yield refreshes
        day = None if one.figures is None else date.fromisoformat(one.figures.day)
        for name, what, when in (
            ("look", "When the log was last looked at", one.looked),
            ("latest_probe", "When the latest probe was sent", one.latest),
            ("table_until", "Up to when the table has learnt", _midnight(one.until)),
            ("day", "The day of the portkin_learn_day figures, its beginning", _midnight(day)),
        ):
            if when is not None:
                yield GaugeMetricFamily(f"portkin_learn_{name}_timestamp_seconds", what, value=when.timestamp())
        for name, what in _FIGURES.items():
            value = None if one.figures is None else getattr(one.figures, name)
            if value is not None:
                yield GaugeMetricFamily(f"portkin_learn_day_{name}", what, value=value)


def write_metrics(path: Path, progress: Progress) -> None:
    """Write the file, in one step. OSError where it cannot be written."""
    registry = CollectorRegistry()
    registry.register(_Families(progress))
    write_to_textfile(str(path), registry)


def _midnight(day: date | None) -> datetime | None:
    return None if day is None else datetime(day.year, day.month, day.day, tzinfo=UTC)
