"""Broker's JSON version 1, the language of Zeek's WebSocket, as text in and values out; no socket here.

Format: https://docs.zeek.org/en/v8.0.0/advanced/devel/websocket-api.html
"""

from __future__ import annotations

import json
import math
import reprlib
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network
from typing import Any

import zeekpy

from portkin.json_text import parsed
from portkin.zeek.event import Event, Junk

# Broker writes control characters in strings as they are; strict JSON refuses them.
_DECODER = json.JSONDecoder(strict=False)
_NANOSECONDS = {
    "ns": 1,
    "us": 10**3,
    "ms": 10**6,
    "s": 10**9,
    "min": 60 * 10**9,
    "h": 3600 * 10**9,
}
_SHOWN = 120
_KEPT = 1 << 14
"""Texts of ports, and of numbers, that are kept: the same ones stand in most answers."""
_DEPTH = 64
"""Nesting of values that is read; the events here need two."""


def subscription(topics: list[str]) -> str:
    """The first message of a client: the topics (prefixes) it subscribes to."""
    return json.dumps(topics)


_quoted = json.JSONEncoder().encode  # a third of what json.dumps takes


def encode(topic: str, event: Event) -> str:
    """The frame that publishes the event on the topic. ValueError for a number that JSON cannot write."""
    return (
        f'{{"type":"data-message","topic":{_quoted(topic)},"@data-type":"vector","data":['
        '{"@data-type":"count","data":1},{"@data-type":"count","data":1},'
        f'{{"@data-type":"vector","data":[{_text(event.name)},{_text(event.args)}]}}]}}'
    )


def _text(value: Any) -> str:
    """The JSON of one value."""
    return _WRITERS.get(type(value), _write_rare)(value)


def _write_rare(value: Any) -> str:
    """What is frequent has a writer here, the rest is zeekpy's to convert."""
    return json.dumps(zeekpy.convert_py_to_zeek(value))


def _write_vector(values: list[Any]) -> str:
    types = set(map(type, values))
    # A vector from a script is of one type, whose writer is looked up once.
    write = _WRITERS.get(types.pop(), _write_rare) if len(types) == 1 else _text
    return f'{{"@data-type":"vector","data":[{",".join(map(write, values))}]}}'


@lru_cache(_KEPT)
def _write_port(port: zeekpy.port) -> str:
    return f'{{"@data-type":"port","data":"{port.port}/{port.proto}"}}'


def _write_address(address: IPv4Address | IPv6Address) -> str:
    # Quoted: the zone of an IPv6 address may be any text.
    return f'{{"@data-type":"address","data":{_quoted(str(address))}}}'


@lru_cache(_KEPT)
def _write_real(number: float) -> str:
    if not math.isfinite(number):
        raise ValueError(f"{number} cannot be written as JSON")
    return f'{{"@data-type":"real","data":{number!r}}}'


def _write_time(moment: datetime) -> str:
    # Zeek reads UTC and no zone.
    text = moment.astimezone(UTC).replace(tzinfo=None).isoformat(timespec="microseconds")
    return f'{{"@data-type":"timestamp","data":"{text}"}}'


def _write_interval(interval: timedelta) -> str:
    # Zeek reads whole numbers only.
    return f'{{"@data-type":"timespan","data":"{interval // timedelta(microseconds=1) * 1000}ns"}}'


_WRITERS: dict[type, Callable[[Any], str]] = {
    str: lambda text: f'{{"@data-type":"string","data":{_quoted(text)}}}',
    zeekpy.count: lambda number: f'{{"@data-type":"count","data":{int(number)}}}',
    zeekpy.port: _write_port,
    IPv4Address: _write_address,
    IPv6Address: _write_address,
    float: _write_real,
    datetime: _write_time,
    timedelta: _write_interval,
    list: _write_vector,
}


def decode(frame: str | bytes) -> Event | Junk:
    """The event in a frame from Zeek; Junk, with what is wrong, for every other text. Never raises."""
    message = _loads(frame)
    if isinstance(message, Junk):
        return message
    if not isinstance(message, dict):
        return Junk("not-an-event", f"the frame is a {type(message).__name__}, not an object")
    if message.get("type") == "error":
        return _refusal(message)
    try:
        version, kind, content = (part["data"] for part in message["data"][:3])
        # More parts may follow the arguments: the event's metadata.
        name, args = (part["data"] for part in content[:2])
        if message["type"] != "data-message" or (version, kind) != (1, 1) or type(name) is not str:
            raise ValueError(f"type {_text_of(message['type'])}, version {_text_of(version)}, kind {_text_of(kind)}")
        if type(args) is not list:
            raise ValueError("the arguments are no list")
        return Event(name, [_value(arg, _DEPTH) for arg in args])
    except (KeyError, TypeError, ValueError, OverflowError) as error:
        return Junk("not-an-event", f"{type(error).__name__}: {error}"[:_SHOWN])


