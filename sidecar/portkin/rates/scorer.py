"""Scoring of live rates: a report and the time in, messages out. No socket.

The time is that of the reports: a bin closes when all nodes have reported beyond its end, or one of them has and the
grace is over. So a capture is scored as fast as it is read, and every run is the same. Only where the reports stop
does our monotonic clock continue in their place.

A report from the future is rejected: closed bins never open again, so a clock that is a day ahead would prevent the
scores of a day, one ten years ahead all of them. A live report is as old as our clock, and a capture older.
"""

from __future__ import annotations

import sqlite3
import time
from collections import deque
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from portkin.logs import Limiter, Log
from portkin.net.ports import Port
from portkin.rates.closing import Closed
from portkin.rates.history import Alarm
from portkin.rates.metrics import RatesMetrics
from portkin.rates.scored_bin import ScoredBin, moment
from portkin.rates.store import RateStore
from portkin.timeseries.bins import label, latest_starts, next_start
from portkin.timeseries.calibration import Thresholds
from portkin.timeseries.scaling import Floats
from portkin.zeek.event import Count, Message
from portkin.zeek.messages import RateAnomaly, RatesOutage, RatesReport, RatesResponse, RateWarning

if TYPE_CHECKING:
    from portkin.bundles.forecast import Forecaster

MAX_AHEAD = 3600.0
"""Seconds by which a node's clock may be ahead of ours: far more than synchronised clocks differ. One report delays the
scores of later ones by this much at most."""
MOST_UNKEPT = 1000
"""Alarms that wait until they can be written for display."""


class RateScorer:
    """Sums reports, closes bins, scores them. For one thread at a time. Methods may raise sqlite3.Error.

    After an error nothing that was found is lost: `unsent` has it, a closed bin that could not be read is scored by the
    next call, and what could not be written is in force, and is written with the next bin.

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
        self._unscored: deque[Closed] = deque()
        self._unkept: list[Alarm] = []
        self._read: tuple[int, tuple[Port, ...], Floats] | None = None
        """The latest bin that was scored, the ports, and the counts up to it (n, ports)."""

    @property
    def path(self) -> Path:
        """The file of the rates database."""
        return self._store.path

    @property
    def models(self) -> Forecaster:
        """The models that score."""
        return self._models

    def gone(self) -> bool:
        """Whether the rates database was removed or replaced."""
        return self._store.gone()

    def replace(self, store: RateStore, models: Forecaster) -> None:
        """From the next bin on score with these, from a database of their ports; the former one is closed.

        A new file without a report goes on where the former one was, with the counts that were read of it.
        """
        before, self._store, self._models = self._store, store, models
        before.close()
        if (store.width, store.tz) != (before.width, before.tz):
            self._read = None
            self._unscored.clear()
        elif store.open is None and self._read is not None:
            latest, ports, counts = self._read
            starts = np.array(latest_starts(latest, len(counts), store.width, store.tz))
            if set(store.ports) <= set(ports):
                store.fill(starts, ports, counts)
            store.thresholds.carry(before.thresholds)
            store.resume(next_start(latest, store.width, store.tz))

    def connected(self) -> None:
        """Connected to Zeek again. What is found while no node reports is sent after the first report."""
        self._reporting = False

    def receive(self, report: RatesReport, now: float) -> list[Message]:
        """Take a report in; returns what follows from it, and the response last."""
        self._reporting = True
        start = report.start.timestamp()
        until = start + report.width.total_seconds()
        if len(report.ports) != len(report.counts):
            return [
                *self.unsent(),
                self._rejected(report, f"{len(report.ports)} ports, but {len(report.counts)} counts"),
            ]
        if until > self._wall_clock() + MAX_AHEAD:
            return [*self.unsent(), self._too_early(report, until)]
        counts: dict[Port, int] = {}
        for port, count in zip(report.ports, report.counts, strict=True):
            counts[port] = counts.get(port, 0) + count
        try:
            outcome = self._store.take(report.node, start, until, counts)
        except (ValueError, OverflowError) as error:
            return [*self.unsent(), self._rejected(report, str(error))]
        self._metrics.reported(outcome)
        if outcome == "new" and (self._latest is None or until > self._latest[0]):
            self._latest = until, now
        self._close(now)
        accepted = sum(port in self._store.columns for port in counts) if outcome == "new" else 0
        return [*self.unsent(), RatesResponse(report.reqid, Count(accepted), "")]

    def tick(self, now: float) -> list[Message]:
        """Close what time alone closes."""
        self._close(now)
        return self.unsent()

    def unsent(self) -> list[Message]:
        """What was found and not returned yet, once a node reports: the first report after a connection."""
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

    def _close(self, now: float) -> None:
        self._score_closed()
        if self._latest is None:
            return
        reached, since = self._latest
        reached_now = reached + now - since
        while self._store.due(reached_now) is not None:
            closed = self._store.close_bin(reached_now)
            self._unscored.append(closed)
            self._metrics.closed(closed.start, known=closed.known)
            self._unsent += self._outage(closed)
            self._score_closed()

    def _outage(self, closed: Closed) -> Iterator[Message]:
        if not closed.outage:
            return
        store = self._store
        self._metrics.alarmed("outage")
        self._log.warning(
            "probing rates are unknown", bin=label(closed.start, store.width, store.tz), missed=list(closed.missed)
        )
        yield RatesOutage(moment(closed.start), timedelta(seconds=store.width), closed.missed)

    def _score_closed(self) -> None:
        """Score the bins that are closed and not scored: first read, then send, then write what may fail."""
        while self._unscored:
            closed = self._unscored.popleft()
            try:
                scored = self._scored(closed)
            except sqlite3.Error:
                self._unscored.appendleft(closed)
                raise
            if scored is not None:
                self._send(scored)
                self._keep(scored)

    def _scored(self, closed: Closed) -> ScoredBin | None:
        store, models = self._store, self._models
        began = self._clock()
        counts = store.counts(closed.start, models.history)
        self._read = closed.start, store.ports, counts
        self._metrics.missing(max(0, models.history - len(counts)))
        if len(counts) < models.history:
            return None
        scores = models.score(store.ports, counts, self._thresholds())
        self._metrics.scored(len(scores), self._clock() - began)
        return ScoredBin(closed, store.width, next_start(closed.start, store.width, store.tz), models.id, scores)

    def _thresholds(self) -> Thresholds:
        return self._store.thresholds.read(self._models.id, self._models.targets, self._models.thresholds)

    def _send(self, scored: ScoredBin) -> None:
        for message in scored.messages():
            self._unsent.append(message)
            if isinstance(message, RateAnomaly):
                self._metrics.alarmed("anomaly")
            elif isinstance(message, RateWarning):
                self._metrics.alarmed("warning")

    def _keep(self, scored: ScoredBin) -> None:
        store, models, closed = self._store, self._models, scored.closed
        self._unkept = [*self._unkept, *scored.alarms(self._wall_clock())][-MOST_UNKEPT:]
        # What nobody watched says nothing; what comes late finds the bin closed.
        if closed.known and closed.start > models.rules.until:
            store.thresholds.keep(models.id, models.targets, models.followed(self._thresholds(), scored.scores))
        store.keep_scores(closed.start, scored.scores, self._unkept)
        self._unkept = []
