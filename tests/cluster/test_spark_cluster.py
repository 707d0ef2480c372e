"""A Spark cluster of processes, as many machines would be: the same tables, series and replays as DuckDB's, to the last
count, also where a machine or the driver dies in the middle."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from bench.synthetic_probes import write
from portkin.bundles.table import Table
from portkin.errors import PortkinError
from portkin.files import claimed
from portkin_training.commands.rates import rates
from portkin_training.commands.replay import replay
from portkin_training.commands.table import table
from portkin_training.core.dataset import manifest, open_probes
from portkin_training.rates.series import rate_series
from support.fits import judged, shipped
from support.labelled_traces import write_traces
from support.sidecar_process import until
from support.spark_cluster import PORTKIN, STARTS, cluster_in, ended, while_it_works

COMMANDS = {command.name: command for command in (rates, replay, table)}
DAYS = 12
cluster_of_three = pytest.mark.cluster
pytestmark = pytest.mark.timeout(1200)


@pytest.fixture(scope="module")
def probes(tmp_path_factory) -> Path:
    """The dataset, in a folder that all machines see."""
    path = tmp_path_factory.mktemp("shared") / "probes"
    write(path, 30_000, days=DAYS)
    return path


@pytest.fixture(scope="module")
def cluster(tmp_path_factory):
    """A master and three workers."""
    with cluster_in(tmp_path_factory.mktemp("cluster"), 3) as running:
        yield running


def here(*arguments: object) -> str:
    """The same command by DuckDB, in this process; what it prints."""
    done = CliRunner().invoke(COMMANDS[arguments[0]], [*map(str, arguments[1:])], catch_exceptions=False)
    assert 0 == done.exit_code, done.output
    return done.stdout


def assert_same_tables(one: Path, other: Path) -> None:
    """Every row of both tables, bit by bit."""
    expected, actual = Table.load(one).rows, Table.load(other).rows
    assert expected.keys() == actual.keys()
    assert sum(len(part.neighbors) for part in expected.values()) > 100
    for proto, part in expected.items():
        for name in ("ports", "neighbors", "distances"):
            np.testing.assert_array_equal(getattr(part, name), getattr(actual[proto], name), err_msg=f"{proto} {name}")


def test_one_worker(probes, tmp_path):
    """A master and a worker make the table that DuckDB makes."""
    with cluster_in(tmp_path / "cluster", 1) as cluster:
        cluster.run("table", "build", probes, "-o", tmp_path / "spark", "--method", "shortest-path", "--no-proof")
        begun, done = cluster.workers[0].tasks()
    here("table", "build", probes, "-o", tmp_path / "duckdb", "--method", "shortest-path", "--no-proof")
    assert_same_tables(tmp_path / "duckdb", tmp_path / "spark")
    assert begun == done > 0


@cluster_of_three
class TestAlike:
    def test_tables(self, cluster, probes, tmp_path):
        """By kin: the same rows, and each worker had a part in it."""
        for name, run in (("duckdb", here), ("spark", cluster.run)):
            run("table", "build", probes, "-o", tmp_path / name, "--no-proof")
        assert_same_tables(tmp_path / "duckdb", tmp_path / "spark")
        assert all(worker.tasks()[1] > 0 for worker in cluster.workers)

    def test_days(self, cluster, probes, tmp_path):
        """`table update` counts all days, and then the one alone that `ingest --append` brought."""
        grows = tmp_path / "probes"
        write(grows, 20_000, days=3)
        said = [cluster.run("table", "update", grows, tmp_path / "spark", "--method", "shortest-path")]
        last = manifest(grows)["last"]
        recording = a_recording(tmp_path / "more.csv", np.datetime64(last[:10], "D") + 1)
        portkin("ingest", "--append", recording, "-o", grows, "--proto", "tcp")
        said.append(cluster.run("table", "update", grows, tmp_path / "spark"))
        assert ["3 days counted of 3", "1 day counted of 4"] == [
            re.search(r"\d+ days? counted of \d+", line)[0] for line in said
        ]
        here("table", "update", grows, tmp_path / "duckdb", "--method", "shortest-path")
        assert_same_tables(tmp_path / "duckdb", tmp_path / "spark")

    def test_series(self, cluster, probes, tmp_path):
        """`rates series` counts the same."""
        for name, run in (("duckdb", here), ("spark", cluster.run)):
            run("rates", "series", probes, "-o", tmp_path / name, "--absent", "zero")
        expected, actual = (rate_series.load(tmp_path / name) for name in ("duckdb", "spark"))
        assert expected.ports == actual.ports
        assert expected.starts.tolist() == actual.starts.tolist()
        assert expected.counts.tolist() == actual.counts.tolist()
        assert expected.counts.sum() > 10_000

    def test_forecasts(self, cluster, probes, tmp_path):
        """`rates evaluate` and `train` find the same kin, fit the same models, and ship the same bundle."""
        here("rates", "series", probes, "-o", tmp_path / "series", "--absent", "zero")
        fit = (
            tmp_path / "series",
            "--probes",
            probes,
            "--lags",
            24,
            "--most",
            2,
            "--model",
            "EWMA",
            "--model",
            "ridge",
        )
        said, made = [], []
        for name, run in (("duckdb", here), ("spark", cluster.run)):
            said.append(judged(run("rates", "evaluate", *fit, "--work", tmp_path / f"work-{name}", "--json")))
            run("rates", "train", *fit, "--work", tmp_path / f"fits-{name}", "-o", tmp_path / name)
            made.append(shipped(tmp_path / name))
        assert said[0] == said[1]
        assert 2 == len(said[0]["ports"])
        assert made[0] == made[1]

    def test_held_out(self, cluster, probes):
        """`replay --held-out` learns and finds the same."""
        expected, actual = (json.loads(run("replay", probes, "--held-out", "--json")) for run in (here, cluster.run))
        assert expected == actual

    def test_labelled_captures(self, cluster, tmp_path):
        """Captures are read by a task each, and replayed to the figures of one after the other."""
        traces = write_traces(tmp_path)
        words = (*sorted(traces.glob("*.pcap")), "--labels", traces, "-t", 15, "--json")
        expected, actual = (json.loads(run("replay", *words)) for run in (here, cluster.run))
        assert expected == actual
        assert expected["predictors"]


@cluster_of_three
class TestFaults:
    def test_a_worker_vanishes(self, cluster, probes, tmp_path):
        """Where a machine dies with work in hand, the others do it again, and nothing counts twice."""
        victim = cluster.workers[-1]
        with cluster.started("table", "build", probes, "-o", tmp_path / "spark", "--no-proof") as driver:
            while_it_works(victim, driver)
            victim.kill()
            begun, done = victim.tasks()
            ended(driver)
        assert begun > done
        here("table", "build", probes, "-o", tmp_path / "duckdb", "--no-proof")
        assert_same_tables(tmp_path / "duckdb", tmp_path / "spark")
        cluster.add()

    def test_the_driver_vanishes(self, cluster, probes, tmp_path):
        """What it had counted is kept, there is no table, and the next run counts the other days alone."""
        counts = tmp_path / "spark-counts"
        with cluster.started("table", "update", probes, tmp_path / "spark", "--method", "shortest-path") as driver:
            until(lambda: list(counts.glob("day=*")) or driver.poll() is not None, lambda: "nothing counted", STARTS)
            os.killpg(driver.pid, signal.SIGKILL)
            driver.wait()
        kept = len(list(counts.glob("day=*")))
        assert 0 < kept < DAYS
        assert not (tmp_path / "spark").exists()
        said = cluster.run("table", "update", probes, tmp_path / "spark", "--method", "shortest-path")
        assert f"{DAYS - kept} days counted of {DAYS}" in said
        here("table", "update", probes, tmp_path / "duckdb", "--method", "shortest-path")
        assert_same_tables(tmp_path / "duckdb", tmp_path / "spark")

    def test_two_drivers(self, cluster, probes, tmp_path):
        """Of two that update one table at once the second is refused, and the first is not disturbed."""
        arguments = ("table", "update", probes, tmp_path / "spark", "--method", "shortest-path")
        with cluster.started(*arguments) as first:
            until(lambda: is_claimed(tmp_path / "spark-counts"), lambda: "it does not begin", STARTS)
            os.kill(first.pid, signal.SIGSTOP)  # until the second has been there
            second = subprocess.run(cluster.command(*arguments), capture_output=True, text=True)
            os.kill(first.pid, signal.SIGCONT)
            assert 1 == second.returncode
            assert "another run counts days there; wait for it" in second.stderr
            assert f"{DAYS} days counted of {DAYS}" in ended(first)

    def test_two_writers(self, cluster, tmp_path):
        """Of two `ingest --append` at once into the shared folder none is half there: what Spark counts is what was
        taken, and one that was refused can be run again."""
        shared, days = tmp_path / "probes", [np.datetime64("2025-01-01") + day for day in range(3)]
        recordings = [a_recording(tmp_path / f"{day}.csv", day) for day in days]
        portkin("ingest", recordings[0], "-o", shared, "--proto", "tcp")
        both = [
            subprocess.Popen([*PORTKIN, "ingest", "--append", recording, "-o", shared, "--proto", "tcp"],
                             stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
            for recording in recordings[1:]
        ]  # fmt: skip
        said = [process.communicate()[1] for process in both]
        assert any(process.returncode == 0 for process in both), said
        for process, recording, text in zip(both, recordings[1:], said, strict=True):
            if process.returncode:
                assert "another run" in text
                portkin("ingest", "--append", recording, "-o", shared, "--proto", "tcp")
        assert 3 * ROWS == manifest(shared)["rows"] == open_probes(shared).count().to_pyarrow().as_py()
        said = cluster.run("table", "update", shared, tmp_path / "spark", "--method", "shortest-path")
        assert "3 days counted of 3" in said


def is_claimed(folder: Path) -> bool:
    """Whether a process has the lock of a folder."""
    try:
        with claimed(folder, LockedError()):
            return False
    except FileNotFoundError:
        return False
    except LockedError:
        return True


class LockedError(PortkinError):
    """Somebody has the lock."""


ROWS = 900


def a_recording(path: Path, day: np.datetime64) -> Path:
    """A CSV of `ROWS` probes of a day: 30 sources walk over 30 ports each, a second apart."""
    start = int(day.astype("datetime64[s]").astype(np.int64))
    lines = [
        f"{start + 30 * source + step},198.51.100.{source},192.0.2.1,{20 + (source + 3 * step) % 50}"
        for source in range(30)
        for step in range(30)
    ]
    path.write_text("\n".join(["ts,src,dst,dport", *lines]) + "\n")
    return path


def portkin(*arguments: object) -> None:
    """A command that succeeds, in a process of its own."""
    done = subprocess.run([*PORTKIN, *map(str, arguments)], capture_output=True, text=True)
    assert 0 == done.returncode, done.stderr
