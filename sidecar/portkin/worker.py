"""A worker thread beside the event loop: what arrives while it works is its next batch.

The loop that answers Zeek never waits for a database, a backend or a model. Batches are small when little happens, and
grow by themselves when much does.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from threading import Event, Thread
from typing import Generic, NamedTuple, TypeVar

from portkin.zeek.event import Message

Item = TypeVar("Item")


class Queued(NamedTuple, Generic[Item]):
    """An item that waits, and when it came (seconds of a monotonic clock)."""

    since: float
    item: Item


class Worker(Generic[Item]):
    """Hands items to one thread, in batches, and publishes the messages that follow.

    ``work`` is called in the thread with each batch, and at least every ``interval`` seconds with an empty one; it must
    not raise. ``done`` is called in the loop after each batch is published, ``close`` in the thread at the end.
    ``lazy`` waits for the first item before it works at all.
    """

    def __init__(
        self,
        name: str,
        work: Callable[[Sequence[Queued[Item]]], Sequence[Message]],
        *,
        queue: int,
        batch: int,
        interval: float,
        close: Callable[[], None],
        done: Callable[[Sequence[Queued[Item]]], None] = lambda batch: None,
        lazy: bool = False,
    ) -> None:
        self._name = name
        self._work = work
        self._size = queue
        self._batch = batch
        self._interval = interval
        self._close = close
        self._done = done
        self._lazy = lazy
        self._waiting: deque[Queued[Item]] = deque()
        self._woken = Event()
        self._stopping = False

    @property
    def waiting(self) -> int:
        """How many items wait."""
        return len(self._waiting)

    def offer(self, item: Item, now: float) -> bool:
        """Queue an item; False where the queue is full."""
        if len(self._waiting) >= self._size:
            return False
        self._waiting.append(Queued(now, item))
        self.wake()
        return True

    def wake(self) -> None:
        """Work soon, even if no item came."""
        self._woken.set()

    async def run(self, publish: Callable[[list[Message]], None]) -> None:
        """Work until cancelled; then the batch in the thread is finished first.

        Raises what ``publish`` raises, and where ``work`` has a defect what that raises.
        """
        loop = asyncio.get_running_loop()
        ended: asyncio.Future[None] = loop.create_future()
        failed: asyncio.Future[None] = loop.create_future()

        def fail(error: BaseException) -> None:
            if not failed.done():
                failed.set_exception(error)

        def finished(batch: Sequence[Queued[Item]], messages: Sequence[Message]) -> None:
            try:
                publish(list(messages))
                self._done(batch)
            except Exception as error:
                fail(error)

        def turns() -> None:
            try:
                try:
                    self._turns(lambda *done: loop.call_soon_threadsafe(finished, *done))
                finally:
                    self._close()
            except BaseException as error:
                loop.call_soon_threadsafe(fail, error)
            finally:
                loop.call_soon_threadsafe(ended.set_result, None)

        self._stopping = False
        Thread(target=turns, name=self._name).start()
        try:
            await asyncio.wait((ended, failed), return_when=asyncio.FIRST_COMPLETED)
        finally:
            self._stopping = True
            self.wake()
            await asyncio.shield(ended)
        if failed.done():
            failed.result()

    def _turns(self, finished: Callable[[Sequence[Queued[Item]], Sequence[Message]], object]) -> None:
        """In the thread: batch after batch, until it is to stop."""
        if self._lazy:
            self._woken.wait()
        while not self._stopping:
            # Before the items are taken: whatever comes from now on wakes again.
            self._woken.clear()
            batch = [self._waiting.popleft() for _ in range(min(len(self._waiting), self._batch))]
            finished(batch, self._work(batch))
            if not (self._waiting or self._stopping):
                self._woken.wait(self._interval)
