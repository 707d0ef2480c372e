"""Chunks that are made in a thread while those before them are used."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

T = TypeVar("T")

_AHEAD = 2
"""Chunks that are made before they are asked for."""


def ahead(chunks: Iterable[T]) -> Iterator[T]:
    """The chunks in their order; what making one raises is raised in its place."""
    made = iter(chunks)
    with ThreadPoolExecutor(1, thread_name_prefix="ahead") as thread:
        pending = deque(thread.submit(next, made, None) for _ in range(_AHEAD))
        try:
            while (chunk := pending.popleft().result()) is not None:
                pending.append(thread.submit(next, made, None))
                yield chunk
        finally:
            for one in pending:
                one.cancel()
