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

from collections.abc import Callable
from dataclasses import dataclass, fields
from datetime import datetime, timedelta
from functools import lru_cache
from ipaddress import IPv4Address, IPv6Address
from typing import Any, get_args, get_origin, get_type_hints

import zeekpy

from portkin.net.addresses import Address
from portkin.net.ports import PORTS, PROTOS, Port
from portkin.zeek.event import MESSAGES, SHOWN, Count, Event, Junk, Message


@dataclass(frozen=True)
class _Kind:
    """How one Zeek type is read from, and written to, the wire side; ``read`` raises ValueError."""

    name: str
    read: Callable[[Any], Any]
    write: Callable[[Any], Any]


@dataclass(frozen=True)
class _Shape:
    """The fields of a message class in order, and their kinds."""

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


@lru_cache(PORTS)
def _write_port(port: Port) -> zeekpy.port:
    return zeekpy.port(port.number, port.proto)


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
    Port: _Kind("port", _read_port, _write_port),
    Address: _Kind("addr", _exactly(IPv4Address, IPv6Address), _same),
    datetime: _Kind("time", _read_time, _same),
    timedelta: _Kind("interval", _exactly(timedelta), _same),
}


def _vector(of: _Kind) -> _Kind:
    def read(value: Any) -> tuple[Any, ...]:
        if type(value) is not list:
            raise ValueError(f"a {type(value).__name__}")
        return tuple(map(of.read, value))

    return _Kind(f"vector of {of.name}", read, lambda values: list(map(of.write, values)))


def _kind(hint: Any) -> _Kind:
    if get_origin(hint) is tuple:
        return _vector(_kind(get_args(hint)[0]))
    return _KINDS[hint]


_SHAPES: dict[type[Message], _Shape] = {}


def _shape(cls: type[Message]) -> _Shape:
    shape = _SHAPES.get(cls)
    if shape is None:
        hints = get_type_hints(cls)
        names = tuple(field.name for field in fields(cls))  # type: ignore[arg-type]
        shape = _SHAPES[cls] = _Shape(names, tuple(_kind(hints[name]) for name in names))
    return shape


def parse(event: Event) -> Message | Junk:
    """The message that the event is; Junk where no class of that event is loaded, or its arguments are others."""
    cls = MESSAGES.get(event.name)
    if cls is None:
        return Junk("unknown-event", f"no event {event.name[:SHOWN]!r} is known here"[: 2 * SHOWN])
    shape = _shape(cls)
    if len(event.args) != len(shape.kinds):
        return Junk("wrong-arity", f"{event.name} came with {len(event.args)} arguments, not {len(shape.kinds)}")
    values = []
    for name, kind, arg in zip(shape.names, shape.kinds, event.args, strict=True):
        try:
            values.append(kind.read(arg))
        except ValueError as error:
            return Junk("wrong-type", f"{event.name}: {name} is not a {kind.name} but holds {error}"[: 2 * SHOWN])
    try:
        return cls(*values)
    except ValueError as error:
        return Junk("wrong-type", f"{event.name}: {error}"[: 2 * SHOWN])


def unparse(message: Message) -> Event:
    """The event that carries the message."""
    shape = _shape(type(message))
    return Event(
        message.EVENT,
        [kind.write(getattr(message, name)) for name, kind in zip(shape.names, shape.kinds, strict=True)],
    )
