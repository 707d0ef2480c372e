"""The core of the live rates: a report and the time in, messages out.

What Zeek's nodes say decides what time it is: a bin closes when all nodes have reported beyond its end, or one of
them has and the grace is over. So a capture is scored as fast as it is read, and every run is the same. Only where
the reports stop does our steady clock go on in their place.

A report from the future is refused: bins closed are never open again, so one clock a day ahead would end the scores
of a day, one ten years ahead those of all. What is live is as old as our clock, and a capture older.
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
from portkin.rates.metrics import RatesMetrics
from portkin.rates.store import Closed, Window
from portkin.timeseries.windows import label, next_start
from portkin.zeek.messages import (
    Count,
    Message,
    RateAnomaly,
    RatesOutage,
    RatesReport,
    RatesResponse,
    RatesScores,
    RateWarning,
)

if TYPE_CHECKING:
    from portkin.bundles.forecast import Forecaster, Score

PORTION = 256
"""Scores in one message."""
UNKNOWN = -1.0
AHEAD = 3600.0
"""Seconds by which a node's clock may be ahead of ours: far more than clocks differ that somebody sets. So long at most
does one report keep what comes after it from being scored."""


class Keeper:
    """Sums reports, closes bins, scores them. For one thread at a time. Methods may raise sqlite3.Error.

    ``now`` is always seconds of one steady clock; ``wall`` gives seconds since 1970.
    """

    def __init__(
        self,
        window: Window,
        models: Forecaster,
        *,
        metrics: RatesMetrics,
        log: Log,
        clock: Callable[[], float] = time.perf_counter,
        wall: Callable[[], float] = time.time,
    ) -> None:
        self._window = window
        self._models = models
        self._metrics = metrics
        self._log = log
        self._clock = clock
        self._wall = wall
        self._limiter = Limiter(60.0, clock)
        self._latest: tuple[float, float] | None = None
        self._heard = False
        self._waiting: list[Message] = []

    @property
    def path(self) -> Path:
        """The file of the window."""
        return self._window.path

    @property
    def models(self) -> Forecaster:
        """The models that score."""
        return self._models

    def replace(self, window: Window, models: Forecaster) -> None:
        """From the next bin on score with these, from a window of their ports; the window so far is closed."""
        before, self._window, self._models = self._window, window, models
        before.close_file()

    def connected(self) -> None:
        """The way to Zeek is open anew. What is found while nobody reports is said to the first who does."""
        self._heard = False

    def receive(self, report: RatesReport, now: float) -> list[Message]:
        """Take a report in; what it let us find, and the response last."""
        self._heard = True
        said, self._waiting = self._waiting, []
        start = report.start.timestamp()
        until = start + report.width.total_seconds()
        if len(report.ports) != len(report.counts):
            return [*said, self._refused(report, f"{len(report.ports)} ports, but {len(report.counts)} counts")]
        if until > self._wall() + AHEAD:
            return [*said, self._too_early(report, until)]
        counts: dict = {}
        for port, count in zip(report.ports, report.counts, strict=True):
            counts[port] = counts.get(port, 0) + count
        try:
            outcome = self._window.take(report.node, start, until, counts)
        except (ValueError, OverflowError) as error:
            return [*said, self._refused(report, str(error))]
        self._metrics.reported(outcome)
        if outcome == "new" and (self._latest is None or until > self._latest[0]):
            self._latest = until, now
        said += self._close(now)
        accepted = sum(port in self._window.columns for port in counts) if outcome == "new" else 0
        return [*said, RatesResponse(report.reqid, Count(accepted), "")]

    def tick(self, now: float) -> list[Message]:
        """Close what time alone closes."""
        self._waiting += self._close(now)
        if not self._heard:
            return []
        said, self._waiting = self._waiting, []
        return said

    def close_file(self) -> None:
        self._window.close_file()

    def _too_early(self, report: RatesReport, until: float) -> RatesResponse:
        ahead = f"{until - self._wall():.0f} s"
        held = self._limiter.passes("ahead")
        if held is not None:
            self._log.error(
                "a report of rates from the future refused: set the clock of this node, or the sidecar's",
                node=report.node,
                ahead=ahead,
                not_shown=held,
            )
        return self._refused(report, f"it ends {ahead} ahead of the sidecar's clock; set the one that is wrong")

    def _refused(self, report: RatesReport, reason: str) -> RatesResponse:
        self._metrics.reported("refused")
        return RatesResponse(report.reqid, Count(0), f"report of {report.node} refused: {reason}")

    def _close(self, now: float) -> list[Message]:
        if self._latest is None:
            return []
        reached, since = self._latest
        there = reached + now - since
        said: list[Message] = []
        while self._window.due(there) is not None:
            closed = self._window.close(there)
            self._metrics.closed(closed.start, known=closed.known)
            said += self._outage(closed)
            said += self._score(closed)
        return said

    def _outage(self, closed: Closed) -> Iterator[Message]:
        if not closed.outage:
            return
        window = self._window
        self._metrics.alarmed("outage")
        self._log.warning(
            "probing rates are unknown", bin=label(closed.start, window.width, window.tz), missed=list(closed.missed)
        )
        yield RatesOutage(_time(closed.start), timedelta(seconds=window.width), closed.missed)

    def _score(self, closed: Closed) -> Iterator[Message]:
        window, models = self._window, self._models
        began = self._clock()
        counts = window.counts(closed.start, models.history)
        if len(counts) < models.history:
            self._metrics.waiting(models.history - len(counts))
            return
        self._metrics.waiting(0)
        scores = models.score(window.ports, counts)
        self._metrics.scored(len(scores), self._clock() - began)
        width = timedelta(seconds=window.width)
        for first in range(0, len(scores), PORTION):
            yield _told(scores[first : first + PORTION], closed.start, width, models.id)
        # Of a bin that nobody watched there is nothing to say but that.
        if not closed.known:
            return
        ahead = next_start(closed.start, window.width, window.tz)
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


def _told(scores: Sequence[Score], start: int, width: timedelta, model_id: str) -> RatesScores:
    def each(name: str) -> tuple[float, ...]:
        return tuple(_finite(getattr(score, name)) for score in scores)

    ports = tuple(score.port for score in scores)
    return RatesScores(
        _time(start), width, model_id, ports, each("observed"), each("forecast"), each("e"), each("ahead"), each("w")
    )


def _finite(number: float) -> float:
    """As JSON can carry it: -1 for what is not known, the largest number for what is infinite."""
    return UNKNOWN if math.isnan(number) else min(number, sys.float_info.max)


def _time(start: int) -> datetime:
    return datetime.fromtimestamp(start, UTC)
