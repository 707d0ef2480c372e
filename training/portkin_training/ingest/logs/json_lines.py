"""JSON lines: values at paths as columns of text, by DuckDB's JSON reader (yyjson)."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from portkin_training.ingest.logs.json_documents import OneALine, is_document
from portkin_training.ingest.logs.text_blocks import blocks, lines_of
from portkin_training.ingest.reading import Reading


def json_blocks(path: Path, reading: Reading, head: bytes) -> Iterator[tuple[int, bytes]]:
    """(number of the first line, whole JSON lines) of a file that begins with ``head``: JSON lines, or a document whose
    objects are put on a line each."""
    if is_document(head):
        return blocks(path, reading, OneALine())
    return blocks(path, reading)


def pointer(*keys: str) -> str:
    """The JSON pointer (RFC 6901) of nested keys."""
    return "".join("/" + key.replace("~", "~0").replace("/", "~1") for key in keys)


class JsonPaths:
    """Reads the values at given paths out of blocks of JSON lines."""

    def __init__(self, paths: Mapping[str, str | Sequence[str]]) -> None:
        """Column -> the JSON pointer of its value, or several of which the first that a line has counts."""
        self._columns = {name: (found,) if isinstance(found, str) else tuple(found) for name, found in paths.items()}
        self._pointers = [one for found in self._columns.values() for one in found]

    @cached_property
    def _query(self) -> tuple[duckdb.DuckDBPyConnection, str]:
        places = ", ".join(f"found[{at}] AS c{at}" for at in range(1, len(self._pointers) + 1))
        text = ", ".join("'" + one.replace("'", "''") + "'" for one in self._pointers)
        # A line that is no JSON gives null and not an error; the others of its vector are read all the same.
        query = (
            f"SELECT found IS NULL AS broken, {places} FROM "  # noqa: S608  # places and pointers, quoted
            f"(SELECT TRY(json_extract_string(line, [{text}])) AS found FROM rows)"
        )
        return duckdb.connect(config={"threads": 1}), query

    def columns(self, block: bytes, first: int, reading: Reading) -> tuple[dict[str, pa.Array], NDArray[np.int64]]:
        """The text of each value (null where a line has none) and the number of each line that is one: (n,) each."""
        lines, where = lines_of(block, first)
        bad: dict[int, str] = {}
        begins = pc.utf8_slice_codeunits(lines, 0, 1) if len(lines) else lines
        odd = np.flatnonzero(~pc.equal(begins, "{").to_numpy(zero_copy_only=False))
        if len(odd):
            keep = np.ones(len(lines), np.bool_)
            for row in odd:
                text = lines[int(row)].as_py().strip()
                keep[row] = text.startswith("{")
                if text and not keep[row]:
                    bad[int(where[row])] = text
            lines, where = lines.filter(pa.array(keep)), where[keep]
        connection, query = self._query
        connection.register("rows", pa.table({"line": lines}))
        table = connection.sql(query).to_arrow_table().combine_chunks()
        connection.unregister("rows")
        broken = table.column(0).to_numpy()
        for row in np.flatnonzero(broken):
            bad[int(where[row])] = lines[int(row)].as_py()
        for line in sorted(bad):
            _broken(line, bad[line], reading)
        values = [column.combine_chunks() for column in table.columns[1:]]
        if broken.any():
            kept = pa.array(~broken)
            values, where = [value.filter(kept) for value in values], where[~broken]
        found, at = {}, 0
        for name, pointers in self._columns.items():
            several = values[at : at + len(pointers)]
            found[name] = several[0] if len(several) == 1 else pc.coalesce(*several)
            at += len(pointers)
        return found, where


def _broken(line: int, text: str, reading: Reading) -> None:
    reading.read += 1
    why = "it is none"
    try:
        json.loads(text)
    except (ValueError, RecursionError) as error:
        why = str(error)
    reading.bad_row(f"line {line}", f"no JSON object ({why})", "no JSON object")


def leaves(found: Any, before: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    """The keys that lead to each value of an object that is neither an object nor a list."""
    if isinstance(found, dict):
        for key, value in found.items():
            yield from leaves(value, (*before, str(key)))
    elif before and not isinstance(found, list):
        yield before
