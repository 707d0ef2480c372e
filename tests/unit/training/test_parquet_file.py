"""Parquet files of probes: what is written is what other readers find, whatever the values and however many rows."""

from __future__ import annotations

import io

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from portkin_training.core.parquet_encoding import FEW
from portkin_training.core.parquet_file import ParquetFile
from portkin_training.core.probes import SCHEMA, Probes

FEWEST, MOST = np.iinfo(np.int64).min, np.iinfo(np.int64).max
ROWS = (1, 2, 7, 8, 9, 31, 32, 33, 34, 127, 128, 129, 130, 161, 257, 1000, 70_000)
"""On both sides of each size by which values are encoded together: 8, 32, 128, and one more for the first value."""


def plain(rows: int, seed: int = 0) -> Probes:
    """Probes as most recordings have them: in order, IPv4, any ports."""
    rng = np.random.default_rng([rows, seed])
    zeros = np.zeros(rows, np.int64)
    return Probes(
        ts=1_700_000_000_000_000 + np.arange(rows) * 10,
        seq=np.arange(rows),
        src=np.column_stack((zeros, 0xFFFF_0000_0000 + rng.integers(0, 1 << 32, rows))),
        dst=np.column_stack((zeros, 0xFFFF_0A00_0000 + rng.integers(0, 1 << 24, rows))),
        sport=rng.integers(0, 1 << 16, rows).astype(np.uint16),
        dport=rng.integers(0, 1 << 16, rows).astype(np.uint16),
        proto=rng.choice([6, 17], rows).astype(np.uint8),
        flags=np.full(rows, 2, np.uint8),
    )


def wild(rows: int) -> Probes:
    """Probes of which every column holds anything, the furthest values too."""
    rng = np.random.default_rng(rows)

    def any_of(*shape: int):
        return rng.choice([FEWEST, MOST, 0, -1, 1, rng.integers(FEWEST, MOST)], (rows, *shape))

    return Probes(
        ts=any_of(),
        seq=rng.integers(FEWEST, MOST, rows, endpoint=True),
        src=any_of(2),
        dst=rng.integers(FEWEST, MOST, (rows, 2), endpoint=True),
        sport=rng.choice([0, 65_535], rows).astype(np.uint16),
        dport=np.full(rows, 65_535, np.uint16),
        proto=rng.integers(0, 128, rows).astype(np.uint8),
        flags=rng.integers(0, 256, rows).astype(np.uint8),
    )


def written(*groups: Probes) -> bytes:
    """A file of these row groups."""
    out = io.BytesIO()
    file = ParquetFile(out)
    for probes in groups:
        file.write(probes)
    file.finish()
    return out.getvalue()


def assert_equal(expected: Probes, actual: Probes) -> None:
    for name in Probes.__slots__:
        np.testing.assert_array_equal(getattr(expected, name), getattr(actual, name), err_msg=name)


@pytest.mark.parametrize("some", [plain, wild])
@pytest.mark.parametrize("rows", ROWS)
def test_what_is_written_is_read_by_arrow_and_duckdb(tmp_path, rows, some):
    """Every value comes back, and the columns are those of the schema."""
    expected, path = some(rows), tmp_path / "probes.parquet"
    path.write_bytes(written(expected))
    assert SCHEMA.equals(pq.read_schema(path))
    assert_equal(expected, Probes.from_arrow(pq.ParquetFile(path).read()))
    if some is plain:  # DuckDB has no stamps as far off as the wild ones
        assert_equal(expected, Probes.from_arrow(duckdb.sql(f"SELECT * FROM '{path}'").to_arrow_table()))
    else:
        columns = ", ".join(name for name in SCHEMA.names if name != "ts")
        found = duckdb.sql(f"SELECT {columns} FROM '{path}'").to_arrow_table()
        found = found.add_column(0, "ts", pa.array(expected.ts))
        assert_equal(expected, Probes.from_arrow(found))


def test_row_groups_of_any_size():
    """Each call is a row group, memory is used again for a smaller one, and nothing is no row group."""
    groups = [plain(rows, seed=rows) for rows in (1000, 3, 40, 1000)]
    file = pq.ParquetFile(io.BytesIO(written(*groups, plain(0))))
    assert [1000, 3, 40, 1000] == [file.metadata.row_group(at).num_rows for at in range(file.num_row_groups)]
    assert_equal(Probes.concat(groups), Probes.from_arrow(file.read()))
    assert 0 == pq.ParquetFile(io.BytesIO(written())).metadata.num_rows


@pytest.mark.parametrize("values", [1, 2, 3, FEW - 1, FEW, FEW + 1, 300])
@pytest.mark.parametrize("times", [1, 4])
def test_columns_of_few_values_have_a_dictionary(values, times):
    """However few or many values they have, unless these are many and come but once."""
    rows = times * values + 3
    high = np.arange(rows) * 7 % values * (MOST // 300)
    probes = plain(rows)
    probes.src[:, 0], probes.dst[:, 0] = high, high[::-1]
    file = pq.ParquetFile(io.BytesIO(written(probes)))
    group = file.metadata.row_group(0)
    found = {group.column(at).path_in_schema for at in range(len(SCHEMA)) if group.column(at).has_dictionary_page}
    assert ({"proto", "flags"} | ({"src_hi", "dst_hi"} if times > 1 or values <= FEW else set())) == found
    assert_equal(probes, Probes.from_arrow(file.read()))


def test_statistics_of_time_and_protocol():
    """The least and the most of a row group, by which queries leave it out."""
    first, second = plain(100), plain(50, seed=1)
    second.ts[:] += 1_000_000
    second.proto[:] = 17
    about = pq.ParquetFile(io.BytesIO(written(first, second))).metadata
    at = {name: SCHEMA.get_field_index(name) for name in ("ts", "proto")}
    assert [(6, 17), (17, 17)] == [
        (column.min, column.max)
        for column in (about.row_group(group).column(at["proto"]).statistics for group in (0, 1))
    ]
    stamps = about.row_group(1).column(at["ts"]).statistics
    ends = pa.array(second.ts[[0, -1]].tolist(), SCHEMA.field("ts").type).to_pylist()
    assert ends == [stamps.min, stamps.max]


def test_size_of_random_probes():
    """Addresses and ports take their bits and little more, times and places in order next to nothing."""
    assert len(written(plain(70_000))) / 70_000 < 12.1
