"""Scoring of live rates: a report and the time in, messages out. No socket.

The time is that of the reports: a bin closes when all nodes have reported beyond its end, or one of them has and the
grace is over. So a capture is scored as fast as it is read, and every run is the same. Only where the reports stop
does our monotonic clock continue in their place.

A report from the future is rejected: closed bins never open again, so a clock that is a day ahead would prevent the
scores of a day, one ten years ahead all of them. A live report is as old as our clock, and a capture older.
"""

from __future__ import annotations

import math
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from portkin.logs import Limiter, Log
from portkin.net.ports import Port
from portkin.rates.closing import Closed
from portkin.rates.history import Alarm
from portkin.rates.metrics import RatesMetrics
from portkin.rates.store import RateStore
from portkin.timeseries.bins import label, next_start
from portkin.zeek.event_codec import Count, Message
from portkin.zeek.messages import RateAnomaly, RatesOutage, RatesReport, RatesResponse, RatesScores, RateWarning

if TYPE_CHECKING:
    from portkin.bundles.forecast import Forecaster, Score

SCORES_PER_MESSAGE = 256
"""Scores in one message."""
UNKNOWN = -1.0
MAX_AHEAD = 3600.0
"""Seconds by which a node's clock may be ahead of ours: far more than synchronised clocks differ. One report delays the
scores of later ones by this much at most."""


