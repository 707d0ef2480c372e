"""The probes dataset: written whole or not at all, and read as it was written."""

import errno
import json
import os
import signal
import subprocess
import sys
import textwrap

import numpy as np
import pyarrow.parquet as pq
import pytest

from portkin.errors import InputError, OutputError
from portkin_training.core import dataset, dataset_folder, dataset_writer
from portkin_training.core.dataset import load, manifest, open_probes
from portkin_training.core.dataset_writer import ProbesWriter
from portkin_training.core.probes import SCHEMA, Probes

DAY = 86_400_000_000
BEGIN = 19_675 * DAY  # 2023-11-14


def some(n: int, *, seq: int = 0, step: int = 1) -> Probes:
    """n probes, ``step`` us apart, of the largest and smallest values there are."""
    rng = np.random.default_rng(n)
    extreme = np.array([-(1 << 63), (1 << 63) - 1, 0, -1])
    return Probes(
        ts=BEGIN + np.arange(n) * step,
        seq=np.arange(seq, seq + n),
        src=rng.choice(extreme, (n, 2)),
        dst=rng.choice(extreme, (n, 2)),
        sport=rng.choice([0, 65535], n).astype(np.uint16),
        dport=rng.choice([0, 443, 65535], n).astype(np.uint16),
        proto=rng.choice([6, 17], n).astype(np.uint8),
        flags=rng.choice([0, 2, 255], n).astype(np.uint8),
    )


def write(path, *chunks: Probes, **options) -> ProbesWriter:
    with ProbesWriter(path, **options) as writer:
        for chunk in chunks:
            writer.write(chunk)
    return writer


def assert_equal(expected: Probes, actual: Probes) -> None:
    for name in Probes.__slots__:
        np.testing.assert_array_equal(getattr(expected, name), getattr(actual, name), err_msg=name)
        assert getattr(expected, name).dtype == getattr(actual, name).dtype


