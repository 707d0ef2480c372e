"""Datasets in an S3-compatible store are never half-seen, whatever dies, refuses or is lost."""

from __future__ import annotations

import signal
import subprocess
import sys
import textwrap

import pyarrow.parquet as pq
import pytest

from portkin.errors import InputError, OutputError
from portkin_training.commands.table import table
from portkin_training.core import dataset_writer
from portkin_training.core.dataset import load, open_probes, parts_of
from portkin_training.core.dataset_writer import ProbesWriter
from portkin_training.core.places import TIMEOUT, StoreError
from support.object_store import LOSE, PASS, store
from support.running import output_of
from support.sidecar_process import until
from support.stored_probes import assert_holds, some, write

__all__ = ["store"]
GONE = (403, "AccessDenied")
"""What a store that is closed for good answers; clients do not ask again."""


class TestDeaths:
    """A writer that dies leaves the dataset as it was; what it leaves besides is nobody's, and goes later."""

    @pytest.mark.parametrize("before", ["nothing", "append", "force"])
    def test_every_step(self, store, monkeypatch, before):
        """After the last request that a writer could make, whichever it is, the dataset is the old or the new one."""
        monkeypatch.setattr(dataset_writer, "ROWS", 100)
        old, more, last = some(150), some(250, seq=150 if before == "append" else 0), some(3)
        how = {"nothing": {}, "append": {"append": True}, "force": {"force": True}}[before]
        new = [old, more] if before == "append" else [more]
        seen = set()
        for dies in range(1, 40):
            place = f"{store.bucket()}/probes"
            if before != "nothing":
                write(place, old)
            with store.gated(lambda number, method, key: PASS if number < dies else GONE):  # noqa: B023  (called in this turn)
                try:
                    write(place, more, **how)
                    ended = True
                except (InputError, OutputError):
                    ended = False
                asked = len(store.requests)
            is_new = any(key == "manifest.json" for key in store.keys(place)) and len(load(place)) == sum(map(len, new))
            seen.add(is_new)
            if is_new:
                assert_holds(place, *new)
            elif before != "nothing":
                assert_holds(place, old)
            else:
                with pytest.raises(InputError, match="no probes dataset"):
                    load(place)
            # Who comes next is not in the way of what was left, and takes it away; what the one before named stays.
            there = "manifest.json" in store.keys(place)
            named = set(parts_of(place)) if there else set()
            write(place, last, force=there)
            assert_holds(place, last)
            assert named | {*parts_of(place), "manifest.json"} == set(store.keys(place))
            if ended and asked < dies:
                break
        else:
            pytest.fail("it never ends")
        assert {False, True} == seen

    def test_kill(self, store):
        """After SIGKILL in mid-write there is no dataset, and the next writer says what it removed."""
        place = f"{store.bucket()}/probes"
        program = f"""
            import sys, time
            sys.path[:0] = {sys.path!r}
            from portkin_training.core import dataset_writer
            from support.stored_probes import some
            dataset_writer.ROWS = 1
            with dataset_writer.ProbesWriter(sys.argv[1]) as writer:
                for _ in range(3):
                    writer.write(some(10, days=1))
                print("written", flush=True)
                time.sleep(600)
        """
        command = [sys.executable, "-c", textwrap.dedent(program), place]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
            assert "written\n" == process.stdout.readline()
            process.send_signal(signal.SIGKILL)
            process.wait(10)
        left = store.keys(place)
        assert len(left) >= 2
        assert all(name.startswith("day=") for name in left)
        with pytest.raises(InputError, match=r"it has no manifest\.json"):
            open_probes(place)
        assert [f"{place}/{name}" for name in left] == sorted(write(place, some(5)).removed)
        assert_holds(place, some(5))

    def test_failure_leaves_nothing(self, store, monkeypatch):
        """A run that fails, rather than dies, takes away what it put."""
        monkeypatch.setattr(dataset_writer, "ROWS", 7)
        place = f"{store.bucket()}/probes"
        write(place, some(5))
        before = store.keys(place)
        with pytest.raises(ZeroDivisionError), ProbesWriter(place, force=True) as writer:
            writer.write(some(7))
            until(lambda: len(before) < len(store.keys(place)), lambda: "nothing was put")
            raise ZeroDivisionError
        assert before == store.keys(place)
        assert_holds(place, some(5))


