"""JSON lines: values at paths as columns of text. Simple lines are scanned (`json_scan`), others are read by DuckDB's
JSON reader (yyjson)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from portkin.json_text import parsed
from portkin_training.ingest.logs.json_documents import OneALine, is_document, object_begin
from portkin_training.ingest.logs.json_scan import PathTree, scan
from portkin_training.ingest.logs.json_shape import Shape
from portkin_training.ingest.logs.line_ends import line_ends
from portkin_training.ingest.logs.spans import text_columns
from portkin_training.ingest.logs.text_blocks import blocks, lines_of, plain_text
from portkin_training.ingest.reading import Reading

if TYPE_CHECKING:
    import duckdb


def json_blocks(path: Path, reading: Reading, head: bytes) -> Iterator[tuple[int, bytes]]:
    """(number of the first line, whole JSON lines) of a file that begins with ``head``: JSON lines, or a document whose
    objects are put on a line each."""
    if is_document(plain_text(head)):
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
        self._shape = Shape()
        self._pointers = [one for found in self._columns.values() for one in found]

    @cached_property
    def _query(self) -> tuple[duckdb.DuckDBPyConnection, str]:
        import duckdb  # few lines need it

        places = ", ".join(f"found[{at}] AS c{at}" for at in range(1, len(self._pointers) + 1))
        text = ", ".join("'" + one.replace("'", "''") + "'" for one in self._pointers)
        # A line that is no JSON gives null and not an error; the others of its vector are read all the same.
        query = (
            f"SELECT found IS NULL AS broken, {places} FROM "  # noqa: S608  # places and pointers, quoted
            f"(SELECT TRY(json_extract_string(line, [{text}])) AS found FROM rows)"
        )
        return duckdb.connect(config={"threads": 1}), query

    @cached_property
    def _tree(self) -> PathTree | None:
        paths = [[_key(part) for part in one.split("/")[1:]] for one in self._pointers]
        return PathTree.of(paths)

    def columns(self, block: bytes, first: int, reading: Reading) -> tuple[dict[str, pa.Array], NDArray[np.int64]]:
        """The text of each value (null where a line has none) and the number of each line that is one: (n,) each."""
        values, simple = self._scanned(block)
        where = np.arange(first, first + len(simple))
        if not simple.all():
            lines, _ = lines_of(block, first)
            rest = np.flatnonzero(~simple)
            others, numbers = self._parsed(lines.take(pa.array(rest)), where[rest], reading)
            where = np.concatenate((where[simple], numbers))
            order, kept = np.argsort(where, kind="stable"), pa.array(simple)
            values = [
                pa.concat_arrays([value.filter(kept), other]).take(pa.array(order))
                for value, other in zip(values, others, strict=True)
            ]
            where = where[order]
        found, at = {}, 0
        for name, pointers in self._columns.items():
            several = values[at : at + len(pointers)]
            there = [value for value in several if value.null_count < len(value)] or several[:1]
            found[name] = pc.coalesce(*there) if there[0].null_count and len(there) > 1 else there[0]
            at += len(pointers)
        return found, where

    def _scanned(self, block: bytes) -> tuple[list[pa.Array], NDArray[np.bool_]]:
        """The values (n,) of each pointer, and which lines (n,) are simple; the values of others mean nothing."""
        ends = line_ends(block)
        n, tree = len(ends) - 1, self._tree
        simple = np.zeros(n, np.bool_)
        if tree is None:
            return [pa.nulls(n, pa.string()) for _ in self._pointers], simple
        data = np.frombuffer(block, np.uint8)
        begins, lengths = np.empty((2, len(self._pointers), n), np.int32)
        scan(data, ends, tree.arrays(), self._shape.arrays(), begins, lengths, simple)
        return text_columns(data, begins, lengths), simple

    def _parsed(
        self, lines: pa.Array, where: NDArray[np.int64], reading: Reading
    ) -> tuple[list[pa.Array], NDArray[np.int64]]:
        """The values of each pointer and the numbers of the lines (n,) that are objects; the others are bad."""
        bad: dict[int, str] = {}
        begins = pc.utf8_slice_codeunits(lines, 0, 1) if len(lines) else lines
        odd = np.flatnonzero(~pc.equal(begins, "{").to_numpy(zero_copy_only=False))
        if len(odd):
            keep = np.ones(len(lines), np.bool_)
            texts = lines.to_pylist()
            for row in odd:
                text = texts[row].strip()
                at = object_begin(text)
                keep[row] = at >= 0
                texts[row] = text[max(at, 0) :]
                if text and not keep[row]:
                    bad[int(where[row])] = text
            lines, where = pa.array(texts, pa.string()).filter(pa.array(keep)), where[keep]
        connection, query = self._query
        connection.register("rows", pa.table({"line": lines}))
        table = connection.sql(query).to_arrow_table().combine_chunks()
        connection.unregister("rows")
        broken = table.column(0).to_numpy()
        for row in np.flatnonzero(broken):
            bad[int(where[row])] = lines[int(row)].as_py()
        for line in sorted(bad):
            broken_line(line, bad[line], reading)
        values = [column.combine_chunks() for column in table.columns[1:]]
        if broken.any():
            kept = pa.array(~broken)
            values, where = [value.filter(kept) for value in values], where[~broken]
        return values, where


def _key(part: str) -> str:
    """A key out of its place in a JSON pointer."""
    return part.replace("~1", "/").replace("~0", "~")


def broken_line(line: int, text: str, reading: Reading) -> None:
    """Count a line that is no JSON object, or none of its format, and say why."""
    reading.read += 1
    reading.look_at(line, text)
    why = "it is none"
    try:
        parsed(text)
    except ValueError as error:
        why = str(error)
    reading.bad_row(f"line {line}", f"no JSON object ({why})", "no JSON object")


def leaves(found: Any, before: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    """The keys that lead to each value of an object that is neither an object nor a list."""
    if isinstance(found, dict):
        for key, value in found.items():
            yield from leaves(value, (*before, str(key)))
    elif before and not isinstance(found, list):
        yield before
