"""Datasets in an S3-compatible store: as on disk to the last count, and never half-seen, whatever dies or refuses."""

from __future__ import annotations

import json
import signal
import socket
import subprocess
import sys
import textwrap
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from portkin.bundles.table import Table
from portkin.errors import InputError, OutputError
from portkin_training.commands.ingest import ingest
from portkin_training.commands.rates import rates
from portkin_training.commands.replay import replay
from portkin_training.commands.table import table
from portkin_training.core import dataset_writer
from portkin_training.core.dataset import load, manifest, open_probes, parts_by_day, parts_of
from portkin_training.core.dataset_writer import ProbesWriter, merge_files
from portkin_training.core.engine import Engine
from portkin_training.core.places import TIMEOUT, StoreError
from portkin_training.core.probes import Probes
from portkin_training.rates.series import rate_series
from support.object_store import KEY, LOSE, PASS, SECRET, forget_clients, store
from support.sidecar_process import until

__all__ = ["store"]
DAY = 86_400_000_000
BEGIN = 20_000 * DAY
COMMANDS = {command.name: command for command in (ingest, rates, replay, table)}
GONE = (403, "AccessDenied")
"""What a store that is closed for good answers; clients do not ask again."""


def some(n: int, *, seq: int = 0, days: int = 2, seed: int = 0) -> Probes:
    """n probes of a few sources that walk over ports, spread over days."""
    rng = np.random.default_rng([n, seed])
    zeros = np.zeros(n, np.int64)
    return Probes(
        ts=BEGIN + np.sort(rng.integers(0, days * DAY, n)), seq=np.arange(seq, seq + n),
        src=np.column_stack((zeros, rng.integers(1, 20, n))), dst=np.column_stack((zeros, rng.integers(1, 4, n))),
        sport=np.full(n, 4000, np.uint16), dport=rng.integers(20, 40, n).astype(np.uint16),
        proto=np.full(n, 6, np.uint8), flags=np.full(n, 2, np.uint8),
    )  # fmt: skip


