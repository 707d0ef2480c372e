"""Live rates as part of the service: takes reports from Zeek to a scorer in a worker thread, and its messages back.

Scoring a thousand ports takes a second; the loop that answers Zeek does not wait for it.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

from portkin.errors import PortkinError
from portkin.logs import Limiter, Log
from portkin.rates.metrics import RatesMetrics
from portkin.rates.scorer import RateScorer
from portkin.sqlite import is_damage
from portkin.worker import Queued, Worker
from portkin.zeek.dispatcher import Handler, Part
from portkin.zeek.event import Count, Message
from portkin.zeek.messages import RatesReport, RatesResponse

if TYPE_CHECKING:
    from portkin.bundles.forecast import Forecaster

TICK = 10.0
"""Seconds between checks whether time alone closes a bin."""
MAX_BATCH = 500
GONE_ON = "the rates database was removed, replaced or damaged; scoring goes on with the one that is there now"
NO_MODELS = "no models; set rates.model in the sidecar's settings, or do not load portkin/rates"


class RatesService(Part):
    """Queues reports for the scorer's thread.

    ``models`` score; None where none are set. ``make`` returns, in that thread, the scorer of such models: a new one,
    or the present one with its models replaced.
    """

    def __init__(
        self,
        models: Forecaster | None,
        make: Callable[[Forecaster, RateScorer | None], RateScorer],
        *,
        queue: int,
        metrics: RatesMetrics,
        log: Log,
        clock: Callable[[], float],
    ) -> None:
        self._models = models
        self._make = make
        self._metrics = metrics
        self._log = log
        self._clock = clock
        self._limiter = Limiter(10.0, clock)
        self._worker: Worker[RatesReport] = Worker(
            "rates", self._work, queue=queue, batch=MAX_BATCH, interval=TICK, close=self._close
        )
        self._reconnected = False
        self._scorer: RateScorer | None = None
        self._damaged = False

    def handlers(self) -> Mapping[type[Message], Handler]:
        """Reports of rates."""
        return {RatesReport: self._take}

    def connected(self, now: float) -> Iterable[Message]:
        """Nothing is sent until a node reports; see `RateScorer.connected`."""
        self._reconnected = True
        return ()

    def set_models(self, models: Forecaster) -> None:
        """Score with these from the next bin on."""
        self._models = models
        self._worker.wake()

    async def run(self, publish: Callable[[list[Message]], None]) -> None:
        """Work until cancelled; then the batch in the thread is finished first."""
        await self._worker.run(publish)

    def _take(self, report: RatesReport, now: float) -> Iterable[Message]:
        if self._models is None:
            return [RatesResponse(report.reqid, Count(0), NO_MODELS)]
        if not self._worker.offer(report, now) and self._limiter.passes("queue") is not None:
            self._log.error("reports of rates dropped: the queue is full", waiting=self._worker.waiting)
        return ()

    def _close(self) -> None:
        if self._scorer is not None:
            self._scorer.close()

    def _work(self, batch: Sequence[Queued[RatesReport]]) -> list[Message]:
        """In the thread. A report that fails is not answered: Zeek keeps it, and sends it again."""
        messages: list[Message] = []
        try:
            models = self._models
            if models is None or (self._scorer is None and not batch):
                return messages
            if self._scorer is None or self._scorer.models is not models:
                self._scorer = self._make(models, self._scorer)
            elif self._damaged or self._scorer.gone():
                self._scorer = self._make(models, self._scorer)
                self._log.error(GONE_ON, database=str(self._scorer.path))
            self._damaged = False
            if self._reconnected:
                self._reconnected = False
                self._scorer.connected()
            for now, report in batch:
                messages += self._scorer.receive(report, now)
            messages += self._scorer.tick(self._clock())
        except PortkinError as error:
            self._metrics.failed()
            if self._limiter.passes("error") is not None:
                self._log.error("rates are not scored; detection goes on", reason=str(error))
        except sqlite3.Error as error:
            self._database_failed(error)
        except Exception:
            self._metrics.failed()
            if self._limiter.passes("defect") is not None:
                self._log.exception("scoring rates failed; this is a defect of portkin")
        # What was found before an error, alarms above all, is sent all the same.
        return [*messages, *([] if self._scorer is None else self._scorer.unsent())]

    def _database_failed(self, error: sqlite3.Error) -> None:
        self._metrics.failed()
        self._metrics.database_failed()
        # On a full disk SQLite rolls back by itself; that our ROLLBACK then fails is not the reason.
        why = error.__context__ if isinstance(error.__context__, sqlite3.Error) else error
        self._damaged = is_damage(why)
        if self._limiter.passes("error") is not None:
            file = "" if self._scorer is None else f"{self._scorer.path}: "
            remedy = (
                "it is set aside, and a new one created"
                if self._damaged
                else "free some space, or set rates.database to a file that can be written"
            )
            self._log.error(
                "the rates database failed; alarms that were found are sent, reports wait in Zeek",
                reason=f"{file}the rates database cannot be {'read' if self._damaged else 'written'} ({why}); {remedy}",
            )
