"""Given settings, from YAML and flags, each with the line that gave it; nothing here knows which settings there are."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import yaml

from portkin.errors import ConfigError

_OURS = "tag:yaml.org,2002:"
"""How the tags of YAML itself begin: ``int``, ``timestamp``, ``seq``."""
_LIST = f"{_OURS}seq"


@dataclass(frozen=True)
class Given:
    """A given value, and where: ``portkin.yaml:12`` or ``--url``."""

    value: Any
    where: str
    each: tuple[str, ...] = ()
    """Where each element of a list is; empty where that is not known."""


@dataclass(frozen=True)
class Section:
    """Keys with given values, and where the section begins."""

    items: Mapping[str, Given | Section]
    where: str

    def place(self, dotted: str) -> str:
        """Where ``zeek.url`` was given; where it was not, where it would stand."""
        head, _, rest = dotted.partition(".")
        item = self.items.get(head)
        if item is None:
            return self.where
        return item.place(rest) if rest and isinstance(item, Section) else item.where


def read_yaml(text: str, source: str) -> Section:
    """The sections and values in a YAML text; ``source`` names it in errors (ConfigError)."""
    try:
        node = yaml.compose(text, Loader=yaml.SafeLoader)
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 1
        raise ConfigError(f"{source}:{line}: not YAML: {error.problem}; correct this line") from None
    except yaml.reader.ReaderError as error:
        line = text.count("\n", 0, error.position) + 1
        raise ConfigError(f"{source}:{line}: not YAML: it may not hold {chr(error.character)!r}; remove that") from None
    except RecursionError:
        raise ConfigError(f"{source}: not YAML that can be read: nested too deeply; take brackets away") from None
    if node is None:
        return Section({}, f"{source}:1")
    if not isinstance(node, yaml.MappingNode):
        raise ConfigError(f"{source}:{_line(node)}: the file is not a mapping; write sections such as 'zeek:'")
    try:
        return _section(node, source)
    except RecursionError:  # an alias within its own anchor
        raise ConfigError(f"{source}:{_line(node)}: something lies within itself; write it without & and *") from None


def _line(node: yaml.Node) -> int:
    return node.start_mark.line + 1


def _section(node: yaml.MappingNode, source: str) -> Section:
    items: dict[str, Given | Section] = {}
    for key_node, value_node in node.value:
        where = f"{source}:{_line(key_node)}"
        key = key_node.value if isinstance(key_node, yaml.ScalarNode) else None
        if key is None:
            raise ConfigError(f"{where}: a key must be a plain word")
        if key in items:
            raise ConfigError(f"{where}: {key!r} is given a second time; keep one of them")
        if isinstance(value_node, yaml.MappingNode):
            items[key] = _section(value_node, source)
        else:
            below = value_node.value if isinstance(value_node, yaml.SequenceNode) else []
            each = tuple(f"{source}:{_line(element)}" for element in below)
            items[key] = Given(_plain(value_node, source), f"{source}:{_line(value_node)}", each)
    return Section(items, f"{source}:{_line(node)}")


def _plain(node: yaml.Node, source: str) -> Any:
    """The Python value of a scalar or a list. ConfigError for an invalid date or number."""
    if isinstance(node, yaml.SequenceNode) and node.tag == _LIST:
        return [_plain(element, source) for element in node.value]
    try:
        return yaml.SafeLoader("").construct_object(node, deep=True)
    # PyYAML lets through whatever its conversions raise: 2024-02-30 a ValueError, !!int '' an IndexError.
    except (yaml.YAMLError, ValueError, ArithmeticError, LookupError, AttributeError, TypeError):
        written = repr(node.value[:80]) if isinstance(node, yaml.ScalarNode) else "this"
        kind = node.tag.removeprefix(_OURS)
        if node.tag.startswith(_OURS):
            raise ConfigError(
                f"{source}:{_line(node)}: {written} cannot be read as {kind!r}; correct it, or put text in quotes"
            ) from None
        raise ConfigError(f"{source}:{_line(node)}: {kind!r} is not a known tag; leave it out") from None


def overlay(below: Section, flags: Mapping[str, Any]) -> Section:
    """The section under flags such as ``{"zeek.url": "ws://..."}``; a flag that is None was not given."""
    merged: dict[str, Any] = dict(below.items)
    for dotted, value in flags.items():
        if value is None:
            continue
        head, _, rest = dotted.partition(".")
        if rest:
            inner = merged.get(head)
            merged[head] = overlay(inner if isinstance(inner, Section) else Section({}, below.where), {rest: value})
        else:
            merged[head] = value if isinstance(value, Given) else Given(value, f"--{dotted}")
    return Section(merged, below.where)
