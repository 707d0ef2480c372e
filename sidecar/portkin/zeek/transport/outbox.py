"""What waits to be sent: bounded, the oldest goes first when it is full."""

from __future__ import annotations

from collections import deque
from typing import Generic, TypeVar

T = TypeVar("T")


class Outbox(Generic[T]):
    """A queue of at most ``size`` items."""

    def __init__(self, size: int) -> None:
        self._items: deque[T] = deque(maxlen=size)

    def __len__(self) -> int:
        return len(self._items)

    def put(self, item: T) -> int:
        """Append the item; returns how many of the oldest had to go for it, 0 or 1."""
        dropped = int(len(self._items) == self._items.maxlen)
        self._items.append(item)
        return dropped

    def take(self, most: int) -> list[T]:
        """Take up to so many of the oldest."""
        return [self._items.popleft() for _ in range(min(most, len(self._items)))]
