"""A Spark standalone cluster on loopback: one master and its workers, processes as Spark's own scripts start them."""

from __future__ import annotations

import contextlib
import importlib.util
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from support.sidecar_process import until

STARTS = 300.0
"""Seconds in which a process of the cluster has started, also on a machine that is busy."""
DAEMON = {
    "SPARK_DAEMON_MEMORY": "256m",
    "SPARK_DAEMON_JAVA_OPTS": "-XX:TieredStopAtLevel=1 -XX:+UseSerialGC",
    "SPARK_LOCAL_IP": "127.0.0.1",
}
DEFAULTS = """
spark.executor.memory                   640m
spark.executor.extraJavaOptions         -XX:TieredStopAtLevel=1 -XX:+UseSerialGC
spark.driver.extraJavaOptions           -XX:TieredStopAtLevel=1 -XX:+UseSerialGC
spark.sql.shuffle.partitions            6
"""
"""What a cluster's spark-defaults.conf says: small machines, which start fast rather than run fast."""
ZONES = ("UTC", "Asia/Kolkata", "America/St_Johns")
"""The time zones that workers live in, one after the other: what they count must not depend on it."""
PORTKIN = [sys.executable, "-c", "from portkin.cli import main; main()"]


@dataclass
class Worker:
    """One machine of the cluster: a worker and, in its process group, the executors that it starts."""

    process: subprocess.Popen[bytes]
    folder: Path

    def kill(self) -> None:
        """Have the machine vanish."""
        os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()

    def tasks(self) -> tuple[int, int]:
        """How many tasks its executors have begun, and ended."""
        said = "".join(path.read_text(errors="replace") for path in self.folder.glob("app-*/*/stderr"))
        return said.count("Executor: Running task "), said.count("Executor: Finished task ")


@dataclass
class Cluster:
    """A cluster that runs.

    Attributes:
        url: the master's.
        page: where the master says in JSON what it knows.
        folder: logs, settings and the workers' folders.
        workers: those that were started.
    """

    url: str
    page: str
    folder: Path
    workers: list[Worker] = field(default_factory=list)

    def add(self) -> Worker:
        """Start another worker of one core, and wait until the master knows it."""
        folder = self.folder / f"worker-{len(self.workers)}"
        alive = len(self.alive())
        process = _daemon(
            self.folder, folder.name, "worker.Worker", "--host", "127.0.0.1", "--webui-port", "0", "--cores", "1",
            "--memory", "768m", "--work-dir", str(folder), self.url, zone=ZONES[len(self.workers) % len(ZONES)],
        )  # fmt: skip
        self.workers.append(Worker(process, folder))
        until(lambda: len(self.alive()) > alive, lambda: _said(self.folder / f"{folder.name}.log"), STARTS)
        return self.workers[-1]

    def alive(self) -> list[dict[str, Any]]:
        """The workers that the master takes for alive."""
        with urllib.request.urlopen(f"{self.page}/json/") as answer:
            return [worker for worker in json.load(answer)["workers"] if worker["state"] == "ALIVE"]

    def command(self, *arguments: object) -> list[str]:
        """A command of portkin, run by this cluster."""
        return [*PORTKIN, *map(str, arguments), "--engine", "spark", "--master", self.url]

    @contextmanager
    def started(self, *arguments: object) -> Iterator[subprocess.Popen[str]]:
        """It as a process, which is the driver; killed at the end where it still runs, and the Java that it started."""
        environment = os.environ | {"SPARK_CONF_DIR": str(self.folder / "conf"), "SPARK_LOCAL_IP": "127.0.0.1"}
        with subprocess.Popen(
            self.command(*arguments), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment,
            start_new_session=True,
        ) as driver:  # fmt: skip
            try:
                yield driver
            finally:
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(driver.pid, signal.SIGKILL)

    def run(self, *arguments: object) -> str:
        """What a command prints that succeeds."""
        with self.started(*arguments) as driver:
            return ended(driver)


def ended(driver: subprocess.Popen[str]) -> str:
    """What a driver prints that succeeds."""
    out, err = driver.communicate()
    assert 0 == driver.returncode, out + err
    return out


@contextmanager
def cluster_in(folder: Path, workers: int) -> Iterator[Cluster]:
    """A cluster of so many workers of one core; the test is skipped where there is no pyspark or Java."""
    if importlib.util.find_spec("pyspark") is None:
        pytest.skip("no pyspark (the spark extra)")
    java = shutil.which("java")
    if java is None or subprocess.run([java, "-version"], capture_output=True).returncode:
        pytest.skip("no Java 17, which Spark needs")
    (folder / "conf").mkdir(parents=True)
    (folder / "conf" / "spark-defaults.conf").write_text(DEFAULTS)
    log = folder / "master.log"
    master = _daemon(folder, "master", "master.Master", "--host", "127.0.0.1", "--port", "0", "--webui-port", "0")
    running: list[Worker] = []
    try:
        url, page = (
            until(lambda form=form: re.search(form, _said(log)), lambda: _said(log), STARTS)[1]
            for form in (r"Starting Spark master at (spark://\S+)", r"MasterWebUI.*started at (http://\S+)")
        )
        cluster = Cluster(url, page, folder, running)
        for _ in range(workers):
            cluster.add()
        yield cluster
    finally:
        for process in (*(worker.process for worker in running), master):
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def _daemon(folder: Path, name: str, kind: str, *arguments: str, zone: str = ZONES[0]) -> subprocess.Popen[bytes]:
    import pyspark

    home = Path(pyspark.__file__).parent
    with (folder / f"{name}.log").open("wb") as log:
        return subprocess.Popen(
            [home / "bin" / "spark-class", f"org.apache.spark.deploy.{kind}", *arguments],
            stdout=log, stderr=subprocess.STDOUT, start_new_session=True,
            env=os.environ | DAEMON | {"TZ": zone, "SPARK_HOME": str(home), "SPARK_CONF_DIR": str(folder / "conf")},
        )  # fmt: skip


def _said(log: Path) -> str:
    return log.read_text(errors="replace")


def while_it_works(worker: Worker, driver: subprocess.Popen[str]) -> None:
    """Wait until the worker has a task begun and not ended, with the driver still there."""

    def busy() -> bool:
        assert driver.poll() is None, "the driver ended before"
        begun, done = worker.tasks()
        return begun > done

    until(busy, lambda: f"no task began: {worker.tasks()}", STARTS)
