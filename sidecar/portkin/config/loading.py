"""Settings in frozen dataclasses, from given sections (`sections`), with errors that name the line.

A dataclass is a section, its fields are the keys; a field that is such a dataclass is a section within.
Defaults are the fields' own. `setting` adds the allowed range to a default. Understood are ``str``,
``int``, ``float``, ``bool``, ``Path``, ports, IP networks and addresses, ``Literal[...]``, ``X | None`` and
``tuple[X, ...]`` of these.

By hand: of several errors msgspec reports the first alone, and cattrs takes 3.7 for 3 and 'no' for true.
"""

from __future__ import annotations

import difflib
import os
import types
from collections.abc import Callable, Mapping
from dataclasses import field, fields, is_dataclass
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from pathlib import Path
from typing import Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

import yaml

from portkin.config.sections import Given, Section
from portkin.errors import ConfigError
from portkin.net.ports import Port

T = TypeVar("T")

Networks = IPv4Network | IPv6Network
Addresses = IPv4Address | IPv6Address


class _WrongElementError(ValueError):
    """A wrong element of a list: which one, its value, and the type it should have."""

    def __init__(self, number: int, value: Any, hint: Any) -> None:
        super().__init__(number, value, hint)
        self.number, self.value, self.hint = number, value, hint


def setting(default: Any, *, low: float | None = None, high: float | None = None) -> Any:
    """A field of a section with this default, and for a number the allowed range, ends included."""
    return field(default=default, metadata={"low": low, "high": high})


def build(cls: type[T], given: Section, name: str = "") -> T:
    """An instance of the dataclass: what was given over its defaults; ConfigError for what is wrong."""
    hints = get_type_hints(cls)
    known = {item.name: item for item in fields(cls)}  # type: ignore[arg-type]
    values: dict[str, Any] = {}
    for key, item in given.items.items():
        dotted = f"{name}.{key}" if name else key
        if key not in known:
            close = difflib.get_close_matches(key, known, n=1)
            advice = f"did you mean {close[0]!r}?" if close else f"known here: {', '.join(known)}"
            raise ConfigError(f"{item.where}: there is no setting {dotted!r}; {advice}")
        hint = hints[key]
        if is_dataclass(hint):
            if isinstance(item, Given) and item.value is None:
                continue  # "zeek:" with every key under it commented out
            if not isinstance(item, Section):
                raise ConfigError(f"{item.where}: {dotted} is a section; put its keys under it, indented")
            values[key] = build(hint, item, dotted)  # type: ignore[arg-type]
        elif isinstance(item, Section):
            raise ConfigError(f"{item.where}: {dotted} is a single value, not a section; write {_wanted(hint)}")
        else:
            values[key] = _convert(hint, item, dotted, known[key].metadata)
    return cls(**values)


def _convert(hint: Any, given: Given, dotted: str, limits: Mapping[str, Any]) -> Any:
    try:
        value = _value(hint, given.value)
    except _WrongElementError as wrong:
        where = given.each[wrong.number] if wrong.number < len(given.each) else given.where
        raise ConfigError(f"{where}: {dotted} has {wrong.value!r} in it; write {_wanted(wrong.hint)}") from None
    except (ValueError, OverflowError) as error:
        why = f" ({error})" if str(error) else ""
        raise ConfigError(f"{given.where}: {dotted} is {given.value!r}{why}; write {_wanted(hint)}") from None
    low, high = limits.get("low"), limits.get("high")
    if isinstance(value, int | float) and not isinstance(value, bool):
        too_low, too_high = low is not None and value < low, high is not None and value > high
        if too_low or too_high or value != value:
            ends = f"from {low} to {high}" if high is not None else f"of {low} or more"
            raise ConfigError(f"{given.where}: {dotted} is {given.value!r}; write a number {ends}")
    return value


def _value(hint: Any, value: Any) -> Any:
    """The value as the type hint wants it; ValueError where it is something else."""
    origin = get_origin(hint)
    if hint in (Networks, Addresses):
        if not isinstance(value, str):
            raise ValueError
        return ip_network(value) if hint == Networks else ip_address(value)
    if origin in (Union, types.UnionType):
        if value is None and type(None) in get_args(hint):
            return None
        return _value(_without_none(hint), value)
    if origin is Literal:
        if value not in get_args(hint) or isinstance(value, bool):
            raise ValueError
        return value
    if origin is tuple:
        if not isinstance(value, list | tuple):
            raise ValueError
        wanted = get_args(hint)[0]
        made = []
        for number, item in enumerate(value):
            try:
                made.append(_value(wanted, item))
            except ValueError:
                raise _WrongElementError(number, item, wanted) from None
        return tuple(made)
    return _SCALARS[hint](value)


def _without_none(hint: Any) -> Any:
    rest = [arg for arg in get_args(hint) if arg is not type(None)]
    return rest[0] if len(rest) == 1 else Union[tuple(rest)]  # noqa: UP007


def _only(*types_: type) -> Callable[[Any], Any]:
    def convert(value: Any) -> Any:
        if type(value) not in types_:
            raise ValueError
        return value

    return convert


def _path(value: Any) -> Path:
    if isinstance(value, Path):
        return value
    if not isinstance(value, str) or not value:
        raise ValueError
    if b"\0" in os.fsencode(value):
        raise ValueError("no path has a NUL in it")
    try:
        return Path(value).expanduser()
    except RuntimeError:
        raise ValueError(f"there is no account {value.partition('/')[0][1:]!r} here") from None


def _port(value: Any) -> Port:
    if not isinstance(value, str | Port):
        raise ValueError
    return value if isinstance(value, Port) else Port.parse(value)


_SCALARS: dict[Any, Callable[[Any], Any]] = {
    str: _only(str),
    int: _only(int),
    float: lambda value: float(_only(int, float)(value)),
    bool: _only(bool),
    Path: _path,
    Port: _port,
}

_WORDS: dict[Any, str] = {
    str: "text (in quotes if it looks like a number)",
    int: "a whole number",
    float: "a number",
    bool: "true or false",
    Path: "the path of a file or folder",
    Port: "a port such as 22/tcp or 53/udp",
    Networks: "a network such as 192.0.2.0/24",
    Addresses: "an address such as 192.0.2.1",
}


def _wanted(hint: Any) -> str:
    """What to write instead, for people."""
    if hint in _WORDS:
        return _WORDS[hint]
    origin = get_origin(hint)
    if origin is Literal:
        return " or ".join(str(arg) for arg in get_args(hint))
    if origin is tuple:
        return f"a list, each {_wanted(get_args(hint)[0])}"
    return f"{_wanted(_without_none(hint))}, or null"


def to_yaml(settings: Any) -> str:
    """The settings in force, as YAML that `sections.read_yaml` and `build` read back equal."""

    def plain(value: Any) -> Any:
        if is_dataclass(value):
            return {item.name: plain(getattr(value, item.name)) for item in fields(value)}
        if isinstance(value, Port):
            return str(value)
        if isinstance(value, tuple):
            return [plain(item) for item in value]
        return value if value is None or isinstance(value, str | int | float) else str(value)

    return yaml.safe_dump(plain(settings), sort_keys=False)
