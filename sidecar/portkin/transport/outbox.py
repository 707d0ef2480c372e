"""What waits to be sent: bounded, the oldest goes first when it is full."""

from __future__ import annotations

import asyncio
from collections import deque
from typing import Generic, TypeVar

T = TypeVar("T")


class Outbox(Generic[T]):
    """A queue of at most ``size`` items between a sender that never waits and one reader."""

    def __init__(self, size: int) -> None:
        self._items: deque[T] = deque(maxlen=size)
        self._filled = asyncio.Event()

    def __len__(self) -> int:
        return len(self._items)

    def put(self, item: T) -> int:
        """Append the item; gives how many of the oldest had to go for it, 0 or 1."""
        dropped = int(len(self._items) == self._items.maxlen)
        self._items.append(item)
        self._filled.set()
        return dropped

    async def take(self) -> T:
        """Wait until something is there and take the oldest."""
        await self._filled.wait()
        taken = self._items.popleft()
        if not self._items:
            self._filled.clear()
        return taken
