"""Parquet files of probes, written by ourselves (https://github.com/apache/parquet-format).

Arrow takes four times as long for the same encodings, and for most of what `portkin ingest` does with captures. What
every reader has is used and nothing else: one page a column, no nulls, statistics of what is asked for.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, BinaryIO

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from portkin import __version__
from portkin_training.core.parquet_encoding import Encoder
from portkin_training.core.probes import SCHEMA, Probes
from portkin_training.core.thrift_compact import Value, binary, boolean, i8, i32, i64, listed, struct

_MAGIC = b"PAR1"
_INT32, _INT64 = 1, 2
_PLAIN, _RLE, _DELTA_BINARY_PACKED, _RLE_DICTIONARY = 0, 3, 5, 8
_LZ4_RAW = 7
_DATA_PAGE, _DICTIONARY_PAGE = 0, 2
_REQUIRED = 0
"""Numbers of parquet.thrift."""

_SELDOM = ("src_hi", "dst_hi", "proto", "flags")
"""Columns of few different values, which get a dictionary."""
_STATISTICS = ("ts", "proto")
"""Columns by which whole row groups are left out in a query."""


def _physical(kind: pa.DataType) -> int:
    return _INT64 if kind.bit_width == 64 else _INT32


def _schema_element(field: pa.Field) -> Value:
    """A column: its name, how it is stored, and what it means where that does not say it."""
    fields = {1: i32(_physical(field.type)), 3: i32(_REQUIRED), 4: binary(field.name)}
    if pa.types.is_timestamp(field.type):
        microseconds = struct({2: struct({})})
        fields |= {6: i32(10), 10: struct({8: struct({1: boolean(True), 2: microseconds})})}
    elif field.type.bit_width < 32:
        converted = {8: 15, 16: 16}[field.type.bit_width]  # INT_8, INT_16
        fields |= {6: i32(converted), 10: struct({10: struct({1: i8(field.type.bit_width), 2: boolean(True)})})}
    return struct(fields)


@dataclass(frozen=True)
class _Column:
    """A column, and what is said of it again and again.

    Attributes:
        element: what the schema says.
        dtype: how its values are stored.
        delta, coded: the first fields of what is said of it in each row group, in either encoding.
    """

    name: str
    element: Value
    dtype: np.dtype[Any]
    delta: Mapping[int, Value]
    coded: Mapping[int, Value]

    @classmethod
    def of(cls, field: pa.Field) -> _Column:
        kind = _physical(field.type)

        def about(*encodings: int) -> dict[int, Value]:
            listing = listed([i32(one) for one in encodings])
            return {1: i32(kind), 2: listing, 3: listed([binary(field.name)]), 4: i32(_LZ4_RAW)}

        return cls(
            field.name,
            _schema_element(field),
            np.dtype("<i8" if kind == _INT64 else "<i4"),
            about(_RLE, _DELTA_BINARY_PACKED),
            about(_PLAIN, _RLE, _RLE_DICTIONARY),
        )


_COLUMNS = [_Column.of(field) for field in SCHEMA]
_ROOT = struct({4: binary("schema"), 5: i32(len(SCHEMA))})
_NO_LEVELS = {3: i32(_RLE), 4: i32(_RLE)}
"""How the levels of nulls and lists, which there are none of, would be encoded."""


class ParquetFile:
    """A file that is being written, a row group for each `write`."""

    def __init__(self, out: BinaryIO) -> None:
        """Write to ``out`` from where it stands, its beginning; the caller closes it."""
        self._out = out
        self._encoder = Encoder()
        self._codec = pa.Codec("lz4_raw")
        self._at = 0
        self._rows = 0
        self._groups: list[Value] = []
        self._put(_MAGIC)

    def _put(self, data: bytes) -> None:
        self._out.write(data)
        self._at += len(data)

    def write(self, probes: Probes) -> None:
        """Write probes as a row group; nothing where there are none."""
        if not len(probes):
            return
        columns: dict[str, NDArray[Any]] = {
            "ts": probes.ts,
            "seq": probes.seq,
            "src_hi": probes.src[:, 0],
            "src_lo": probes.src[:, 1],
            "dst_hi": probes.dst[:, 0],
            "dst_lo": probes.dst[:, 1],
            "sport": probes.sport,
            "dport": probes.dport,
            "proto": probes.proto,
            "flags": probes.flags,
        }
        begin, size = self._at, 0
        chunks = []
        for column in _COLUMNS:
            chunk, plain = self._chunk(column, columns[column.name])
            chunks.append(chunk)
            size += plain
        group = {1: listed(chunks), 2: i64(size), 3: i64(len(probes)), 5: i64(begin), 6: i64(self._at - begin)}
        self._groups.append(struct(group))
        self._rows += len(probes)

    def _chunk(self, column: _Column, values: NDArray[Any]) -> tuple[Value, int]:
        """Write a column of a row group; what the footer says of it, and its bytes before compression."""
        begin, plain, count = self._at, 0, i32(len(values))
        coded = self._encoder.dictionary(values) if column.name in _SELDOM else None
        if coded:
            distinct, data = coded
            head = {7: struct({1: i32(len(distinct)), 2: i32(_PLAIN)})}
            plain += self._page(_DICTIONARY_PAGE, distinct.astype(column.dtype).tobytes(), head)
            where = {9: i64(self._at), 11: i64(begin)}
            plain += self._page(_DATA_PAGE, data, {5: struct({1: count, 2: i32(_RLE_DICTIONARY), **_NO_LEVELS})})
        else:
            where = {9: i64(begin)}
            packed = self._encoder.delta_packed(values)
            plain += self._page(_DATA_PAGE, packed, {5: struct({1: count, 2: i32(_DELTA_BINARY_PACKED), **_NO_LEVELS})})
        sizes = {5: i64(len(values)), 6: i64(plain), 7: i64(self._at - begin)}
        about = {**(column.coded if coded else column.delta), **sizes, **where}
        if column.name in _STATISTICS:
            least, most = (np.array(one, column.dtype).tobytes() for one in (values.min(), values.max()))
            about[12] = struct({3: i64(0), 5: binary(most), 6: binary(least)})
        return struct({2: i64(begin), 3: struct(about)}), plain

    def _page(self, kind: int, data: Any, head: dict[int, Value]) -> int:
        """Write a page; its bytes before compression, header included."""
        packed = self._codec.compress(data, asbytes=True)
        header = struct({1: i32(kind), 2: i32(len(data)), 3: i32(len(packed)), **head})[1]
        self._put(header)
        self._put(packed)
        return len(header) + len(data)

    def finish(self) -> None:
        """Write the footer, with which the file is whole."""
        footer = {
            1: i32(2),  # the version that has these encodings
            2: listed([_ROOT, *[column.element for column in _COLUMNS]]),
            3: i64(self._rows),
            4: listed(self._groups),
            6: binary(f"portkin version {__version__}"),
            7: listed([struct({1: struct({})})] * len(SCHEMA)),  # statistics are in the order of the type
        }
        data = struct(footer)[1]
        self._put(data + len(data).to_bytes(4, "little") + _MAGIC)
