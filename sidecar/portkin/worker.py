"""A worker thread beside the event loop: what arrives while it works is its next batch.

The loop that answers Zeek never waits for a database, a backend or a model. Batches are small when little happens, and
grow by themselves when much does.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from queue import Empty, SimpleQueue
from threading import Thread
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
    not raise. ``done`` is called in the loop after what follows from a batch is published, ``close`` in the thread at
    the end.
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
        self._waiting: SimpleQueue[Queued[Item] | None] = SimpleQueue()  # None only wakes the thread
        self._stopping = False

    @property
    def waiting(self) -> int:
        """How many items wait."""
        return self._waiting.qsize()

    def offer(self, item: Item, now: float) -> bool:
        """Queue an item; False where the queue is full."""
        if self.waiting >= self._size:
            return False
        self._waiting.put(Queued(now, item))
        return True

    def wake(self) -> None:
        """Work soon, even if no item came."""
        self._waiting.put(None)

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

        # Published a message a turn of the loop, so that no answer waits for hundreds of them.
        said: deque[tuple[Sequence[Message], Sequence[Queued[Item]]]] = deque()

        def finished(batch: Sequence[Queued[Item]], messages: Sequence[Message]) -> None:
            idle = not said
            said.extend(([message], ()) for message in messages[:-1])
            said.append((messages[-1:], batch))
            if idle:
                say()

        def say() -> None:
            if not said:
                return
            messages, batch = said[0]
            try:
                publish(list(messages))
                if batch:
                    self._done(batch)
            except Exception as error:
                fail(error)
            said.popleft()
            if said:
                loop.call_soon(say)

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
            while said:
                say()
        if failed.done():
            failed.result()

    def _turns(self, finished: Callable[[Sequence[Queued[Item]], Sequence[Message]], object]) -> None:
        """In the thread: batch after batch, until it is to stop."""
        patience = None if self._lazy else 0.0
        while not self._stopping:
            batch = self._taken(patience)
            patience = self._interval
            if batch or not self._stopping:
                finished(batch, self._work(batch))

    def _taken(self, patience: float | None) -> list[Queued[Item]]:
        """The next batch; empty where nothing comes within so many seconds, or `wake` is called. None: however long."""
        batch: list[Queued[Item]] = []
        try:
            taken = self._waiting.get(timeout=patience)
            while taken is not None:
                batch.append(taken)
                if len(batch) == self._batch:
                    break
                taken = self._waiting.get_nowait()
        except Empty:
            pass
        return batch
