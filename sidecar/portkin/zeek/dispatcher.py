"""What the sidecar does, without a socket or a clock: a message and the time in, messages out.

The service is a set of parts. A part handles some messages and may speak on its own, when the way to Zeek
opens or when a time it named has come. `Hello` and `Nearest` are parts; so is whatever joins them later.
The shell (`portkin.sidecar`) owns the clock and the transport, and calls.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from functools import lru_cache, partial
from typing import TYPE_CHECKING, Any

from portkin import __version__
from portkin.bundles.table_format import RECOMMENDED
from portkin.errors import CutoffError
from portkin.zeek.event import Count, Junk, Message
from portkin.zeek.messages import (
    PROTOCOL,
    HelloRequest,
    HelloResponse,
    NearestRequest,
    NearestResponse,
    SourceRequest,
    SourceResponse,
    TableChanged,
)

if TYPE_CHECKING:  # which needs numpy; orders by hand need no table
    from portkin.bundles.table import Table

Handler = Callable[[Any, float], Iterable[Message]]
"""Takes a message of the class it is registered for, and the time (s); returns the messages to send."""

HELLO_FIRST = 0.25
"""Seconds until an unanswered hello is repeated: the first publishes after subscribing can be lost."""
HELLO_LAST = 30.0
"""The wait doubles up to this: a Zeek without the package is not flooded with events it cannot read."""


REMEMBERED = 4096
"""Answers kept at hand: about 4 MB."""


class Part:
    """One behaviour. Every method may be left as it is here. Times are seconds of one steady clock."""

    due: float | None = None
    """When `tick` wants to be called; None for not at all."""

    def handlers(self) -> Mapping[type[Message], Handler]:
        """The message classes that this part handles; no two parts may handle the same."""
        return {}

    def connected(self, now: float) -> Iterable[Message]:
        """The way to Zeek is open (again)."""
        return ()

    def tick(self, now: float) -> Iterable[Message]:
        """The time that `due` named has come. Moves ``due``."""
        return ()


class Service:
    """The parts, as one."""

    def __init__(self, *parts: Part) -> None:
        """Raises ValueError where two parts want the same message."""
        self._parts = parts
        self._handlers: dict[type[Message], Handler] = {}
        for part in parts:
            for cls, handler in part.handlers().items():
                if cls in self._handlers:
                    raise ValueError(f"two parts handle {cls.EVENT}")
                self._handlers[cls] = handler

    def receive(self, message: Message, now: float) -> list[Message] | Junk:
        """What to send for a message that came in; Junk where no part handles such messages."""
        handler = self._handlers.get(type(message))
        if handler is None:
            return Junk("unexpected", f"nothing here handles {message.EVENT}")
        return list(handler(message, now))

    def connected(self, now: float) -> list[Message]:
        """What to send first when the way to Zeek has opened."""
        return [message for part in self._parts for message in part.connected(now)]

    def due(self) -> float | None:
        """When `tick` must be called next; None while nothing waits."""
        return min((part.due for part in self._parts if part.due is not None), default=None)

    def tick(self, now: float) -> list[Message]:
        """What to send because time has passed."""
        waiting = [part for part in self._parts if part.due is not None and part.due <= now]
        return [message for part in waiting for message in part.tick(now)]


class Nearest(Part):
    """Answers which ports are nearest to one, and which a source will probe. Nothing of a question is remembered."""

    def __init__(self, table: Table) -> None:
        self._use(table)

    def _use(self, table: Table) -> None:
        from portkin.bundles.prediction import predicted_of_source  # as for the table itself

        self.table = table
        # Scanners share their favourites: most questions are about few ports. Those about a source are about it alone.
        self._predicted = lru_cache(maxsize=REMEMBERED)(table.predicted)
        self._predicted_of_source = partial(predicted_of_source, table)

    def handlers(self) -> Mapping[type[Message], Handler]:
        return {NearestRequest: self._answer, SourceRequest: self._answer_about_source}

    def _answer(self, request: NearestRequest, now: float) -> Iterable[Message]:
        try:
            found = self._predicted(request.p, request.k, _cutoff(request))
        except CutoffError as error:
            yield NearestResponse(request.reqid, request.p, self.table.id, (), (), str(error))
            return
        yield NearestResponse(request.reqid, request.p, self.table.id, found.ports, found.chances, "")

    def _answer_about_source(self, request: SourceRequest, now: float) -> Iterable[Message]:
        history = request.recent, request.probed, request.elapsed.total_seconds()
        try:
            found = self._predicted_of_source(*history, request.k, _cutoff(request))
        except CutoffError as error:
            yield SourceResponse(request.reqid, self.table.id, (), (), False, str(error))
            return
        yield SourceResponse(request.reqid, self.table.id, found.ports, found.chances, found.by_source, "")

    def served(self) -> TableChanged:
        """Which table answers, and what it can be asked."""
        return TableChanged(self.table.id, Count(self.table.k), self.table.source_model is not None)

    def replace(self, table: Table) -> list[Message]:
        """Answer from another table from now on; says so to Zeek where its content differs."""
        changed = table.id != self.table.id
        self._use(table)
        return [self.served()] if changed else []


def _cutoff(request: NearestRequest | SourceRequest) -> float | None:
    """None stands for what the table recommends."""
    return None if request.min_chance == RECOMMENDED else request.min_chance


class Hello(Part):
    """Says hello when the way opens, and again, ever more slowly, until Zeek answers; then which table is served."""

    def __init__(self, nearest: Nearest, new_id: Callable[[], str]) -> None:
        self._nearest = nearest
        self._new_id = new_id
        self._reqid = ""
        self._wait = HELLO_FIRST
        self.said = 0
        """How often the hello was sent on this connection."""
        self.answer: HelloResponse | None = None
        """What Zeek said on this connection; None until then."""

    def handlers(self) -> Mapping[type[Message], Handler]:
        return {HelloResponse: self._answered}

    def connected(self, now: float) -> Iterable[Message]:
        self._reqid, self._wait, self.said, self.answer = self._new_id(), HELLO_FIRST, 0, None
        return self.tick(now)

    def tick(self, now: float) -> Iterable[Message]:
        self.said += 1
        self.due = now + self._wait
        self._wait = min(2 * self._wait, HELLO_LAST)
        table = self._nearest.table
        return [HelloRequest(self._reqid, Count(PROTOCOL), f"portkin/{__version__}", table.id, Count(table.k))]

    def _answered(self, response: HelloResponse, now: float) -> Iterable[Message]:
        # Other nodes, and other sidecars, speak on the same topics.
        if response.reqid != self._reqid:
            return []
        self.due, self.answer = None, response
        # Another version of the package may expect other arguments, and asks nothing anyway.
        return [self._nearest.served()] if response.protocol == PROTOCOL else []