def acknowledged(frame: str | bytes) -> tuple[str, str] | Junk:
    """The endpoint and version of the Zeek that acknowledges a subscription; Junk for any other frame."""
    message = _loads(frame)
    if isinstance(message, Junk):
        return message
    if isinstance(message, dict) and message.get("type") == "ack":
        return _text_of(message.get("endpoint")), _text_of(message.get("version"))
    if isinstance(message, dict) and message.get("type") == "error":
        return _refusal(message)
    return Junk("not-an-event", "the first frame acknowledges nothing")


def _loads(frame: str | bytes) -> Any | Junk:
    try:
        return parsed(frame, _DECODER)
    except ValueError as error:
        return Junk("not-json", f"{type(error).__name__}: {error}"[:_SHOWN])


def _refusal(message: dict[str, Any]) -> Junk:
    """What Zeek says is wrong with our last message."""
    return Junk("refused", f"{_text_of(message.get('code'))}: {_text_of(message.get('context'))}"[:_SHOWN])


def _text_of(value: Any) -> str:
    """A text as it is; anything else in short, however deep it is."""
    return value if isinstance(value, str) else reprlib.repr(value)


def _value(arg: Any, depth: int) -> Any:
    """The value of ``{"@data-type": ..., "data": ...}``; raises where it is none."""
    if depth == 0:
        raise ValueError("values are nested too deeply")
    tag, data = arg["@data-type"], arg["data"]
    scalar = _SCALARS.get(tag)
    if scalar is not None:
        written, make = scalar
        if type(data) is not written:
            raise ValueError(f"{_text_of(data)} is no {written.__name__}")
        return make(data)
    if tag == "vector":
        return [_value(item, depth - 1) for item in _list(data)]
    if tag == "set":
        return {_hashable(_value(item, depth - 1)) for item in _list(data)}
    if tag == "table":
        return {_hashable(_value(item["key"], depth - 1)): _value(item["value"], depth - 1) for item in _list(data)}
    if tag == "none":
        return None
    raise ValueError(f"no data type {_text_of(tag)}")


def _list(data: Any) -> list[Any]:
    if type(data) is not list:
        raise ValueError(f"{_text_of(data)} is no list")
    return data


def _hashable(value: Any) -> Any:
    return tuple(map(_hashable, value)) if isinstance(value, list) else value


def _same(data: Any) -> Any:
    return data


def _count(number: int) -> zeekpy.count:
    if not 0 <= number < 2**64:
        raise ValueError(f"{number} is no count")
    return zeekpy.count(number)


def _port(text: str) -> zeekpy.port:
    number, _, proto = text.partition("/")
    return zeekpy.port(int(number), "unknown" if proto == "?" else proto)


def _time(text: str) -> datetime:
    # Without a zone it is UTC. zeekpy would take it for local time.
    moment = datetime.fromisoformat(text)
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)


def _interval(text: str) -> timedelta:
    unit = text.lstrip("+-.0123456789")
    number = text.removesuffix(unit)
    if unit not in _NANOSECONDS:
        raise ValueError(f"{text!r} has no unit of time")
    # Whole numbers stay exact; a timedelta holds microseconds.
    nanoseconds = _NANOSECONDS[unit] * (float(number) if "." in number else int(number))
    return timedelta(microseconds=nanoseconds / 1000)


_SCALARS: dict[Any, tuple[type, Callable[[Any], Any]]] = {
    "boolean": (bool, _same),
    "count": (int, _count),
    "integer": (int, _same),
    "real": (float, _same),
    "string": (str, _same),
    "enum-value": (str, zeekpy.enum),
    "address": (str, ip_address),
    "subnet": (str, lambda text: ip_network(text, strict=False)),
    "port": (str, _port),
    "timestamp": (str, _time),
    "timespan": (str, _interval),
}
"""By the tag of a value: the type that JSON has it in, and what makes it."""
