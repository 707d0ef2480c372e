"""Datasets in an S3-compatible store: as on disk to the last count, and what is refused."""

from __future__ import annotations

import json
import socket

import pytest
from click.testing import CliRunner

from portkin.bundles.table import Table
from portkin.errors import InputError, OutputError
from portkin_training.commands.ingest import ingest
from portkin_training.commands.rates import rates
from portkin_training.commands.replay import replay
from portkin_training.commands.table import table
from portkin_training.core.dataset import load, manifest, open_probes, parts_by_day
from portkin_training.core.dataset_writer import ProbesWriter, merge_files
from portkin_training.core.engine import Engine
from portkin_training.core.places import TIMEOUT
from portkin_training.core.probes import Probes
from portkin_training.rates.series import rate_series
from support.fits import judged, shipped
from support.object_store import KEY, SECRET, forget_clients, store
from support.running import output_of
from support.stored_probes import DAY, assert_holds, some, write

__all__ = ["store"]
COMMANDS = {command.name: command for command in (ingest, rates, replay, table)}


def run(command: str, *args: object) -> str:
    """A command in this process; what it prints."""
    return output_of(COMMANDS[command], *args)


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

    def test_forecasts(self, store, tmp_path):
        """From series counted there and kin found there, `rates evaluate` and `train` fit the same models."""
        places, probes = [tmp_path / "probes", f"{store.bucket()}/probes"], some(6000, days=12)
        said, made = [], []
        for number, place in enumerate(places):
            write(place, probes)
            series, bundle = tmp_path / f"series{number}", tmp_path / f"bundle{number}"
            run("rates", "series", place, "-o", series, "--absent", "zero", "--share", 1)
            fit = (series, "--probes", place, "--lags", 24, "--most", 2, "--model", "EWMA", "--model", "ridge")
            said.append(judged(run("rates", "evaluate", *fit, "--work", tmp_path / f"work{number}", "--json")))
            run("rates", "train", *fit, "--work", tmp_path / f"fits{number}", "-o", bundle)
            made.append(shipped(bundle))
        assert said[0] == said[1]
        assert 2 == len(said[0]["ports"])
        assert made[0] == made[1]

    @pytest.mark.parametrize("options", [[], ["--held-out"]])
    def test_replays(self, places, options):
        """`replay` finds the same, also where it learns there."""
        local, remote = (json.loads(run("replay", place, "--json", *options)) for place in places)
        assert local == remote

    @pytest.mark.parametrize("method", ["kin", "shortest-path"])
    def test_days(self, store, tmp_path, method):
        """Appended day by day it stays what it is on disk, and `table update` counts what is new alone."""
        places, first, second = [tmp_path / "probes", f"{store.bucket()}/probes"], some(600), some(400, seq=600)
        second = Probes(**{name: getattr(second, name) for name in Probes.__slots__} | {"ts": second.ts + 2 * DAY})
        said = []
        for number, place in enumerate(places):
            for probes in (first, second):
                write(place, probes, append=probes is second)
                said.append(run("table", "update", place, tmp_path / f"t{number}", "--method", method))
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

    @pytest.mark.parametrize("command", [LINES[0], LINES[2]], ids=" ".join)
    @pytest.mark.parametrize(("clock", "what"), [(3600, "60 minutes behind"), (-7200, "120 minutes ahead of")])
    def test_clocks_apart(self, store, monkeypatch, tmp_path, command, clock, what):
        """Where the store refuses since this machine's clock is off, that is what is said, not the credentials."""
        place = f"{store.bucket()}/probes"
        monkeypatch.setattr(store, "clock", clock)
        said = self.refused(command, place, tmp_path)
        assert f"{place}: the store refuses" in said
        assert f"this machine's clock is {what} the store's; set it" in said
        assert "AWS_ACCESS_KEY_ID" not in said

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
