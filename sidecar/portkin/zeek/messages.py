"""The typed mirror of ``zeek-scripts/api.zeek``: each event between Zeek and the sidecar as a dataclass.

To add a message, declare its class here with `zeek_event`; the annotations of its fields are its Zeek types:

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
from ipaddress import IPv4Address, IPv6Address
from typing import Any, ClassVar, Literal, NewType, TypeVar, get_args, get_origin, get_type_hints

import zeekpy

from portkin.net.ports import PORTS, PROTOS, Port

PROTOCOL = 2
"""The version of this set of events; both sides say theirs in the hello."""

TO_SIDECAR = "/portkin/v1/sidecar"
"""The topic on which Zeek publishes."""
TO_ZEEK = "/portkin/v1/zeek"
"""The topic on which the sidecar publishes."""
TO_STATUS = "/portkin/v1/status"
"""The topic on which Zeek answers `StatusRequest`."""

Count = NewType("Count", int)
Address = IPv4Address | IPv6Address

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
    """The message that the event is; Junk where there is no such event, or its arguments are others."""
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
    return shape.cls(*values)


def unparse(message: Message) -> Event:
    """The event that carries the message."""
    shape = _SHAPES[message.EVENT]
    return Event(
        message.EVENT,
        [kind.write(getattr(message, name)) for name, kind in zip(shape.names, shape.kinds, strict=True)],
    )


@zeek_event("Portkin::hello_request")
@dataclass(frozen=True, slots=True)
class HelloRequest(Message):
    """Sidecar to Zeek, until it is answered: I am here, with this table of ``k`` neighbors per port."""

    reqid: str
    protocol: Count
    sidecar: str
    table_id: str
    k: Count


@zeek_event("Portkin::hello_response")
@dataclass(frozen=True, slots=True)
class HelloResponse(Message):
    """Zeek to sidecar: I hear you, and this is who I am."""

    reqid: str
    protocol: Count
    node: str
    zeek_version: str


@zeek_event("Portkin::nearest_request")
@dataclass(frozen=True, slots=True)
class NearestRequest(Message):
    """Zeek to sidecar: which ports are predicted after ``p``, ``k`` at most, each with this chance or more?

    A negative ``min_chance`` stands for the cut-off that the table recommends.
    """

    reqid: str
    p: Port
    k: Count
    min_chance: float


@zeek_event("Portkin::nearest_response")
@dataclass(frozen=True, slots=True)
class NearestResponse(Message):
    """Sidecar to Zeek: these, nearest first, and their chances; none for a port never seen.

    ``chances`` is empty where the table has none. ``error``: empty if all is well.
    """

    reqid: str
    p: Port
    table_id: str
    ports: tuple[Port, ...]
    chances: tuple[float, ...]
    error: str


@zeek_event("Portkin::table_changed")
@dataclass(frozen=True, slots=True)
class TableChanged(Message):
    """Sidecar to Zeek: answers come from this table from now on; forget the older ones."""

    table_id: str
    k: Count


@zeek_event("Portkin::block_request")
@dataclass(frozen=True, slots=True)
class BlockRequest(Message):
    """Zeek to sidecar: keep ``src`` from ``p``, on every host, for so long from now.

    ``rank`` is 0 for a port that was probed, else its place among those nearest to ``probed``; ``why`` is the
    evidence, as `portkin.blocking.block.Why` reads it.
    """

    reqid: str
    src: Address
    p: Port
    duration: timedelta
    table_id: str
    probed: Port
    rank: Count
    why: str


@zeek_event("Portkin::unblock_request")
@dataclass(frozen=True, slots=True)
class UnblockRequest(Message):
    """Zeek to sidecar: let ``src`` reach ``p`` again, and leave the pair alone for a while."""

    reqid: str
    src: Address
    p: Port


BlockOutcome = Literal["added", "extended", "exists", "vetoed", "removed", "expired", "error"]


@zeek_event("Portkin::block_response")
@dataclass(frozen=True, slots=True)
class BlockResponse(Message):
    """Sidecar to Zeek: what became of the block; ``outcome`` is one of `BlockOutcome`.

    ``reqid`` is the request's; empty where none asked, as when a block has run out. ``detail`` says why not.
    """

    reqid: str
    src: Address
    p: Port
    outcome: str
    detail: str


@zeek_event("Portkin::rates_report")
@dataclass(frozen=True, slots=True)
class RatesReport(Message):
    """Zeek to sidecar: how often each port was probed in [start, start + width), as ``node`` counted.

    A report is known by its node and start. One without ports says that nothing came while the node watched.
    """

    reqid: str
    node: str
    start: datetime
    width: timedelta
    ports: tuple[Port, ...]
    counts: tuple[Count, ...]


@zeek_event("Portkin::rates_response")
@dataclass(frozen=True, slots=True)
class RatesResponse(Message):
    """Sidecar to Zeek: the report is dealt with; for so many of its ports the counts were taken.

    ``error``: empty, or why the report is of no use; it is not wanted again.
    """

    reqid: str
    accepted: Count
    error: str


@zeek_event("Portkin::rate_anomaly")
@dataclass(frozen=True, slots=True)
class RateAnomaly(Message):
    """Sidecar to Zeek: E (`portkin.timeseries.indicators`) of this port exceeded its threshold in the bin."""

    p: Port
    start: datetime
    observed: float
    forecast: float
    e: float
    threshold: float
    model_id: str


@zeek_event("Portkin::rate_warning")
@dataclass(frozen=True, slots=True)
class RateWarning(Message):
    """Sidecar to Zeek: for the bin that begins at ``start`` W of this port is above its limit."""

    p: Port
    start: datetime
    forecast: float
    trend: float
    w: float
    threshold: float
    model_id: str


@zeek_event("Portkin::rates_outage")
@dataclass(frozen=True, slots=True)
class RatesOutage(Message):
    """Sidecar to Zeek: the bin from ``start`` is the first that is unknown; ``nodes`` reported too little.

    No nodes: all reported, and none saw a probe on any port.
    """

    start: datetime
    width: timedelta
    nodes: tuple[str, ...]


@zeek_event("Portkin::rates_scores")
@dataclass(frozen=True, slots=True)
class RatesScores(Message):
    """Sidecar to Zeek: scores at the close of the bin from ``start``; what is not known is -1."""

    start: datetime
    width: timedelta
    model_id: str
    ports: tuple[Port, ...]
    observed: tuple[float, ...]
    forecast: tuple[float, ...]
    e: tuple[float, ...]
    ahead: tuple[float, ...]
    w: tuple[float, ...]


@zeek_event("Portkin::status_request")
@dataclass(frozen=True, slots=True)
class StatusRequest(Message):
    """Somebody to Zeek: how do you stand? Changes nothing there."""

    reqid: str


@zeek_event("Portkin::status_response")
@dataclass(frozen=True, slots=True)
class StatusResponse(Message):
    """Each node of Zeek, on `TO_STATUS`: this is how I stand.

    ``peers`` are the other nodes of its cluster; ``probe``, ``answer`` and ``decision`` how long ago each last
    happened, negative for never; ``clock`` is the node's time.
    """

    reqid: str
    protocol: Count
    node: str
    zeek_version: str
    backend: str
    scripts: tuple[str, ...]
    peers: tuple[str, ...]
    mode: str
    sidecar: bool
    table_id: str
    packets: Count
    scanners: Count
    probe: timedelta
    answer: timedelta
    decision: timedelta
    clock: datetime