class RateScorer:
    """Sums reports, closes bins, scores them. For one thread at a time. Methods may raise sqlite3.Error.

    ``now`` is always seconds of one monotonic clock; ``wall_clock`` returns seconds since 1970.
    """

    def __init__(
        self,
        store: RateStore,
        models: Forecaster,
        *,
        metrics: RatesMetrics,
        log: Log,
        clock: Callable[[], float] = time.perf_counter,
        wall_clock: Callable[[], float] = time.time,
    ) -> None:
        self._store = store
        self._models = models
        self._metrics = metrics
        self._log = log
        self._clock = clock
        self._wall_clock = wall_clock
        self._limiter = Limiter(60.0, clock)
        self._latest: tuple[float, float] | None = None
        self._reporting = False
        self._unsent: list[Message] = []

    @property
    def path(self) -> Path:
        """The file of the rates database."""
        return self._store.path

    @property
    def models(self) -> Forecaster:
        """The models that score."""
        return self._models

    def replace(self, store: RateStore, models: Forecaster) -> None:
        """From the next bin on score with these, from a database of their ports; the former one is closed."""
        before, self._store, self._models = self._store, store, models
        before.close()

    def connected(self) -> None:
        """Connected to Zeek again. What is found while no node reports is sent after the first report."""
        self._reporting = False

    def receive(self, report: RatesReport, now: float) -> list[Message]:
        """Take a report in; returns what follows from it, and the response last."""
        self._reporting = True
        messages, self._unsent = self._unsent, []
        start = report.start.timestamp()
        until = start + report.width.total_seconds()
        if len(report.ports) != len(report.counts):
            return [*messages, self._rejected(report, f"{len(report.ports)} ports, but {len(report.counts)} counts")]
        if until > self._wall_clock() + MAX_AHEAD:
            return [*messages, self._too_early(report, until)]
        counts: dict[Port, int] = {}
        for port, count in zip(report.ports, report.counts, strict=True):
            counts[port] = counts.get(port, 0) + count
        try:
            outcome = self._store.take(report.node, start, until, counts)
        except (ValueError, OverflowError) as error:
            return [*messages, self._rejected(report, str(error))]
        self._metrics.reported(outcome)
        if outcome == "new" and (self._latest is None or until > self._latest[0]):
            self._latest = until, now
        messages += self._close(now)
        accepted = sum(port in self._store.columns for port in counts) if outcome == "new" else 0
        return [*messages, RatesResponse(report.reqid, Count(accepted), "")]

    def tick(self, now: float) -> list[Message]:
        """Close what time alone closes."""
        self._unsent += self._close(now)
        if not self._reporting:
            return []
        messages, self._unsent = self._unsent, []
        return messages

    def close(self) -> None:
        """Close the rates database."""
        self._store.close()

    def _too_early(self, report: RatesReport, until: float) -> RatesResponse:
        ahead = f"{until - self._wall_clock():.0f} s"
        suppressed = self._limiter.passes("ahead")
        if suppressed is not None:
            self._log.error(
                "a report of rates from the future rejected: set the clock of this node, or the sidecar's",
                node=report.node,
                ahead=ahead,
                not_shown=suppressed,
            )
        return self._rejected(report, f"it ends {ahead} ahead of the sidecar's clock; set the one that is wrong")

    def _rejected(self, report: RatesReport, reason: str) -> RatesResponse:
        self._metrics.reported("refused")
        return RatesResponse(report.reqid, Count(0), f"report of {report.node} rejected: {reason}")

    def _close(self, now: float) -> list[Message]:
        if self._latest is None:
            return []
        reached, since = self._latest
        reached_now = reached + now - since
        messages: list[Message] = []
        while self._store.due(reached_now) is not None:
            closed = self._store.close_bin(reached_now)
            self._metrics.closed(closed.start, known=closed.known)
            messages += self._outage(closed)
            messages += self._score(closed)
        return messages

    def _outage(self, closed: Closed) -> Iterator[Message]:
        if not closed.outage:
            return
        store = self._store
        self._metrics.alarmed("outage")
        self._log.warning(
            "probing rates are unknown", bin=label(closed.start, store.width, store.tz), missed=list(closed.missed)
        )
        yield RatesOutage(_time(closed.start), timedelta(seconds=store.width), closed.missed)

    def _score(self, closed: Closed) -> Iterator[Message]:
        store, models = self._store, self._models
        began = self._clock()
        counts = store.counts(closed.start, models.history)
        if len(counts) < models.history:
            self._metrics.missing(models.history - len(counts))
            return
        self._metrics.missing(0)
        thresholds = store.thresholds.read(models.id, models.targets, models.thresholds)
        scores = models.score(store.ports, counts, thresholds)
        # What nobody watched says nothing; what comes late finds the bin closed.
        if closed.known and closed.start > models.rules.until:
            store.thresholds.keep(models.id, models.targets, models.followed(thresholds, scores))
        self._metrics.scored(len(scores), self._clock() - began)
        ahead = next_start(closed.start, store.width, store.tz)
        store.keep_scores(closed.start, scores, list(self._alarms(scores, closed, ahead)))
        width = timedelta(seconds=store.width)
        for first in range(0, len(scores), SCORES_PER_MESSAGE):
            yield _scores(scores[first : first + SCORES_PER_MESSAGE], closed.start, width, models.id)
        # A bin that no node watched is reported as an outage only.
        if not closed.known:
            return
        for score in scores:
            if score.anomalous:
                self._metrics.alarmed("anomaly")
                yield RateAnomaly(
                    score.port,
                    _time(closed.start),
                    score.observed,
                    score.forecast,
                    _finite(score.e),
                    score.threshold_e,
                    models.id,
                )
            if score.warning:
                self._metrics.alarmed("warning")
                yield RateWarning(
                    score.port,
                    _time(ahead),
                    score.ahead,
                    score.trend,
                    _finite(score.w),
                    score.threshold_w,
                    models.id,
                )

    def _alarms(self, scores: Sequence[Score], closed: Closed, ahead: int) -> Iterator[Alarm]:
        """What is raised at the close of a bin, as it is kept for display."""
        raised = self._wall_clock()
        for score in scores if closed.known else ():
            port, model = score.port, self._models.id
            if score.anomalous:
                limits = score.e, score.threshold_e
                yield Alarm(raised, "anomaly", port, closed.start, score.observed, score.forecast, *limits, model)
            if score.warning:
                limits = score.w, score.threshold_w
                yield Alarm(raised, "warning", port, ahead, score.ahead, score.trend, *limits, model)


def _scores(scores: Sequence[Score], start: int, width: timedelta, model_id: str) -> RatesScores:
    def each(name: str) -> tuple[float, ...]:
        return tuple(_finite(getattr(score, name)) for score in scores)

    ports = tuple(score.port for score in scores)
    return RatesScores(
        _time(start), width, model_id, ports, each("observed"), each("forecast"), each("e"), each("ahead"), each("w")
    )


def _finite(number: float) -> float:
    """As JSON has it: -1 for what is unknown, the largest number for what is infinite."""
    return UNKNOWN if math.isnan(number) else min(number, sys.float_info.max)


def _time(start: int) -> datetime:
    return datetime.fromtimestamp(start, UTC)
