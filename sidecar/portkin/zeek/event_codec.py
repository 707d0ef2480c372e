"""From the arguments of Zeek's events to dataclasses, and back, by the annotations of their fields:

==================  =========================  ==============================
annotation          Zeek type                  value on the wire side
==================  =========================  ==============================
``str``             ``string``                 ``str``
``Count``           ``count``                  ``zeekpy.count``
``float``           ``double``                 ``float``
``bool``            ``bool``                   ``bool``
``Port``            ``port`` (tcp or udp)      ``zeekpy.port``
``Address``         ``addr``                   ``ipaddress.IPv4Address``, ...
``datetime``        ``time``                   ``datetime`` with a time zone
``timedelta``       ``interval``               ``timedelta``
``tuple[X, ...]``   ``vector of X``            ``list``
==================  =========================  ==============================

A transport knows how `Event` (a name and such values) travels; nobody else does.
"""

from __future__ import annotations

from collections.abc import Callable, Sized
from dataclasses import dataclass, fields
from datetime import datetime, timedelta
from ipaddress import IPv4Address, IPv6Address
from typing import Any, ClassVar, Literal, NewType, TypeVar, get_args, get_origin, get_type_hints

import zeekpy

from portkin.net.addresses import Address
from portkin.net.ports import PORTS, PROTOS, Port

Count = NewType("Count", int)
Reason = Literal["not-json", "not-an-event", "unknown-event", "wrong-arity", "wrong-type", "unexpected", "refused"]
"""Why something is junk; few and fixed, for it labels a metric."""
_SHOWN = 120


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


@dataclass(frozen=True)
class _Kind:
    """How one Zeek type is read from, and written to, the wire side; ``read`` raises ValueError."""

    name: str
    read: Callable[[Any], Any]
    write: Callable[[Any], Any]


@dataclass(frozen=True)
class _Shape:
    """A message class and the kinds of its fields in order."""

    cls: type[Message]
    names: tuple[str, ...]
    kinds: tuple[_Kind, ...]


def _exactly(*types: type) -> Callable[[Any], Any]:
    """Accept a value of one of these types only: a bool is no count, a count no int."""

    def read(value: Any) -> Any:
        if type(value) not in types:
            raise ValueError(f"a {type(value).__name__}")
        return value

    return read


def _read_count(value: Any) -> int:
    if type(value) is not zeekpy.count or value < 0:
        raise ValueError(f"a {type(value).__name__}")
    return int(value)


def _read_port(value: Any) -> Port:
    if type(value) is not zeekpy.port:
        raise ValueError(f"a {type(value).__name__}")
    if value.proto not in PROTOS or not 0 <= value.port < PORTS:
        raise ValueError(f"{value.port}/{value.proto}, which is neither tcp nor udp or out of range")
    return Port(value.port, value.proto)


def _read_time(value: Any) -> datetime:
    if type(value) is not datetime or value.tzinfo is None:
        raise ValueError(f"a {type(value).__name__}")
    return value


def _same(value: Any) -> Any:
    return value


_KINDS: dict[Any, _Kind] = {
    str: _Kind("string", _exactly(str), _same),
    bool: _Kind("bool", _exactly(bool), _same),
    Count: _Kind("count", _read_count, zeekpy.count),
    float: _Kind("double", _exactly(float), float),
    Port: _Kind("port", _read_port, lambda port: zeekpy.port(port.number, port.proto)),
    Address: _Kind("addr", _exactly(IPv4Address, IPv6Address), _same),
    datetime: _Kind("time", _read_time, _same),
    timedelta: _Kind("interval", _exactly(timedelta), _same),
}


def _vector(of: _Kind) -> _Kind:
    def read(value: Any) -> tuple[Any, ...]:
        if type(value) is not list:
            raise ValueError(f"a {type(value).__name__}")
        return tuple(map(of.read, value))

    return _Kind(f"vector of {of.name}", read, lambda values: [of.write(value) for value in values])


def _kind(hint: Any) -> _Kind:
    if get_origin(hint) is tuple:
        return _vector(_kind(get_args(hint)[0]))
    return _KINDS[hint]


_SHAPES: dict[str, _Shape] = {}
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
        hints = get_type_hints(cls)
        names = tuple(field.name for field in fields(cls))  # type: ignore[arg-type]
        _SHAPES[name] = _Shape(cls, names, tuple(_kind(hints[field]) for field in names))
        return cls

    return register


def parse(event: Event) -> Message | Junk:
    """The message that the event is; Junk where no class of that event is loaded, or its arguments are others."""
    shape = _SHAPES.get(event.name)
    if shape is None:
        return Junk("unknown-event", f"no event {event.name[:_SHOWN]!r} is known here")
    if len(event.args) != len(shape.kinds):
        return Junk("wrong-arity", f"{event.name} came with {len(event.args)} arguments, not {len(shape.kinds)}")
    values = []
    for name, kind, arg in zip(shape.names, shape.kinds, event.args, strict=True):
        try:
            values.append(kind.read(arg))
        except ValueError as error:
            return Junk("wrong-type", f"{event.name}: {name} is not a {kind.name} but holds {error}"[: 2 * _SHOWN])
    try:
        return shape.cls(*values)
    except ValueError as error:
        return Junk("wrong-type", f"{event.name}: {error}"[: 2 * _SHOWN])


def unparse(message: Message) -> Event:
    """The event that carries the message."""
    shape = _SHAPES[message.EVENT]
    return Event(
        message.EVENT,
        [kind.write(getattr(message, name)) for name, kind in zip(shape.names, shape.kinds, strict=True)],
    )
