"""The running sidecar: the shell that joins the pure service, a transport, the clock and the table's folder."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from portkin.bundles.table import Table
from portkin.errors import BundleError
from portkin.logs import Limiter, Log
from portkin.metrics import Metrics
from portkin.watch import Watch
from portkin.zeek.dispatcher import Hello, Nearest, Service
from portkin.zeek.event import Event, Junk, Message
from portkin.zeek.event_codec import parse, unparse
from portkin.zeek.messages import PROTOCOL
from portkin.zeek.transport import Transport

HELLO_PATIENCE = 5
"""Unanswered hellos until that is logged: some four seconds."""
JUNK_EVERY = 10.0
"""Seconds between log lines on junk of one kind."""


@dataclass(frozen=True)
class Connection:
    """The way to Zeek: open or not, since when (s since 1970), and whom it leads to or why it does not."""

    open: bool
    since: float
    peer: str = ""
    reason: str = ""


class Sidecar:
    """Carries messages between a transport and the service until it is cancelled. A `Listener`."""

    def __init__(
        self,
        service: Service,
        transport: Transport,
        *,
        hello: Hello,
        metrics: Metrics,
        log: Log,
        clock: Callable[[], float] = time.monotonic,
        wall_clock: Callable[[], float] = time.time,
    ) -> None:
        self.connection = Connection(False, wall_clock())
        """For any thread to read: it is replaced whole."""
        self._wall_clock = wall_clock
        self._service = service
        self._transport = transport
        self._hello = hello
        self._metrics = metrics
        self._log = log
        self._clock = clock
        self._limiter = Limiter(JUNK_EVERY, clock)
        self._timer: asyncio.TimerHandle | None = None

    async def run(self) -> None:
        """Serve until cancelled, which closes the transport cleanly."""
        try:
            await self._transport.run(self)
        finally:
            if self._timer is not None:
                self._timer.cancel()

    def publish(self, messages: list[Message]) -> None:
        """Send messages that answer nothing, as a changed table."""
        for message in messages:
            self._transport.send(unparse(message))

    # What the transport reports.

    def connected(self, peer: str) -> None:
        self._metrics.connected()
        self.connection = Connection(True, self._wall_clock(), peer)
        self._log.info("connected to Zeek", peer=peer)
        self._guard(lambda now: self.publish(self._service.connected(now)))

    def received(self, item: Event | Junk) -> None:
        message = parse(item) if isinstance(item, Event) else item
        if isinstance(message, Junk):
            self._junk(message)
        else:
            self._guard(lambda now: self._handle(message, now))

    def lost(self, reason: str) -> None:
        self._metrics.lost()
        self.connection = Connection(False, self._wall_clock(), reason=reason)
        self._log.warning("connection to Zeek lost", reason=reason)

    def failed(self, reason: str, delay: float) -> None:
        self.connection = replace(self.connection, reason=reason)
        held = self._limiter.passes("failed")
        if held is not None:
            self._log.warning(
                "no connection to Zeek",
                reason=reason,
                remedy="portkin doctor",
                next_attempt=f"{delay:.1f}s",
                not_shown=held,
            )

    def dropped(self, count: int) -> None:
        self._metrics.dropped(count)
        held = self._limiter.passes("dropped")
        if held is not None:
            self._log.warning("messages to Zeek dropped: it is slow or away", not_shown=held)

    # What is done about it.

    def _handle(self, message: Message, now: float) -> None:
        waiting_for_hello = self._hello.answer is None
        answers = self._service.receive(message, now)
        if isinstance(answers, Junk):
            self._junk(answers)
            return
        self.publish(answers)
        self._metrics.answered(message, answers, self._clock() - now)
        answer = self._hello.answer
        if waiting_for_hello and answer is not None:
            self._metrics.greeted(answer)
            self._log.info("Zeek answered", node=answer.node, zeek=answer.zeek_version, protocol=answer.protocol)
            if answer.protocol != PROTOCOL:
                self._log.error(
                    "Zeek speaks another version of the event protocol, and asks nothing",
                    theirs=answer.protocol,
                    ours=PROTOCOL,
                    remedy="install the same release of portkin on both sides",
                )

    def _tick(self) -> None:
        self._guard(lambda now: self.publish(self._service.tick(now)))
        if self._hello.answer is None and self._hello.said == HELLO_PATIENCE:
            self._log.warning(
                "Zeek does not answer our hello",
                remedy="load portkin, and portkin/websocket or portkin/broker, in the Zeek at this address",
            )

    def _guard(self, act: Callable[[float], None]) -> None:
        """Act, then set the timer for what the service waits for. A defect in a part must not end the service."""
        try:
            act(self._clock())
        except Exception:
            self._metrics.failed()
            if self._limiter.passes("failure") is not None:
                self._log.exception("handling a message failed; this is a defect of portkin")
        due = self._service.due()
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if due is not None:
            self._timer = asyncio.get_running_loop().call_later(max(0.0, due - self._clock()), self._tick)

    def _junk(self, junk: Junk) -> None:
        self._metrics.junk(junk)
        held = self._limiter.passes(junk.reason)
        if held is not None:
            self._log.warning("invalid message received", reason=junk.reason, detail=junk.detail, not_shown=held)


class TableFolder(Watch):
    """Reloads the table when its folder holds another one, or when asked to look."""

    def __init__(
        self,
        path: Path,
        nearest: Nearest,
        *,
        publish: Callable[[list[Message]], None],
        metrics: Metrics,
        log: Log,
    ) -> None:
        self._path = path
        self._nearest = nearest
        self._publish = publish
        self._metrics = metrics
        self._log = log
        super().__init__(path)

    async def changed(self) -> None:
        """Load aside, in a thread, and swap: requests are answered all the while, from the old or the new."""
        try:
            table = await asyncio.to_thread(Table.load, self._path)
        except BundleError as error:
            self._metrics.reloaded("refused")
            self._log.error("new table refused, the old one stays", reason=str(error), table=self._nearest.table.id)
            return
        changes = self._nearest.replace(table)
        self._publish(changes)
        self._metrics.serving(table)
        self._metrics.reloaded("changed" if changes else "same")
        self._log.info("table reloaded", table=table.id, k=table.k, changed=bool(changes))
