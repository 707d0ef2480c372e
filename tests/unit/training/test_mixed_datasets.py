"""Datasets whose files are not of one form, as after a copy of another version's: the file and the column are named."""

from __future__ import annotations

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner

from portkin.errors import InputError
from portkin_training.commands.rates import rates
from portkin_training.commands.replay import replay
from portkin_training.commands.table import table
from portkin_training.core.dataset import load, open_probes, parts_of
from support.datasets import dataset_of

COMMANDS = {command.name: command for command in (rates, replay, table)}


def without(held: pa.Table) -> pa.Table:
    """Lacks a column."""
    return held.drop_columns(["seq"])


def as_text(held: pa.Table) -> pa.Table:
    """Has the ports as text."""
    return held.set_column(held.schema.get_field_index("dport"), "dport", held["dport"].cast(pa.string()))


def wider(held: pa.Table) -> pa.Table:
    """Has wider integers, and a column more."""
    held = held.set_column(held.schema.get_field_index("dport"), "dport", held["dport"].cast(pa.int64()))
    return held.append_column("note", pa.array([1] * len(held)))


@pytest.fixture
def dataset(tmp_path):
    """A dataset of one file, and a way to change it."""
    path = dataset_of(tmp_path / "probes", [22, 23, 80, 443], [80, 443, 8080])

    def changed(change):
        file = path / parts_of(path)[0]
        pq.write_table(change(pq.ParquetFile(file).read()), file)
        return path

    return changed


@pytest.mark.parametrize(
    ("change", "what"),
    [(without, "this one has no column 'seq'"), (as_text, "column 'dport' of this one is string, not int32")],
)
def test_named(dataset, tmp_path, change, what):
    """Every way to read it, and every command, says which file and column it is, and what to do."""
    path = dataset(change)
    for read in (load, open_probes):
        with pytest.raises(InputError, match=f"part-00000.parquet: .*not of one form .{what}.; ingest the recordings"):
            read(path)
    for words in (
        ("table", "build", path, "-o", tmp_path / "out"),
        ("table", "update", path, tmp_path / "out"),
        ("rates", "series", path, "-o", tmp_path / "out", "--absent", "zero"),
        ("replay", path),
        ("replay", path, "--held-out"),
    ):
        done = CliRunner().invoke(COMMANDS[words[0]], [*map(str, words[1:])])
        assert isinstance(done.exception, InputError), done.exception
        assert "not of one form" in str(done.exception)
        assert not (tmp_path / "out").exists()


def test_that_hold_the_same(dataset):
    """Wider integers and columns beside those that are needed are read as they are."""
    path = dataset(wider)
    assert 7 == len(load(path)) == open_probes(path).count().to_pyarrow().as_py()
    assert [22, 23, 80, 443, 80, 443, 8080] == load(path).dport.tolist()
