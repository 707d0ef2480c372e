"""What live rates cost the sidecar: a report taken in, a closed bin scored, memory.

python tests/bench/bench_rates_live.py [PORTS] [LSTMS] [NODES]

The models are the paper's LSTM (untrained: the cost is all the same) and linear ones. A child on one core takes the
reports of NODES nodes, each of which names every port in every minute, and closes bins through the same keeper and
SQLite file that `portkin serve` uses.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np

CHILD = """
import os, statistics, sys, time
from datetime import UTC, datetime, timedelta
from pathlib import Path
import numpy as np
from prometheus_client import CollectorRegistry
from portkin.config import RatesConfig
from portkin.forecast import Forecaster
from portkin.messages import Count, RatesReport, RatesScores
from portkin.rates.keeper import Keeper
from portkin.rates.make import make_window
from portkin.rates.metrics import RatesMetrics
def rss(): return int(open("/proc/self/statm").read().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 2**20
models_path, nodes = Path(sys.argv[1]), int(sys.argv[2])
base = rss()
models = Forecaster.load(models_path)
loaded = rss()
window, _ = make_window(RatesConfig(books=models_path.parent / "w.sqlite"), models, now=0.0)
rng = np.random.default_rng(0)
width, ports = models.rules.width, models.ports
begin = 1_700_000_000 - 1_700_000_000 % width
starts = begin - width * np.arange(models.history, 0, -1)
window.fill(starts, ports, rng.poisson(20, (models.history, len(ports))).astype(float))
keeper = Keeper(window, models, metrics=RatesMetrics(CollectorRegistry()), log=None)
taken, closed, computing = [], [], []
for hour in range(3):
    for minute in range(60):
        start = begin + hour * width + minute * 60
        stamp = datetime.fromtimestamp(start, UTC)
        for node in range(nodes):
            counts = tuple(map(Count, rng.poisson(1, len(ports))))
            report = RatesReport("r", f"worker-{node}", stamp, timedelta(seconds=60), ports, counts)
            began, cpu = time.perf_counter(), time.process_time()
            said = keeper.receive(report, start + 60.0)
            spent = time.perf_counter() - began
            if any(isinstance(m, RatesScores) for m in said):
                computing.append(time.process_time() - cpu)
            (closed if any(isinstance(m, RatesScores) for m in said) else taken).append(spent)
print(f"a report of {len(ports)} ports taken in: median {statistics.median(taken) * 1e3:.1f} ms, "
      f"largest {max(taken) * 1e3:.0f} ms ({len(taken)} reports)")
print(f"a bin closed and scored: median {statistics.median(closed):.2f} s, largest {max(closed):.2f} s "
      f"({statistics.median(computing):.2f} s computing)")
print(f"resident {base:.0f} MB before, {loaded:.0f} MB with models, {rss():.0f} MB at the end")
"""


def main(ports: int = 1_074, lstms: int = 100, nodes: int = 2) -> None:
    """Build the bundle, score in a child on one core, print figures."""
    import torch

    from portkin.forecast import Model, Rules
    from portkin.hours import HOUR, Scaling
    from portkin.ports import Port
    from portkin_training.rates.baselines import Linear
    from portkin_training.rates.export import to_onnx, write_models
    from portkin_training.rates.lstm import Lstm, Network, paper_config

    torch.manual_seed(0)
    config = paper_config(HOUR)
    named = [Port(1 + number, "tcp") for number in range(ports)]
    features = min(10, ports)
    network = to_onnx(Lstm(Network(features, config).eval(), config, ()), features)
    linear = to_onnx(Linear(np.full((24, 1), 1 / 24, dtype=np.float32)), 1)
    models = []
    for number, port in enumerate(named):
        deep = number < lstms
        used = [port, *(named[(number + 1 + k) % ports] for k in range(features - 1))] if deep else [port]
        scaling = Scaling(np.full(len(used), 20.0), np.full(len(used), 5.0))
        length = config.sequence if deep else 24
        entry = Model(port, "LSTM" if deep else "linear", f"{port.number}.onnx", length, tuple(used), scaling, 1.0, 1.0)
        models.append((entry, network if deep else linear))
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "models"
        write_models(path, models, Rules(HOUR, "UTC"), {})
        print(f"{ports} ports, {lstms} of them with the paper's LSTM; {nodes} nodes")
        core = min(os.sched_getaffinity(0))
        run = ["taskset", "-c", str(core), sys.executable, "-c", CHILD, str(path), str(nodes)]
        print(subprocess.run(run, check=True, stdout=subprocess.PIPE, text=True).stdout.strip())


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
