"""A worker thread beside the event loop: what arrives while it works is its next batch.

The loop that answers Zeek never waits for a database, a backend or a model. Batches are small when little happens, and
grow by themselves when much does.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import Generic, NamedTuple, TypeVar

from portkin.zeek.event_codec import Message

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
        self._woken = asyncio.Event()

    @property
    def waiting(self) -> int:
        """How many items wait."""
        return len(self._waiting)

    def offer(self, item: Item, now: float) -> bool:
        """Queue an item; False where the queue is full."""
        if len(self._waiting) >= self._size:
            return False
        self._waiting.append(Queued(now, item))
        self._woken.set()
        return True

    def wake(self) -> None:
        """Work soon, though no item came."""
        self._woken.set()

    async def run(self, publish: Callable[[list[Message]], None]) -> None:
        """Work until cancelled; then the batch in the thread is finished first."""
        with ThreadPoolExecutor(1, self._name) as thread:
            loop = asyncio.get_running_loop()
            try:
                if self._lazy:
                    await self._woken.wait()
                while True:
                    self._woken.clear()
                    batch = [self._waiting.popleft() for _ in range(min(len(self._waiting), self._batch))]
                    if self._waiting:
                        self._woken.set()
                    publish(list(await loop.run_in_executor(thread, self._work, batch)))
                    self._done(batch)
                    with suppress(TimeoutError):
                        async with asyncio.timeout(self._interval):
                            await self._woken.wait()
            finally:
                await loop.run_in_executor(thread, self._close)
