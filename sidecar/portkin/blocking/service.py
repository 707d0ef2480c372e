"""Blocking as part of the service: takes requests from Zeek to an enforcer in a worker thread, and responses back."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence

from portkin.blocking.enforcer import Enforcer
from portkin.blocking.limits import Limits
from portkin.blocking.metrics import BlockingMetrics
from portkin.blocking.policy import Request, response_to
from portkin.errors import PortkinError
from portkin.logs import Limiter, Log
from portkin.net.addresses import Address
from portkin.net.ports import Port
from portkin.worker import Queued, Worker
from portkin.zeek.block_messages import BlockRequests, BlockResponse, BlockResponses, UnblockRequest
from portkin.zeek.dispatcher import Handler, Part
from portkin.zeek.event import Message

MAX_BATCH = 10_000
_TICK = 1.0
_QUEUE_FULL = "too many requests are waiting"


class BlockingService(Part):
    """Queues requests for the enforcer's thread.

    ``lazy``: the first request starts the enforcer, so an unused shadow writes no file. ``close`` is called at the end,
    after the last batch.
    """

    def __init__(
        self,
        enforcer: Enforcer,
        *,
        queue: int,
        metrics: BlockingMetrics,
        log: Log,
        clock: Callable[[], float],
        lazy: bool = False,
        close: Callable[[], None] = lambda: None,
    ) -> None:
        self.enforcer = enforcer
        """For display; what may be asked by any thread says so."""
        self.worked: float | None = None
        """When its thread last had a turn, by the clock; None before the first."""
        self._close_others = close
        self._metrics = metrics
        self._log = log
        self._clock = clock
        self._limiter = Limiter(10.0, clock)
        self._worker: Worker[Request] = Worker(
            "enforcer",
            self._work,
            queue=queue,
            batch=MAX_BATCH,
            interval=_TICK,
            close=self._close,
            done=self._measure,
            lazy=lazy,
        )
        self._limits: Limits | None = None
        self._in_force: Limits | None = None  # the last of them that the enforcer took
        self._started = False
        self._next_tick = -1.0

    def handlers(self) -> Mapping[type[Message], Handler]:
        """Requests to block and unblock."""
        return {BlockRequests: self._take_blocks, UnblockRequest: self._take_unblock}

    def set_limits(self, limits: Limits) -> None:
        """Use other limits from now on."""
        self._limits = limits
        self._worker.wake()

    async def run(self, publish: Callable[[list[Message]], None]) -> None:
        """Work until cancelled; then the batch that is being carried out is finished first."""
        await self._worker.run(publish)

    def unblock(self, src: Address, port: Port) -> str:
        """End a block by hand, as a request that Zeek did not make; returns why not, empty where it will be done."""
        refused = list(self._take_unblock(UnblockRequest("", src, port), self._clock()))
        return _QUEUE_FULL if refused else ""

    def _take_blocks(self, requests: BlockRequests, now: float) -> Iterable[Message]:
        return self._take("block", requests.each(), now)

    def _take_unblock(self, request: UnblockRequest, now: float) -> Iterable[Message]:
        return self._take("unblock", [request], now)

    def _take(self, kind: str, requests: Sequence[Request], now: float) -> Iterable[Message]:
        refused = []
        self._metrics.requested(kind, len(requests))
        for request in requests:
            if not self._worker.offer(request, now):
                self._metrics.failed("queue")
                refused.append(response_to(request, "error", _QUEUE_FULL))
        if refused and self._limiter.passes("queue") is not None:
            self._log.error("requests to block rejected: the queue is full", waiting=self._worker.waiting)
        return BlockResponses.of(refused)

    def _close(self) -> None:
        self.enforcer.stop()
        self._close_others()

    def _measure(self, batch: Sequence[Queued[Request]]) -> None:
        done = self._clock()
        for since, _ in batch:
            self._metrics.done(done - since)

    def _work(self, batch: Sequence[Queued[Request]]) -> list[BlockResponses]:
        return BlockResponses.of(self._responses(batch))

    def _responses(self, batch: Sequence[Queued[Request]]) -> list[BlockResponse]:
        """In the thread. No failure here ends the thread, or detection."""
        self.worked = self._clock()
        requests, limits = [item for _, item in batch], self._limits
        try:
            responses: list[BlockResponse] = []
            if not self._started:
                responses += self.enforcer.start()
                self._started = True
            # Only once it has started: until then they are kept.
            if limits is not None and limits is not self._in_force:
                responses += self.enforcer.set_limits(limits)
                self._in_force = limits
            if requests:
                responses += self.enforcer.handle(requests)
            # However many requests there are, the regular work is done.
            if self._clock() >= self._next_tick:
                self._next_tick = self._clock() + _TICK / 2
                responses += self.enforcer.tick()
            return responses
        except PortkinError as error:
            if self._limiter.passes("start") is not None:
                self._log.error("blocking does not work; detection goes on", reason=str(error))
            return [response_to(request, "error", str(error)) for request in requests]
        except Exception as error:
            self._metrics.failed("defect")
            if self._limiter.passes("defect") is not None:
                self._log.exception("blocking failed; this is a defect of portkin")
            defect = f"{type(error).__name__}: a defect of portkin"
            return [response_to(request, "error", defect) for request in requests]
