"""Blocking as part of the service: requests wait while a thread works, and go to it together.

The loop that answers Zeek never waits for books or backend. What came in while a batch was carried out is the
next batch, so batches are small when little happens and grow by themselves when much does.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress

from portkin.blocking.enforcer import Enforcer
from portkin.blocking.limits import Limits
from portkin.blocking.metrics import EnforceMetrics
from portkin.blocking.policy import Request, answer
from portkin.errors import PortkinError
from portkin.logs import Limiter, Log
from portkin.zeek.dispatcher import Handler, Part
from portkin.zeek.messages import BlockRequest, BlockResponse, Message, UnblockRequest

LARGEST_BATCH = 10_000
_TICK = 1.0
_BUSY = "too many requests wait"


class Enforcement(Part):
    """Takes requests from Zeek to an enforcer in a thread of its own, and its responses back.

    ``lazily``: the enforcer is started by the first request, so a shadow that nobody asks writes nothing.
    """

    def __init__(
        self,
        enforcer: Enforcer,
        *,
        queue: int,
        metrics: EnforceMetrics,
        log: Log,
        clock: Callable[[], float],
        lazily: bool = False,
    ) -> None:
        self._enforcer = enforcer
        self._size = queue
        self._metrics = metrics
        self._log = log
        self._clock = clock
        self._lazily = lazily
        self._limiter = Limiter(10.0, clock)
        self._waiting: deque[tuple[float, Request]] = deque()
        self._filled = asyncio.Event()
        self._limits: Limits | None = None
        self._in_force: Limits | None = None  # the last of them that the enforcer took
        self._started = False
        self._next_tick = -1.0

    def handlers(self) -> Mapping[type[Message], Handler]:
        return {BlockRequest: self._take, UnblockRequest: self._take}

    def _take(self, request: Request, now: float) -> Iterable[Message]:
        self._metrics.requested("block" if isinstance(request, BlockRequest) else "unblock")
        if len(self._waiting) >= self._size:
            self._metrics.failed("queue")
            if self._limiter.passes("queue") is not None:
                self._log.error("requests to block refused: too many wait", waiting=len(self._waiting))
            return [answer(request, "error", _BUSY)]
        self._waiting.append((now, request))
        self._filled.set()
        return ()

    def limit(self, limits: Limits) -> None:
        """Go by other limits from now on."""
        self._limits = limits
        self._filled.set()

    async def run(self, publish: Callable[[list[Message]], None]) -> None:
        """Work for ever. When cancelled, the batch that is being carried out is finished."""
        with ThreadPoolExecutor(1, "enforcer") as thread:
            loop = asyncio.get_running_loop()
            try:
                if self._lazily:
                    await self._filled.wait()
                while True:
                    self._filled.clear()
                    taken = [self._waiting.popleft() for _ in range(min(len(self._waiting), LARGEST_BATCH))]
                    if self._waiting:
                        self._filled.set()
                    work = loop.run_in_executor(thread, self._work, [request for _, request in taken], self._limits)
                    publish(list(await work))
                    done = self._clock()
                    for since, _ in taken:
                        self._metrics.done(done - since)
                    await self._wait()
            finally:
                await loop.run_in_executor(thread, self._enforcer.close)

    async def _wait(self) -> None:
        """Until somebody asks, or it is time to look."""
        with suppress(TimeoutError):
            async with asyncio.timeout(_TICK):
                await self._filled.wait()

    def _work(self, requests: list[Request], limits: Limits | None) -> list[BlockResponse]:
        """In the thread. Whatever goes wrong here ends neither the thread nor detection."""
        try:
            responses: list[BlockResponse] = []
            if not self._started:
                responses += self._enforcer.start()
                self._started = True
            # Not before it has started: until then they are kept.
            if limits is not None and limits is not self._in_force:
                responses += self._enforcer.replace(limits)
                self._in_force = limits
            if requests:
                responses += self._enforcer.handle(requests)
            # However much is asked, the backend and the books are looked after.
            if self._clock() >= self._next_tick:
                self._next_tick = self._clock() + _TICK / 2
                responses += self._enforcer.tick()
            return responses
        except PortkinError as error:
            if self._limiter.passes("start") is not None:
                self._log.error("blocking does not work; detection goes on", reason=str(error))
            return [answer(request, "error", str(error)) for request in requests]
        except Exception as error:
            self._metrics.failed("defect")
            if self._limiter.passes("defect") is not None:
                self._log.exception("blocking failed; this is a defect of portkin")
            return [answer(request, "error", f"{type(error).__name__}: a defect of portkin") for request in requests]
