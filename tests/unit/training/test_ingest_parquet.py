"""Parquet files as programs write them: columns of any type that has single values."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from portkin.errors import InputError
from portkin_training.core.probes import Probes
from portkin_training.ingest.inputs import InputOptions, read_input
from portkin_training.ingest.reading import Reading
from portkin_training.ingest.tables.columns import ColumnMap


def read(path: Path, columns: ColumnMap, reading: Reading | None = None) -> Probes:
    """The rows of a file."""
    return Probes.concat(read_input(path, reading, InputOptions("parquet", columns)))


VALUES = {"ts": [1_767_225_600] * 2, "src": ["192.0.2.1"] * 2, "dst": ["192.0.2.2"] * 2, "dport": ["22"] * 2,
          "proto": ["tcp"] * 2}  # fmt: skip


NO_UTF8 = pa.StringArray.from_buffers(
    2, pa.array([0, 2, 11], pa.int32()).buffers()[1], pa.py_buffer(b"\xff\xfe192.0.2.1")
)


def with_column(path: Path, name: str, column: pa.Array) -> Path:
    """A Parquet file of good rows with another column in place of one."""
    pq.write_table(pa.table(VALUES | {name: column}), path)
    return path


@pytest.mark.parametrize(
    ("name", "column"),
    [
        ("src", pa.array(["192.0.2.1"] * 2).dictionary_encode()),
        ("proto", pa.array(["tcp"] * 2, pa.string_view())),
        ("dport", pa.array([b"22"] * 2, pa.binary())),
        ("dport", pa.array([22.0] * 2, pa.float16())),
        ("proto", pa.array([6] * 2, pa.decimal128(5, 2))),
        ("ts", pa.array([1_767_225_600_000] * 2, pa.timestamp("ms"))),
        ("ts", pa.array(["2026-01-01T00:00:00Z"] * 2).dictionary_encode()),
        ("ts", pa.array([b"2026-01-01 00:00:00"] * 2, pa.binary_view())),
    ],
)
def test_parquet_columns_of_any_type_with_single_values(tmp_path, name, column):
    """Text and numbers mean the same in whatever type a program stores them."""
    probes = read(with_column(tmp_path / "a.parquet", name, column), ColumnMap())
    assert [(1_767_225_600_000_000, 22, 6)] * 2 == [*zip(probes.ts, probes.dport, probes.proto, strict=True)]


@pytest.mark.parametrize(
    ("name", "column"),
    [
        ("src", pa.array([b"\xff\xfe", b"192.0.2.1"], pa.binary())),
        ("src", NO_UTF8),
        ("ts", pa.array([1 << 62, 1_767_225_600_000], pa.timestamp("ms"))),
        ("ts", pa.array([None, 1_767_225_600_000], pa.timestamp("ms"))),
        ("proto", pa.array([True, None])),
        ("dport", pa.nulls(2)),
    ],
)  # fmt: skip
def test_parquet_values_that_make_no_sense_are_bad_rows(tmp_path, name, column):
    """No UTF-8, stamps that no 64 bits of microseconds hold, truth for a protocol: each row is named or skipped."""
    reading = Reading("a.parquet")
    columns = ColumnMap(tz="America/St_Johns")
    probes = read(with_column(tmp_path / "a.parquet", name, column), columns, reading)
    assert 2 == reading.read == len(probes) + reading.bad + sum(reading.skipped.values())
    assert reading.bad >= 1
    assert (probes.ts >= 1_767_225_600_000_000).all()


@pytest.mark.parametrize("column", [pa.array([[1], [2]]), pa.array([{"a": 1}] * 2), pa.array([5, 6], pa.duration("s"))])
def test_parquet_columns_without_single_values_are_refused(tmp_path, column):
    """The message names the column and its type, and how to name another."""
    path = with_column(tmp_path / "a.parquet", "dport", column)
    with pytest.raises(InputError, match=r"column 'dport' is of type .*, which holds no dport; name another"):
        read(path, ColumnMap())


def test_of_equal_parquet_columns_the_first_counts(tmp_path):
    """As in a CSV."""
    names, columns = zip(*VALUES.items(), strict=True)
    both = pa.Table.from_arrays([*map(pa.array, columns), pa.array(["99"] * 2)], names=[*names, "dport"])
    pq.write_table(both, tmp_path / "a.parquet")
    assert [22, 22] == read(tmp_path / "a.parquet", ColumnMap()).dport.tolist()
