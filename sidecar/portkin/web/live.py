"""What the page shows, read at most once a second however many look, and only while somebody does."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator, Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

EVERY = 1.0
"""Seconds between two readings at least."""
SHARE = 0.05
"""Of one processor that readings may take: a reading that took 80 ms is not repeated for 1.6 s."""
SILENCE = 15.0
"""Seconds without news after which a comment is sent: proxies close what is silent."""


@dataclass(frozen=True, slots=True)
class Section:
    """A part of what is shown, as JSON, and how often it has changed."""

    version: int
    body: bytes


class Live:
    """The latest sections. Everything but ``read`` runs in one event loop; ``read`` runs in a thread of its own."""

    def __init__(self, read: Callable[[], Mapping[str, Any]], *, every: float = EVERY, share: float = SHARE) -> None:
        self._read = read
        self._every = every
        self._share = share
        self._thread = ThreadPoolExecutor(1, "page")
        self._latest: dict[str, Section] = {}
        self._reading: asyncio.Task[None] | None = None
        self._fresh_until = 0.0
        self._ended = asyncio.Event()
        self.readings = 0
        """How often it was read."""

    async def sections(self) -> Mapping[str, Section]:
        """The sections, at most a second old, or more where reading takes long. Raises what ``read`` raises."""
        if not self._latest or time.monotonic() >= self._fresh_until:
            if self._reading is None:
                self._reading = asyncio.create_task(self._take())
            # Others wait for the same reading, even if one gives up.
            await asyncio.shield(self._reading)
        return self._latest

    async def call(self, ask: Callable[[], Any]) -> Any:
        """What ``ask`` returns, in the thread that reads."""
        return await asyncio.get_running_loop().run_in_executor(self._thread, ask)

    async def events(self) -> AsyncIterator[bytes]:
        """Server-sent events: every section at once, then those that changed, until `end`.

        Nothing queues up: who reads slowly misses what was in between.
        """
        seen: dict[str, int] = {}
        said = time.monotonic()
        yield b"retry: 2000\n\n"
        while not self._ended.is_set():
            news = b""
            for name, section in (await self.sections()).items():
                if seen.get(name) != section.version:
                    seen[name] = section.version
                    news += b"event: %s\ndata: %s\n\n" % (name.encode(), section.body)
            if not news and time.monotonic() - said >= SILENCE:
                news = b":\n\n"
            if news:
                said = time.monotonic()
                yield news
            with suppress(TimeoutError):
                async with asyncio.timeout(max(0.05 * self._every, self._fresh_until - time.monotonic())):
                    await self._ended.wait()

    def end(self) -> None:
        """End all events."""
        self._ended.set()

    def close(self) -> None:
        """Wait for the thread."""
        self._thread.shutdown()

    async def _take(self) -> None:
        try:
            bodies, took = await self.call(self._encoded)
            for name, body in bodies.items():
                before = self._latest.get(name)
                if before is None or before.body != body:
                    self._latest[name] = Section(before.version + 1 if before else 1, body)
            self.readings += 1
            self._fresh_until = time.monotonic() + max(self._every, took / self._share)
        finally:
            self._reading = None

    def _encoded(self) -> tuple[dict[str, bytes], float]:
        """In the thread: the sections as JSON, and the processor time that they took."""
        began = time.thread_time()
        bodies = {name: encoded(value) for name, value in self._read().items()}
        return bodies, time.thread_time() - began


def encoded(value: Any) -> bytes:
    """JSON in one line, which any reader takes: no NaN, nothing beyond ASCII."""
    return json.dumps(value, separators=(",", ":"), allow_nan=False).encode()
