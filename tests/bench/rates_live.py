"""What live rates cost the sidecar: a report taken in, a closed bin scored, memory.

The models are the paper's LSTM (untrained: the cost is all the same) and linear ones. A child on one core takes the
reports of some nodes, each of which names every port, and closes bins through the same scorer and
SQLite file that `portkin serve` uses.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from bench.figures import Figure, Size
from bench.lstm_bundle import write_bundle

CHILD = """
import json, os, sys, time
from datetime import UTC, datetime, timedelta
from pathlib import Path
import numpy as np
from prometheus_client import CollectorRegistry
from portkin.config.schema import RatesConfig
from portkin.bundles.forecast import Forecaster
from portkin.zeek.messages import RatesReport, RatesScores
from portkin.zeek.event import Count
from portkin.rates.scorer import RateScorer
from portkin.rates.factory import make_store
from portkin.rates.metrics import RatesMetrics
def rss(): return int(open("/proc/self/statm").read().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 2**20
models_path, nodes = Path(sys.argv[1]), int(sys.argv[2])
base = rss()
models = Forecaster.load(models_path)
loaded = rss()
store, _ = make_store(RatesConfig(database=models_path.parent / "w.sqlite"), models, now=0.0)
rng = np.random.default_rng(0)
width, ports = models.rules.width, models.ports
begin = 1_700_000_000 - 1_700_000_000 % width
starts = begin - width * np.arange(models.history, 0, -1)
store.fill(starts, ports, rng.poisson(20, (models.history, len(ports))).astype(float))
scorer = RateScorer(store, models, metrics=RatesMetrics(CollectorRegistry()), log=None)
taken, closed, computing = [], [], []
for hour in range(3):
    for minute in range(0, 60, int(sys.argv[3])):
        start = begin + hour * width + minute * 60
        stamp = datetime.fromtimestamp(start, UTC)
        for node in range(nodes):
            counts = tuple(map(Count, rng.poisson(1, len(ports))))
            report = RatesReport("r", f"worker-{node}", stamp, timedelta(seconds=60), ports, counts)
            began, cpu = time.perf_counter(), time.process_time()
            said = scorer.receive(report, start + 60.0)
            spent = time.perf_counter() - began
            if any(isinstance(m, RatesScores) for m in said):
                computing.append(time.process_time() - cpu)
            (closed if any(isinstance(m, RatesScores) for m in said) else taken).append(spent)
print(json.dumps({"taken": taken, "closed": closed, "computing": computing,
                  "base": base, "loaded": loaded, "ended": rss()}))
"""


SIZES = {"smoke": (20, 0, 1, 20), "small": (300, 30, 2, 5), "full": (1_074, 100, 2, 1)}
"""Ports, how many of them have an LSTM, nodes, and minutes from report to report."""


def live(size: Size) -> Iterator[Figure]:
    """Three hours of reports."""
    ports, lstms, nodes, step = SIZES[size]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "models"
        write_bundle(path, ports, lstms)
        core = min(os.sched_getaffinity(0))
        run = ["taskset", "-c", str(core), sys.executable, "-c", CHILD, str(path), str(nodes), str(step)]
        found = json.loads(subprocess.run(run, check=True, stdout=subprocess.PIPE, text=True).stdout.splitlines()[-1])
    taken, closed = found["taken"], found["closed"]
    what = f"{ports:,} ports"
    yield Figure(
        f"a node's report of {what} taken in", 1e3 * statistics.median(taken), "ms", "less", n=len(taken),
        note=f"largest {1e3 * max(taken):.0f} ms",
    )  # fmt: skip
    yield Figure(
        f"a bin of {what} closed and scored, {lstms} LSTMs", statistics.median(closed), "s", "less",
        cpu=statistics.median(found["computing"]), n=len(closed), note=f"largest {max(closed):.2f} s",
    )  # fmt: skip
    note = f"{found['base']:.0f} MiB before, {found['loaded']:.0f} MiB with models"
    yield Figure(f"resident after three hours of {what}", found["ended"], "MiB", "less", note=note)