def write(place, probes: Probes, **options) -> ProbesWriter:
    with ProbesWriter(place, **options) as writer:
        writer.write(probes[: len(probes) // 2])
        writer.write(probes[len(probes) // 2 :])
    return writer


def assert_holds(place, *chunks: Probes) -> None:
    """What is read from the place by both readers are these probes."""
    expected, actual = Probes.concat(chunks), load(place)
    for name in Probes.__slots__:
        np.testing.assert_array_equal(getattr(expected, name), getattr(actual, name), err_msg=name)
    assert len(expected) == open_probes(place).count().to_pyarrow().as_py()


def run(command: str, *args: object) -> str:
    """A command in this process; what it prints."""
    done = CliRunner().invoke(COMMANDS[command], [*map(str, args)], catch_exceptions=False)
    assert 0 == done.exit_code, done.output
    return done.output


@pytest.fixture(scope="module")
def recording(tmp_path_factory):
    """A CSV of 3,000 probes over four days."""
    path, probes = tmp_path_factory.mktemp("recording") / "probes.csv", some(3000, days=4)
    rows = zip(probes.ts.tolist(), probes.src[:, 1].tolist(), probes.dst[:, 1].tolist(), probes.dport.tolist(),
               strict=True)  # fmt: skip
    lines = [f"{ts / 1e6:.6f},10.0.0.{src},10.1.0.{dst},{port}" for ts, src, dst, port in rows]
    path.write_text("\n".join(["ts,src,dst,dport", *lines]) + "\n")
    return path


@pytest.fixture(scope="module")
def places(store, recording, tmp_path_factory):
    """The dataset of it on disk and in the store, by `portkin ingest`."""
    places = [tmp_path_factory.mktemp("alike") / "probes", f"{store.bucket()}/deep/probes"]
    for place in places:
        run("ingest", recording, "-o", place, "--proto", "tcp")
    return places


class TestAlike:
    """The same commands on a folder and on a store."""

    def test_datasets(self, places):
        """Every probe, and all that the manifest says but when and in which files."""
        local, remote = (
            {name: value for name, value in manifest(place).items() if name not in ("created", "files")}
            for place in places
        )
        assert local == remote
        assert 3000 == local["rows"]
        assert_holds(places[1], load(places[0]))

    @pytest.mark.parametrize("method", ["kin", "shortest-path"])
    def test_tables(self, places, tmp_path, method):
        """`table build` makes the same rows of both."""
        rows = []
        for number, place in enumerate(places):
            run("table", "build", place, "-o", tmp_path / str(number), "--method", method, "--no-proof")
            rows.append(
                {proto: part.neighbors.tolist() for proto, part in Table.load(tmp_path / str(number)).rows.items()}
            )
        assert rows[0] == rows[1]
        assert any(len(part) for part in rows[0].values())

    def test_series(self, places, tmp_path):
        """`rates series` counts the same."""
        for number, place in enumerate(places):
            run("rates", "series", place, "-o", tmp_path / str(number), "--absent", "zero", "--share", 1)
        local, remote = (rate_series.load(tmp_path / name) for name in "01")
        assert local.ports == remote.ports
        assert local.starts.tolist() == remote.starts.tolist()
        assert local.counts.tolist() == remote.counts.tolist()
        assert local.counts.sum() > 2900  # of 3,000, those in the hours at both ends are not whole

    @pytest.mark.parametrize("options", [[], ["--held-out"]])
    def test_replays(self, places, options):
        """`replay` finds the same, also where it learns there."""
        local, remote = (json.loads(run("replay", place, "--json", *options)) for place in places)
        assert local == remote

    def test_days(self, store, tmp_path):
        """Appended day by day it stays what it is on disk, and `table update` counts what is new alone."""
        places, first, second = [tmp_path / "probes", f"{store.bucket()}/probes"], some(600), some(400, seq=600)
        second = Probes(**{name: getattr(second, name) for name in Probes.__slots__} | {"ts": second.ts + 2 * DAY})
        said = []
        for number, place in enumerate(places):
            for probes in (first, second):
                write(place, probes, append=probes is second)
                said.append(run("table", "update", place, tmp_path / f"t{number}", "--method", "shortest-path"))
        assert_holds(places[1], first, second)
        assert ["2 days counted of 2", "2 days counted of 4"] * 2 == [
            line.partition(", ")[2].partition(", half")[0] for line in said
        ]
        tables = [Table.load(tmp_path / f"t{number}").rows["tcp"].neighbors.tolist() for number in range(2)]
        assert tables[0] == tables[1]

    def test_files_of_days_become_one(self, store, tmp_path):
        """As on disk: `merge_files` leaves one file of a day, and the probes as they were."""
        for place in (tmp_path / "probes", f"{store.bucket()}/probes"):
            write(place, some(60))
            write(place, some(40, seq=60), append=True)
            (day, other) = manifest(place)["days"]
            assert (2, 2) == tuple(len(parts_by_day(place)[one]) for one in (day, other))
            merge_files(place, [day])
            assert (1, 2) == tuple(len(parts_by_day(place)[one]) for one in (day, other))
            assert_holds(place, some(60), some(40, seq=60))


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
            sys.path[:0] = {[*sys.path, str(Path(__file__).parent)]!r}
            from portkin_training.core import dataset_writer
            from test_object_store import some
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
        write(place, some(10))
        for refused in range(0, 500, 13):
            read = []

            def gate(number, method, key):
                if not key.endswith(".parquet"):
                    return PASS
                read.append(number)  # noqa: B023  (called in this turn)
                return GONE if len(read) > refused else PASS  # noqa: B023

            with store.gated(gate):
                try:
                    run("table", "build", place, "-o", tmp_path / "out", "--no-proof", "--method", "shortest-path")
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


class TestRefused:
    def test_somebody_elses(self, store):
        """A prefix with anything else in it is refused, forced or not, and stays."""
        from s3fs import S3FileSystem

        place = f"{store.bucket()}/probes"
        S3FileSystem().pipe_file(f"{place}/thesis.tex", b"years of work")
        for force in (False, True):
            with pytest.raises(InputError, match="no probes dataset, so it is not replaced"):
                ProbesWriter(place, force=force)
        assert ["thesis.tex"] == store.keys(place)

    def test_a_dataset_is_replaced_only_when_forced(self, store):
        """As on disk."""
        place = f"{store.bucket()}/probes"
        write(place, some(5))
        with pytest.raises(InputError, match="exists; name a new folder, or replace it with --force"):
            ProbesWriter(place)

    def test_no_bucket(self, store):
        """A bucket that is not there is named, with what to do."""
        with pytest.raises(OutputError, match="s3://nowhere-at-all/probes: there is no such bucket; make it first"):
            write("s3://nowhere-at-all/probes", some(5))
        with pytest.raises(InputError, match="no probes dataset"):
            open_probes("s3://nowhere-at-all/probes")

    def test_other_stores(self):
        """Where a put has no conditions, nothing is written."""
        with pytest.raises(InputError, match="written to folders and to s3:// alone"):
            ProbesWriter("memory://probes")

    def test_credentials_in_a_url(self, store):
        """They are refused and not repeated."""
        with pytest.raises(InputError, match="credentials in it") as raised:
            open_probes(f"s3://{KEY}:{SECRET}@bucket/probes")
        assert SECRET not in str(raised.value)

    def test_spark_without_s3a(self, store):
        """What reads S3 for Spark is not in its package: the error says what to give."""
        place = f"{store.bucket()}/probes"
        write(place, some(5))
        pytest.importorskip("pyspark", reason="no pyspark (the spark extra)")
        with pytest.raises(InputError, match="hadoop-aws"):
            open_probes(place, engine=Engine("spark"))

    LINES = (
        ["ingest", "IN", "-o", "PLACE", "--proto", "tcp"],
        ["ingest", "IN", "-o", "PLACE", "--proto", "tcp", "--append"],
        ["table", "build", "PLACE", "-o", "OUT"],
        ["table", "update", "PLACE", "OUT"],
        ["rates", "series", "PLACE", "-o", "OUT", "--absent", "zero"],
        ["replay", "PLACE"],
        ["replay", "PLACE", "--held-out"],
    )

    def refused(self, command, place, folder) -> str:
        """What a command says that must fail; no traceback, and no secret in it or behind it."""
        forget_clients()
        (folder / "in.csv").write_text("ts,src,dst,dport\n1700000000,1.2.3.4,1.2.3.5,22\n")
        words = {"IN": folder / "in.csv", "PLACE": place, "OUT": folder / "out"}
        done = CliRunner().invoke(COMMANDS[command[0]], [str(words.get(word, word)) for word in command[1:]])
        assert isinstance(done.exception, SystemExit | InputError), done.exception
        assert 0 != done.exit_code
        said = done.output + str(done.exception)
        for secret in (KEY, SECRET, "wrong secret", "WRONGKEY", "StringToSign"):
            assert secret not in said
        assert not (folder / "out").exists()
        return said

    @pytest.mark.parametrize("command", LINES, ids=" ".join)
    def test_wrong_credentials(self, store, monkeypatch, tmp_path, command):
        """Every command says that the store refuses and what to set, and never which key or secret it had."""
        place = f"{store.bucket()}/probes"
        monkeypatch.setenv("AWS_ACCESS_KEY_ID", "WRONGKEY")
        monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "wrong secret")
        said = self.refused(command, place, tmp_path)
        assert f"{place}: the store refuses" in said
        assert "AWS_ACCESS_KEY_ID" in said

    def test_no_credentials(self, store, monkeypatch, tmp_path):
        """So do those of nobody."""
        place = f"{store.bucket()}/probes"
        for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
            monkeypatch.delenv(name)
        monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", "/dev/null")
        assert "the store refuses" in self.refused(self.LINES[2], place, tmp_path)

    @pytest.mark.parametrize("command", [LINES[0], LINES[2]], ids=" ".join)
    def test_unreachable(self, store, monkeypatch, tmp_path, command):
        """Where nobody listens, the message says so and what to look at."""
        monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
        monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
        said = self.refused(command, "s3://bucket/probes", tmp_path)
        assert "s3://bucket/probes: the store cannot be reached" in said
        assert "AWS_ENDPOINT_URL" in said

    @pytest.mark.parametrize("command", [LINES[0], LINES[2]], ids=" ".join)
    def test_silent(self, store, monkeypatch, tmp_path, command):
        """So where somebody listens and never answers, after the time that was set."""
        with socket.create_server(("127.0.0.1", 0)) as silent:
            monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{silent.getsockname()[1]}")
            monkeypatch.setenv(TIMEOUT, "0.5")
            said = self.refused(command, "s3://bucket/probes", tmp_path)
        assert "s3://bucket/probes: the store cannot be reached" in said
        assert TIMEOUT in said

    @pytest.mark.parametrize("text", ["", "soon", "0", "-1", "nan", "inf"])
    def test_a_time_that_is_none(self, monkeypatch, text):
        """What is no number of seconds is refused."""
        monkeypatch.setenv(TIMEOUT, text)
        with pytest.raises(InputError, match=f"{TIMEOUT}='{text}': give the seconds"):
            open_probes("s3://bucket/probes")