class TestTrouble:
    @pytest.mark.parametrize("code", [(503, "SlowDown"), (500, "InternalError")])
    def test_every_tenth_request_is_refused(self, store, monkeypatch, code):
        """Requests that are refused now and then are made again: nothing is lost, nothing counts twice."""
        monkeypatch.setattr(dataset_writer, "ROWS", 50)
        place, refused = f"{store.bucket()}/probes", []

        def gate(number, method, key):
            if number % 10:
                return PASS
            refused.append((method, key))
            return code

        with store.gated(gate):
            write(place, some(400))
            write(place, some(200, seq=400), append=True)
            assert_holds(place, some(400), some(200, seq=400))
        assert len(refused) > 5
        assert {*parts_of(place), "manifest.json"} == set(store.keys(place))

    @pytest.mark.parametrize("how", ["new", "append", "force"])
    def test_two_writers_at_once(self, store, how):
        """Who ends first is kept, who ends second is refused and leaves nothing; both of them can go on."""
        place, options = f"{store.bucket()}/probes", {} if how == "new" else {how: True}
        if options:
            write(place, some(10))
        start = 10 if how == "append" else 0
        one, other = ProbesWriter(place, **options), ProbesWriter(place, **options)
        with pytest.raises(InputError, match="was changed by another run meanwhile, which is kept; run again"), other:
            other.write(some(30, seq=start))
            with one:
                one.write(some(20, seq=start))
        kept = [some(10), some(20, seq=10)] if how == "append" else [some(20)]
        assert_holds(place, *kept)
        rows = sum(map(len, kept))
        write(place, some(30, seq=rows), append=True)
        assert_holds(place, *kept, some(30, seq=rows))

    @pytest.mark.parametrize("how", ["new", "append"])
    def test_a_lost_answer(self, store, how):
        """Where the manifest was put and the answer was lost, the put that repeats it is refused, and all is well."""
        place, lost = f"{store.bucket()}/probes", []
        if how == "append":
            write(place, some(10))

        def gate(number, method, key):
            if method == "PUT" and key.endswith("manifest.json") and not lost:
                lost.append(number)
                return LOSE
            return PASS

        with store.gated(gate):
            write(place, some(20, seq=10 if how == "append" else 0), append=how == "append")
        assert lost
        assert_holds(place, *([some(10), some(20, seq=10)] if how == "append" else [some(20)]))

    def test_a_manifest_that_cannot_be_put(self, store, monkeypatch):
        """The dataset stays as it was; what was put for it stays too, since the put may come through late, until the
        next run."""
        monkeypatch.setenv("AWS_MAX_ATTEMPTS", "2")
        place = f"{store.bucket()}/probes"
        write(place, some(10))
        names = set(store.keys(place))

        def gate(number, method, key):
            return (500, "InternalError") if method == "PUT" and key.endswith("manifest.json") else PASS

        with store.gated(gate), pytest.raises(StoreError, match=r"the store failed \(InternalError\); run again"):
            write(place, some(20), force=True)
        assert_holds(place, some(10))
        left = set(store.keys(place)) - names
        assert left
        assert {f"{place}/{name}" for name in left} == set(write(place, some(20), force=True).removed)
        assert_holds(place, some(20))

    def test_a_put_that_is_never_taken(self, store, monkeypatch):
        """A store that answers, but leaves a put waiting, is given up; the dataset stays as it was."""
        place = f"{store.bucket()}/probes"
        write(place, some(10))
        monkeypatch.setenv(TIMEOUT, "1")
        monkeypatch.setattr(store, "takes_bodies", False)
        with pytest.raises(StoreError, match=rf"the store cannot be reached \(FSTimeoutError\).*{TIMEOUT}"):
            write(place, some(20), force=True)
        monkeypatch.undo()
        assert_holds(place, some(10))
        write(place, some(20), force=True)
        assert_holds(place, some(20))

    def test_a_store_that_closes(self, store, tmp_path):
        """A store that refuses what DuckDB reads, at the first of its requests or a later one, has not damaged the
        dataset: the message is that of the refusal."""
        place = f"{store.bucket()}/probes"
        write(place, some(400))
        for refused in range(0, 500, 13):
            read = []

            def gate(number, method, key):
                if not key.endswith(".parquet"):
                    return PASS
                read.append(number)  # noqa: B023  (called in this turn)
                return GONE if len(read) > refused else PASS  # noqa: B023

            with store.gated(gate):
                try:
                    output_of(table, "build", place, "-o", tmp_path / "out", "--no-proof", "--method", "shortest-path")
                    break
                except StoreError as error:
                    assert "the store refuses (" in str(error)
                    assert not (tmp_path / "out").exists()
        assert 26 < len(read) <= refused

    def test_half_a_day(self, store):
        """What somebody uploads beside is not of the dataset; a file of it that is cut off or gone is damage."""
        from s3fs import S3FileSystem

        place = f"{store.bucket()}/probes"
        write(place, some(100))
        system, name = S3FileSystem(use_listings_cache=False), f"{place}/{parts_of(place)[0]}"
        whole = system.cat_file(name)
        system.pipe_file(f"{place}/day=2024-10-06/part-00000.parquet", whole[:100])
        assert_holds(place, some(100))
        write(place, some(50, seq=100), append=True)
        assert "day=2024-10-06/part-00000.parquet" in store.keys(place)  # not ours to remove
        for change in (lambda: system.pipe_file(name, whole[: len(whole) // 2]), lambda: system.rm(name)):
            change()
            for read in (load, lambda place: open_probes(place).count().to_pyarrow()):
                with pytest.raises(InputError, match="damaged"):
                    read(place)

    @pytest.mark.parametrize("which", [0, -1])
    def test_files_of_another_form(self, store, tmp_path, which):
        """A file that lacks a column, the first or a later one, is reported as such."""
        from s3fs import S3FileSystem

        place, system = f"{store.bucket()}/probes", S3FileSystem(use_listings_cache=False)
        write(place, some(100, days=3))
        name = f"{place}/{parts_of(place)[which]}"
        with system.open(name) as opened:
            held = pq.ParquetFile(opened).read()
        with system.open(name, "wb") as opened:
            pq.write_table(held.drop_columns(["seq"]), opened)
        with pytest.raises(InputError, match=r"not of one form .some have no column 'seq'."):
            load(place)
        with pytest.raises(InputError, match=r"not of one form .*seq"):
            output_of(table, "build", place, "-o", tmp_path / "out", "--no-proof")
        assert not (tmp_path / "out").exists()

    def test_a_file_that_vanishes_before_the_end(self, store, monkeypatch):
        """A manifest never names what is not there."""
        from s3fs import S3FileSystem

        monkeypatch.setattr(dataset_writer, "ROWS", 10)
        place = f"{store.bucket()}/probes"
        with pytest.raises(OutputError, match="is not there as it was written"), ProbesWriter(place) as writer:
            writer.write(some(10, days=1))
            until(lambda: store.keys(place), lambda: "nothing was put")
            S3FileSystem(use_listings_cache=False).rm([f"{place}/{name}" for name in store.keys(place)])
        assert [] == store.keys(place)

    def test_a_reader_keeps_what_it_opened(self, store):
        """A table that was opened can be read after the dataset was replaced once."""
        place = f"{store.bucket()}/probes"
        write(place, some(100))
        opened = open_probes(place)
        write(place, some(30), force=True)
        assert 100 == opened.count().to_pyarrow().as_py()
        assert_holds(place, some(30))
