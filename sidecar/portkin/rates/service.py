"""Live rates as part of the service: reports wait while a thread counts and scores.

Scoring a thousand ports takes a second; the loop that answers Zeek does not wait for it.
"""

from __future__ import annotations

import asyncio
import sqlite3
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

from portkin.errors import PortkinError
from portkin.logs import Limiter, Log
from portkin.rates.metrics import RatesMetrics
from portkin.rates.scorer import Keeper
from portkin.zeek.dispatcher import Handler, Part
from portkin.zeek.messages import Count, Message, RatesReport, RatesResponse

if TYPE_CHECKING:
    from portkin.bundles.forecast import Forecaster

TICK = 10.0
"""Seconds between looks whether time alone closes a bin."""
LARGEST_BATCH = 500
NO_MODELS = "no models; set rates.model in the sidecar's settings, or do not load portkin/rates"


class LiveRates(Part):
    """Takes reports to a keeper in a thread of its own, and what it says back.

    ``models`` score, None where none are set. ``make`` gives, in that thread, the keeper of such models: a new one, or
    the one there is with its models replaced.
    """

    def __init__(
        self,
        models: Forecaster | None,
        make: Callable[[Forecaster, Keeper | None], Keeper],
        *,
        queue: int,
        metrics: RatesMetrics,
        log: Log,
        clock: Callable[[], float],
    ) -> None:
        self._models = models
        self._make = make
        self._size = queue
        self._metrics = metrics
        self._log = log
        self._clock = clock
        self._limiter = Limiter(10.0, clock)
        self._waiting: deque[tuple[float, RatesReport]] = deque()
        self._filled = asyncio.Event()
        self._anew = False
        self._keeper: Keeper | None = None

    def handlers(self) -> Mapping[type[Message], Handler]:
        return {RatesReport: self._take}

    def connected(self, now: float) -> Iterable[Message]:
        self._anew = True
        return ()

    def replace(self, models: Forecaster) -> None:
        """Score with these from the next bin on."""
        self._models = models
        self._filled.set()

    def _take(self, report: RatesReport, now: float) -> Iterable[Message]:
        if self._models is None:
            return [RatesResponse(report.reqid, Count(0), NO_MODELS)]
        if len(self._waiting) < self._size:
            self._waiting.append((now, report))
            self._filled.set()
        elif self._limiter.passes("queue") is not None:
            self._log.error("reports of rates dropped: too many wait", waiting=len(self._waiting))
        return ()

    async def run(self, publish: Callable[[list[Message]], None]) -> None:
        """Work for ever. When cancelled, the batch in the thread is finished."""
        with ThreadPoolExecutor(1, "rates") as thread:
            loop = asyncio.get_running_loop()
            try:
                while True:
                    try:
                        async with asyncio.timeout(TICK):
                            await self._filled.wait()
                    except TimeoutError:
                        pass
                    self._filled.clear()
                    taken = [self._waiting.popleft() for _ in range(min(len(self._waiting), LARGEST_BATCH))]
                    if self._waiting:
                        self._filled.set()
                    anew, self._anew = self._anew, False
                    publish(await loop.run_in_executor(thread, self._work, taken, anew))
            finally:
                if self._keeper is not None:
                    await loop.run_in_executor(thread, self._keeper.close_file)

    def _work(self, taken: list[tuple[float, RatesReport]], anew: bool) -> list[Message]:
        """In the thread. A report that fails is not answered: Zeek keeps it, and sends it again."""
        said: list[Message] = []
        try:
            models = self._models
            if models is None or (self._keeper is None and not taken):
                return said
            if self._keeper is None or self._keeper.models is not models:
                self._keeper = self._make(models, self._keeper)
            if anew:
                self._keeper.connected()
            for now, report in taken:
                said += self._keeper.receive(report, now)
            said += self._keeper.tick(self._clock())
        except PortkinError as error:
            self._metrics.failed()
            if self._limiter.passes("error") is not None:
                self._log.error("rates are not scored; detection goes on", reason=str(error))
        except sqlite3.Error as error:
            self._metrics.failed()
            if self._limiter.passes("error") is not None:
                file = "" if self._keeper is None else f"{self._keeper.path}: "
                # On a full disk SQLite rolls back by itself; that our ROLLBACK then fails is not the reason.
                why = error.__context__ if isinstance(error.__context__, sqlite3.Error) else error
                self._log.error(
                    "rates are not scored; detection goes on",
                    reason=f"{file}the window of rates cannot be written ({why}); make room for it, "
                    "or set rates.books to a file that can be",
                )
        except Exception:
            self._metrics.failed()
            if self._limiter.passes("defect") is not None:
                self._log.exception("scoring rates failed; this is a defect of portkin")
        return said
