"""What travels between Zeek and the sidecar: events, and the messages that mirror them (`messages`, `block_messages`).

How one becomes the other is `event_codec`'s, which loads zeekpy; whoever only makes messages does without.
"""

from __future__ import annotations

from collections.abc import Callable, Sized
from dataclasses import dataclass
from typing import Any, ClassVar, Literal, NewType, TypeVar

Count = NewType("Count", int)
Reason = Literal["not-json", "not-an-event", "unknown-event", "wrong-arity", "wrong-type", "unexpected", "refused"]
"""Why something is junk; few and fixed, for it labels a metric."""
SHOWN = 120
"""Characters of what came in that people are shown."""


@dataclass(frozen=True, slots=True)
class Event:
    """An event as every transport can carry it: its name and its arguments as zeekpy's types."""

    name: str
    args: list[Any]


@dataclass(frozen=True, slots=True)
class Junk:
    """What came in and could not be used; ``detail`` is for people."""

    reason: Reason
    detail: str


class Message:
    """Base of all messages; ``EVENT`` is the name of the Zeek event."""

    __slots__ = ()
    EVENT: ClassVar[str]


MESSAGES: dict[str, type[Message]] = {}
"""Every class of messages that is loaded, by the name of its event."""
_M = TypeVar("_M", bound=Message)


def refuse_different_lengths(*vectors: Sized) -> None:
    """For messages whose vectors belong together, each place of one to the same of the others: ValueError where one is
    longer."""
    if len({*map(len, vectors)}) > 1:
        raise ValueError("its vectors differ in length")


def zeek_event(name: str) -> Callable[[type[_M]], type[_M]]:
    """Class decorator: this frozen dataclass mirrors the Zeek event of that name."""

    def register(cls: type[_M]) -> type[_M]:
        cls.EVENT = name
        MESSAGES[name] = cls
        return cls

    return register
