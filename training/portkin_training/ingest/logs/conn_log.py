"""Zeek's conn.log, TSV and JSON lines: the flows that are probes by `ingest.probe_definition`."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.json as pa_json
from numpy.typing import NDArray

from portkin.errors import InputError
from portkin_training.core.probes import Probes
from portkin_training.ingest.logs import text_blocks
from portkin_training.ingest.probe_definition import flow_reasons
from portkin_training.ingest.reading import Reading
from portkin_training.ingest.tables.columns import ColumnMap

_COLUMNS = ColumnMap({"src": "id.orig_h", "sport": "id.orig_p", "dst": "id.resp_h", "dport": "id.resp_p"})
_NEEDED = ("ts", "id.orig_h", "id.orig_p", "id.resp_h", "id.resp_p", "proto", "conn_state")
_TEXTS = ("proto", "conn_state", "history", "id.orig_h", "id.resp_h")

Columns = tuple[Mapping[str, pa.Array], NDArray[np.int64]]


def read_conn_log(path: Path, reading: Reading | None = None, *, any_state: bool = False) -> Iterator[Probes]:
    """The probes of a conn.log; TSV with its header lines or JSON lines; plain, .gz, .xz or .zst.

    Rows are in the order of the log, which is that of the ends of the connections; ``ts`` is their begin.

    Args:
        any_state: see `probe_definition.flow_reasons`.

    Raises:
        InputError: no such file, or it lacks a field that is needed.
    """
    path = Path(path)
    reading = Reading(str(path)) if reading is None else reading
    seq = 0
    header = _Header(path)
    for first, block in text_blocks.blocks(path, reading):
        if not reading.kind:
            reading.kind = "zeek-json" if block.lstrip()[:1] == b"{" else "zeek-tsv"
        chunks = (
            [_parse_json(block, first, reading)] if reading.kind == "zeek-json" else header.parse(block, first, reading)
        )
        for columns, where in chunks:
            probes = _probes(columns, where, seq, any_state, reading)
            seq += len(probes)
            yield probes


def _probes(
    columns: Mapping[str, pa.Array], where: NDArray[np.int64], seq: int, any_state: bool, reading: Reading
) -> Probes:
    nothing = pa.nulls(len(where), pa.string())
    reasons = flow_reasons(
        columns["proto"],
        columns.get("conn_state", nothing),
        columns.get("history", nothing),
        any_state=any_state,
    )
    kept = reasons == ""
    for reason, count in zip(*np.unique(reasons[~kept], return_counts=True), strict=True):
        reading.skipped[str(reason)] += int(count)
    reading.read += int(len(where) - kept.sum())  # the others are counted where they are read
    mask = pa.array(kept)
    fields = {name: _COLUMNS.columns.get(name, name) for name in ("ts", "src", "dst", "sport", "dport", "proto")}
    return _COLUMNS.probes(
        {name: columns[column].filter(mask) for name, column in fields.items()}, where[kept], "line", seq, reading
    )


class _Header:
    """The header of a TSV log as it stands at some line; logs put together have several."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._separator, self._unset, self._empty = "\t", "-", "(empty)"
        self._fields: list[str] = []

    def _read(self, line: str) -> None:
        if line.startswith("#separator "):
            self._separator = line.removeprefix("#separator ").encode().decode("unicode_escape")
            return
        name, *values = line.split(self._separator)
        if name == "#fields":
            missing = [name for name in _NEEDED if name not in values]
            if missing:
                raise InputError(f"{self._path}: #fields lacks {', '.join(missing)}; a conn.log of Zeek has them")
            self._fields = values
        elif name == "#path" and values[:1] != ["conn"]:
            raise InputError(f"{self._path}: this is Zeek's {values[:1]} log; conn.log is needed")
        elif name == "#unset_field" and values:
            self._unset = values[0]
        elif name == "#empty_field" and values:
            self._empty = values[0]

    def parse(self, block: bytes, first: int, reading: Reading) -> Iterator[Columns]:
        """The rows of a block of lines: columns by name and line numbers, a chunk for each header.

        Raises InputError for lines without a header, or a header without the columns that are needed.
        """
        at = 0
        while at < len(block):
            if block[at : at + 1] == b"#":
                end = (block.find(b"\n", at) + 1) or len(block)
                self._read(block[at:end].decode().rstrip("\r\n"))
                first += 1
            else:
                end = (block.find(b"\n#", at) + 1) or len(block)
                if not self._fields:
                    raise InputError(f"{self._path}: line {first}: rows before the line #fields")
                yield self._rows(block[at:end], first, reading)
                first += block.count(b"\n", at, end)
            at = end

    def _rows(self, rows: bytes, first: int, reading: Reading) -> Columns:
        found, where = text_blocks.parse_delimited(
            rows, first, self._fields, self._separator, quoted=False, reading=reading
        )
        columns = {}
        for name in {*_NEEDED, "history"} & found.keys():
            values = found[name]
            unset = pc.or_(pc.equal(values, self._unset), pc.equal(values, self._empty))
            columns[name] = pc.if_else(unset, pa.scalar(None, pa.string()), values)
        return columns, where


def _parse_json(block: bytes, first: int, reading: Reading) -> Columns:
    for stamp in (pa.float64(), pa.string()):
        schema = _json_schema(stamp)
        try:
            table = pa_json.read_json(
                io.BytesIO(block),
                read_options=pa_json.ReadOptions(use_threads=False, block_size=len(block) + 1),
                parse_options=pa_json.ParseOptions(
                    explicit_schema=schema, newlines_in_values=False, unexpected_field_behavior="ignore"
                ),
            ).combine_chunks()
        except pa.ArrowInvalid:
            continue
        if len(table) == block.count(b"\n") + (not block.endswith(b"\n")):  # no empty lines
            columns = {name: table.column(name).combine_chunks() for name in schema.names}
            return columns, np.arange(first, first + len(table))
    return _json_rows(block, first, reading)


def _json_schema(stamp: pa.DataType) -> pa.Schema:
    ports = [("id.orig_p", pa.int64()), ("id.resp_p", pa.int64())]
    return pa.schema([("ts", stamp), *ports, *((name, pa.string()) for name in _TEXTS)])


def _json_rows(block: bytes, first: int, reading: Reading) -> Columns:
    """The same one line at a time, for a block in which a line is bad; every value becomes text."""
    rows: list[dict[str, Any]] = []
    where = []
    for line, text in enumerate(block.splitlines(), first):
        try:
            row = json.loads(text)
            if not isinstance(row, dict):
                raise ValueError("no object")
        except ValueError as error:
            if text.strip():
                reading.read += 1
                reading.bad_row(f"line {line}", f"no JSON object ({error})")
            continue
        rows.append({name: None if row.get(name) is None else str(row[name]) for name in (*_NEEDED, "history")})
        where.append(line)
    schema = pa.schema([(name, pa.string()) for name in (*_NEEDED, "history")])
    table = pa.Table.from_pylist(rows, schema=schema)
    return {name: table.column(name).combine_chunks() for name in schema.names}, np.array(where, np.int64)
