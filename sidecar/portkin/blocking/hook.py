"""Notifies a program or a web address of the site's choice of what is blocked and what has ended. Off by default.

Blocking never waits for it: changes are put into a bounded queue, from which a thread of its own delivers them, many at
a time. What finds the queue full, or fails to the last attempt, is dropped and counted; the blocks stand as they are.
"""

from __future__ import annotations

import json
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from typing import Literal, Protocol

from prometheus_client import CollectorRegistry, Counter, Gauge

from portkin.blocking.changes import Change
from portkin.logs import Limiter, Log

SCHEMA = 1
"""Of what is delivered; a field is added without a new number, never taken away or changed."""
_LOG_EVERY = 60.0
_DRAIN = 3.0
"""Seconds that the end of the sidecar waits for what is queued."""


class DeliveryError(Exception):
    """A delivery that failed; ``final``: to try it again is of no use."""

    def __init__(self, reason: str, *, final: bool = False) -> None:
        super().__init__(reason)
        self.final = final


class Receiver(Protocol):
    """Where changes go: a program, a web address."""

    def deliver(self, body: bytes) -> None:
        """Hand over a JSON document. Raises DeliveryError."""

    def abandon(self) -> None:
        """End the delivery that is under way, from another thread."""


def body_of(changes: Sequence[Change]) -> bytes:
    """What is delivered: one JSON document, in UTF-8, ending in a newline."""
    return (json.dumps({"schema": SCHEMA, "blocks": [change.as_json() for change in changes]}) + "\n").encode()


class HookMetrics:
    """Counts of what was delivered."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._changes = Counter("portkin_hook_changes", "Changes of blocks by outcome", ["outcome"], registry=registry)
        for outcome in ("delivered", "failed", "dropped"):  # from zero on, so that the first one is a rise
            self._changes.labels(outcome)
        self._retries = Counter("portkin_hook_retries", "Deliveries that were tried again", registry=registry)
        self._waiting = Gauge("portkin_hook_waiting", "Changes that wait to be delivered", registry=registry)

    def counted(self, outcome: Literal["delivered", "failed", "dropped"], count: int) -> None:
        """So many changes were delivered, given up, or found the queue full."""
        self._changes.labels(outcome).inc(count)

    def retried(self) -> None:
        """A delivery is tried again."""
        self._retries.inc()

    def watch(self, waiting: Callable[[], int]) -> None:
        """Read how many wait when Prometheus asks."""
        self._waiting.set_function(waiting)


class Hook:
    """Delivers changes in a thread of its own. `notify` is called by one thread, and never waits."""

    def __init__(
        self,
        receiver: Receiver,
        *,
        queue: int,
        batch: int,
        attempts: int,
        pause: float,
        metrics: HookMetrics,
        log: Log,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """``queue`` changes may wait, ``batch`` are delivered at once; pauses between attempts double from ``pause``
        seconds on."""
        self._receiver = receiver
        self._size = queue
        self._batch = batch
        self._attempts = attempts
        self._pause = pause
        self._metrics = metrics
        self._log = log
        self._limiter = Limiter(_LOG_EVERY, clock)
        self._queue: deque[Change] = deque()
        self._woken = threading.Event()
        self._ended = threading.Event()
        self._thread: threading.Thread | None = None
        metrics.watch(lambda: self.waiting)

    def notify(self, changes: Sequence[Change]) -> None:
        """Queue changes; those that find the queue full are dropped."""
        room = max(0, self._size - len(self._queue))
        self._queue.extend(changes[:room])
        if len(changes) > room:
            self._metrics.counted("dropped", len(changes) - room)
            if self._limiter.passes("full") is not None:
                self._log.error("changes of blocks dropped: the hook is too slow", waiting=len(self._queue))
        if self._thread is None:
            # A daemon: a receiver that hangs does not keep the sidecar from ending.
            self._thread = threading.Thread(target=self._run, name="hook", daemon=True)
            self._thread.start()
        self._woken.set()

    @property
    def waiting(self) -> int:
        """How many changes wait."""
        return len(self._queue)

    def close(self) -> None:
        """Deliver what is queued, for some seconds; what is left then is dropped and logged."""
        self._ended.set()
        self._woken.set()
        if self._thread is not None:
            self._thread.join(_DRAIN)
            if self._thread.is_alive():
                self._receiver.abandon()
        if self._queue:
            self._log.warning("changes of blocks not delivered before the end", changes=len(self._queue))

    def _run(self) -> None:
        while True:
            self._woken.wait()
            self._woken.clear()
            while self._queue:
                # One thread takes and one puts: what was there is still there.
                self._deliver([self._queue.popleft() for _ in range(min(len(self._queue), self._batch))])
            if self._ended.is_set():
                return

    def _deliver(self, changes: Sequence[Change]) -> None:
        body, pause = body_of(changes), self._pause
        for attempt in range(1, self._attempts + 1):
            try:
                self._receiver.deliver(body)
            except DeliveryError as error:
                reason, final = str(error), error.final
            except Exception as error:  # a defect of ours must not end the thread
                reason, final = f"{type(error).__name__}: {error}", True
            else:
                self._metrics.counted("delivered", len(changes))
                return
            if final or attempt == self._attempts or self._ended.wait(pause):
                break
            self._metrics.retried()
            pause *= 2
        self._metrics.counted("failed", len(changes))
        if self._limiter.passes("failed") is not None:
            self._log.error(
                "changes of blocks not delivered to the hook", reason=reason, attempts=attempt, changes=len(changes)
            )