def test_what_is_written_is_read(tmp_path):
    """Every value of every column comes back, in the order of the recording, also over several days."""
    first, second = some(1000, step=DAY // 400), some(500, seq=1000)
    write(tmp_path / "d", first, second)  # the second chunk goes back in time
    assert_equal(Probes.concat([first, second]), load(tmp_path / "d"))


def test_parts_of_bounded_size(tmp_path, monkeypatch):
    """A long recording becomes several files; what is read back is the same."""
    monkeypatch.setattr(dataset_writer, "ROWS", 100)
    chunks = [some(60, seq=60 * at) for at in range(7)]
    write(tmp_path / "d", *chunks)
    rows = [pq.read_metadata(file).num_rows for file in sorted((tmp_path / "d").glob("day=*/*.parquet"))]
    assert [100, 100, 100, 100, 20] == rows
    assert_equal(Probes.concat(chunks), load(tmp_path / "d"))


def test_row_groups_of_a_file(tmp_path, monkeypatch):
    """A file is written in row groups, with statistics of the time, and read as one."""
    monkeypatch.setattr(dataset_writer, "GROUP", 100)
    chunks = [some(60, seq=60 * at) for at in range(7)]
    write(tmp_path / "d", *chunks)
    (file,) = (tmp_path / "d").glob("day=*/*.parquet")
    about = pq.read_metadata(file)
    assert [100, 100, 100, 100, 20] == [about.row_group(at).num_rows for at in range(about.num_row_groups)]
    assert all(about.row_group(at).column(0).is_stats_set for at in range(5))
    assert_equal(Probes.concat(chunks), load(tmp_path / "d"))


def test_many_days_in_turn(tmp_path, monkeypatch):
    """Probes whose days come in turns, more than files are kept open, are all written."""
    monkeypatch.setattr(dataset_writer, "ROWS", 400)
    chunks = [some(300, seq=300 * at, step=DAY // 10) for at in range(4)]  # 30 days, four times
    write(tmp_path / "d", *chunks)
    assert_equal(Probes.concat(chunks), load(tmp_path / "d"))
    assert 30 == len(manifest(tmp_path / "d")["days"])


def test_folder_of_days_with_the_schema_and_a_manifest(tmp_path):
    """Days are hive partitions in UTC, each file has the schema, and the manifest counts them."""
    writer = ProbesWriter(tmp_path / "d")
    with writer:
        writer.write(some(3, step=DAY))
        writer.about = {"sources": ["here"]}
    days = sorted(path.name for path in (tmp_path / "d").iterdir() if path.is_dir())
    assert ["day=2023-11-14", "day=2023-11-15", "day=2023-11-16"] == days
    assert all(SCHEMA.equals(pq.read_schema(file)) for file in (tmp_path / "d").glob("*/*.parquet"))
    found = manifest(tmp_path / "d")
    assert ("probes", 3, {"sources": ["here"]}) == (found["kind"], found["rows"], found["about"])
    assert {day[4:]: 1 for day in days} == found["days"]
    assert ("2023-11-14T00:00:00.000000Z", "2023-11-16T00:00:00.000000Z") == (found["first"], found["last"])


def test_table_for_queries(tmp_path):
    """The Ibis table has the columns of the schema and the day."""
    expected = some(1000, step=DAY // 400)
    write(tmp_path / "d", expected)
    table = open_probes(tmp_path / "d")
    assert {*SCHEMA.names, "day"} == {*table.columns}
    found = table.order_by("seq").to_pyarrow()
    assert_equal(expected, Probes.from_arrow(found))
    assert 3 == table.day.nunique().to_pyarrow().as_py()


def test_empty_dataset(tmp_path):
    """A dataset without probes can be written and read."""
    write(tmp_path / "d")
    assert 0 == len(load(tmp_path / "d"))
    assert 0 == open_probes(tmp_path / "d").count().execute()


def test_dataset_is_replaced_only_when_forced_and_then_at_once(tmp_path):
    """What is there stays unless force is given, and stays whole until the new one is."""
    write(tmp_path / "d", some(5))
    with pytest.raises(InputError, match="exists; name a new folder, or replace it with --force"):
        ProbesWriter(tmp_path / "d")
    with ProbesWriter(tmp_path / "d", force=True) as writer:
        writer.write(some(7))
        assert 5 == len(load(tmp_path / "d"))
    assert 7 == len(load(tmp_path / "d"))
    assert ["d"] == [path.name for path in tmp_path.iterdir()]


@pytest.mark.parametrize("force", [False, True])
def test_what_is_no_dataset_is_never_replaced(tmp_path, force):
    """A folder or file of somebody else's is refused, forced or not."""
    (tmp_path / "d").mkdir()
    (tmp_path / "d" / "thesis.tex").write_text("years of work")
    (tmp_path / "f").write_text("years of work")
    for name in ("d", "f"):
        with pytest.raises(InputError, match="no probes dataset, so it is not replaced"):
            ProbesWriter(tmp_path / name, force=force)
    write(tmp_path / "new" / "deep", some(1))  # an absent parent is made


def test_failure_leaves_nothing(tmp_path):
    """Where writing fails, the name is as it was and no hidden folder stays."""
    write(tmp_path / "d", some(5))
    with pytest.raises(ZeroDivisionError), ProbesWriter(tmp_path / "d", force=True) as writer:
        writer.write(some(7))
        raise ZeroDivisionError
    assert 5 == len(load(tmp_path / "d"))
    assert ["d"] == [path.name for path in tmp_path.iterdir()]


def test_full_disk_is_reported(tmp_path, monkeypatch):
    """Where the disk is full, the error names the dataset and the remedy, and nothing is left."""

    def full(*_, **__):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(dataset_folder.ParquetFile, "write", full)
    with pytest.raises(OutputError, match=r"d: cannot be written .*No space left.*; make room"):
        write(tmp_path / "d", some(1))
    assert [] == [*tmp_path.iterdir()]
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match="cannot be written"):
        write(tmp_path / "file" / "d", some(1))


def test_killed_writer_leaves_no_dataset_and_the_next_one_cleans_up(tmp_path):
    """After SIGKILL there is no dataset, only a hidden folder that the next writer removes; a living one's stays."""
    program = """
        import sys, time
        import numpy as np
        from portkin_training.core import dataset_writer
        from portkin_training.core.probes import Probes
        dataset_writer.ROWS = 1
        zeros = np.zeros((1, 2), np.int64)
        one = lambda dtype: np.zeros(1, dtype)
        with dataset_writer.ProbesWriter(sys.argv[1]) as writer:
            for _ in range(3):
                writer.write(Probes(one(np.int64), one(np.int64), zeros, zeros, one(np.uint16),
                                    one(np.uint16), one(np.uint8), one(np.uint8)))
            print("written", flush=True)
            time.sleep(60)
    """
    command = [sys.executable, "-c", textwrap.dedent(program), tmp_path / "d"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert "written\n" == process.stdout.readline()
        living = [*tmp_path.glob(".d.*.partial")]
        writer = write(tmp_path / "d", some(1))
        assert [] == writer.removed
        assert [*tmp_path.glob(".d.*.partial")] == living
        process.send_signal(signal.SIGKILL)
        process.wait(10)
    assert 1 == len(living)
    assert any(living[0].rglob("*.parquet"))
    writer = write(tmp_path / "d", some(2), force=True)
    assert [str(folder) for folder in living] == writer.removed
    assert ["d"] == [path.name for path in tmp_path.iterdir()]
    assert 2 == len(load(tmp_path / "d"))


def test_half_a_dataset_is_refused(tmp_path):
    """A folder without manifest, of another kind or schema, or with rows missing is refused with what to do."""
    write(tmp_path / "d", some(5, step=DAY))
    where = tmp_path / "d" / "manifest.json"
    text = where.read_text()
    for change, said in (
        ({"kind": "table"}, "of kind 'table', not 'probes'"),
        ({"schema": 99}, "schema 99"),
        ({"rows": 6}, "5 rows where the manifest says 6"),
    ):
        where.write_text(json.dumps(json.loads(text) | change))
        with pytest.raises(InputError, match=said):
            load(tmp_path / "d")
    where.write_text("{")
    with pytest.raises(InputError, match="cannot be read"):
        manifest(tmp_path / "d")
    where.unlink()
    for opening in (load, open_probes, manifest):
        with pytest.raises(InputError, match=r"it has no manifest\.json"):
            opening(tmp_path / "d")
        with pytest.raises(InputError, match="there is no such folder"):
            opening(tmp_path / "nowhere")


def test_damaged_file_is_refused(tmp_path):
    """A Parquet file that is cut off is named, and no traceback of the library is shown."""
    write(tmp_path / "d", some(5))
    (file,) = (tmp_path / "d").glob("*/*.parquet")
    os.truncate(file, file.stat().st_size // 2)
    with pytest.raises(InputError, match="damaged"):
        load(tmp_path / "d")


def test_link_to_a_dataset_goes_on_pointing(tmp_path):
    """Replacing what a symbolic link names replaces the dataset, not the link."""
    write(tmp_path / "real", some(1))
    (tmp_path / "link").symlink_to("real")
    write(tmp_path / "link", some(2), force=True)
    assert (tmp_path / "link").is_symlink()
    assert 2 == len(load(tmp_path / "real"))


@pytest.mark.parametrize("read", [load, lambda path: open_probes(path).count().to_pyarrow().as_py()])
@pytest.mark.parametrize("times", [1, 3])
def test_a_dataset_that_is_replaced_while_it_is_read_is_read_whole(tmp_path, monkeypatch, read, times):
    """Its parts are opened one by one: one that another takes the place of meanwhile is read again, not damaged."""
    path, sizes = tmp_path / "d", [200 + n for n in range(times)]
    write(path, some(100))

    def replaced_after(where):
        found = manifest(where)
        if sizes:
            write(path, some(sizes.pop(0)), force=True)
        return found

    monkeypatch.setattr(dataset, "manifest", replaced_after)
    found = read(path)
    assert 200 + times - 1 == (found if isinstance(found, int) else len(found))


def test_a_damaged_dataset_stays_damaged(tmp_path):
    """Where nobody replaces it, what is missing is reported."""
    write(tmp_path / "d", some(100))
    next((tmp_path / "d").glob("day=*/*.parquet")).unlink()
    with pytest.raises(InputError, match="damaged"):
        load(tmp_path / "d")
