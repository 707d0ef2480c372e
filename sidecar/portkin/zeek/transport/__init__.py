"""The ways to Zeek. Each carries `portkin.zeek.event.Event`; only the modules in this folder know a socket."""

from __future__ import annotations

from typing import Protocol

from portkin.zeek.event import Event, Junk


class Listener(Protocol):
    """What a transport reports to, within the event loop. Nothing here may block or raise."""

    def connected(self, peer: str) -> None:
        """The way is open: what is sent from now on reaches the peer."""

    def received(self, item: Event | Junk) -> None:
        """An event came in, or something that is none."""

    def lost(self, reason: str) -> None:
        """The way is closed."""

    def failed(self, reason: str, delay: float) -> None:
        """An attempt to connect failed; the next comes after ``delay`` seconds."""

    def dropped(self, count: int) -> None:
        """So many events could not be kept for the peer and are gone."""


class Transport(Protocol):
    """A way to Zeek that is opened again whenever it closes."""

    async def run(self, listener: Listener) -> None:
        """Connect, read and write until cancelled; then close cleanly."""

    def send(self, event: Event) -> None:
        """Take an event to send. Never blocks: while the peer is away or slow it waits, and the oldest go."""
