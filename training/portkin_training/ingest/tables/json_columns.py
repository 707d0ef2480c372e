"""Rows from JSON lines of any program, mapped by options or known by the usual names of their values."""

from __future__ import annotations

from collections.abc import Iterator
from functools import reduce
from pathlib import Path
from typing import Any

from portkin.errors import InputError
from portkin_training.ingest.formats.format import Head, first_bytes
from portkin_training.ingest.logs.gathering import gathered
from portkin_training.ingest.logs.json_lines import JsonPaths, json_blocks, leaves, pointer
from portkin_training.ingest.reading import Reading
from portkin_training.ingest.records import Rows
from portkin_training.ingest.tables.columns import ColumnMap, parts_of, taken
from portkin_training.ingest.tables.csv_header import likely_header


def json_rows(path: Path, columns: ColumnMap, reading: Reading) -> Iterator[Rows]:
    """The rows of a file of JSON objects, one a line; a column is the path to a value: ``src=source.ip``.

    Raises:
        InputError: no such file, or the first objects lack a value that is needed.
    """
    reading.kind = "json"
    found: dict[str, tuple[str, ...]] = {}
    head = first_bytes(path)
    objects = Head(head).objects
    for one in objects:
        for keys in leaves(one):
            found.setdefault(".".join(keys), keys)
    if not columns.columns and not likely_header([*found]):
        _refuse_wrapped(path, head, objects)
    if not found:
        raise InputError(f"{path}: line 1: JSON without an object that holds a value; name the right file")
    chosen = columns.resolve(path, [*found], reading)
    paths = JsonPaths({one: pointer(*found[one]) for column in chosen.values() for one in parts_of(column, found)})
    blocks = json_blocks(path, reading, head)
    for columns_found, where in gathered(paths.columns(block, first, reading) for first, block in blocks):
        yield Rows(taken(columns_found, chosen), where)


def _refuse_wrapped(path: Path, head: bytes, objects: list[dict[str, Any]]) -> None:
    """Raise InputError for objects that each hold a record of some format, which by itself says what is a probe."""
    if b'"_source"' in head:
        raise InputError(f"{path}: line 1: records inside of Elasticsearch's own objects; have jq take them out of it "
                         f"(`jq -c '.. | ._source? // empty'`)")  # fmt: skip
    if inside := _objects_as_text(objects):
        raise InputError(f"{path}: line 1: records as text inside of other objects, as Docker writes; have jq take "
                         f"them out (`jq -r '.{inside}'`)")  # fmt: skip


def _objects_as_text(objects: list[dict[str, Any]]) -> str:
    """The path to the first text that is itself a JSON object, in the first of some objects; "" for none."""
    for one in objects[:1]:
        for keys in leaves(one):
            value = reduce(lambda found, key: found[key], keys, one)
            if isinstance(value, str) and value.lstrip().startswith('{"'):
                return ".".join(keys)
    return ""
