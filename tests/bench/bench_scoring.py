"""What forecasts cost: onnxruntime, which the sidecar scores with, beside torch, which trains; a bin; and live rates.

The network is the paper's LSTM with a window of 72 hours of 10 ports, untrained, since the cost is all the same. Each
has one thread, as a bin is scored on one core, and the forecasts must agree. What a process needs to forecast at all is
measured in processes of their own.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import numpy as np
import onnxruntime
import torch

from bench.figures import MILLI, Figure, Size, Work, compare, script
from bench.lstm_bundle import FEATURES, paper_lstm, write_bundle
from bench.rates_live import live
from portkin_training.rates.models.export import to_onnx
from portkin_training.rates.models.lstm import Lstm

CALLS = {"smoke": 3, "small": 50, "full": 200}
SCORING = {"smoke": (20, 1), "small": (300, 30), "full": (1_074, 100)}
"""Ports, and how many of them have the paper's LSTM; at most what the paper has (VI)."""
CHILD = {
    "onnxruntime": """
import onnxruntime
onnxruntime.InferenceSession(path).run(None, {"window": window})
""",
    "torch": """
import torch
from portkin_training.rates.models.lstm import Network, paper_config
with torch.inference_mode():
    Network(window.shape[2], paper_config(3600)).eval()(torch.from_numpy(window))
""",
}
"""What a process does that forecasts once. torch need not even read its weights."""
FRAME = """
import json, re, sys, time
import numpy as np
path, window = sys.argv[1], np.zeros((1, int(sys.argv[2]), int(sys.argv[3])), np.float32)
wall, cpu = time.perf_counter(), time.process_time()
{body}
peak = re.search(r"VmHWM:\\s*(\\d+)", open("/proc/self/status").read())[1]
print(json.dumps([time.perf_counter() - wall, time.process_time() - cpu, int(peak) / 1024]))
"""


def forecasts(size: Size) -> Iterator[Figure]:
    """One by one, many at once, and what a process takes."""
    lstm = paper_lstm()
    exported = to_onnx(lstm, FEATURES)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    torch.set_num_threads(1)
    session = onnxruntime.InferenceSession(exported, options)
    rng = np.random.default_rng(0)
    for batch, calls in ((1, CALLS[size]), (64, max(1, CALLS[size] // 20))):
        window = rng.normal(size=(batch, lstm.length, FEATURES)).astype(np.float32)

        def by_onnxruntime(window: np.ndarray = window) -> np.ndarray:
            return session.run(None, {"window": window})[0]

        def by_torch(window: np.ndarray = window) -> np.ndarray:
            return lstm.predict(window)

        np.testing.assert_allclose(by_torch(), by_onnxruntime(), rtol=1e-4, atol=1e-5)
        yield from compare(
            size,
            f"an LSTM's forecast, {batch} at a time",
            Work("onnxruntime", lambda: [by_onnxruntime() for _ in range(calls)], calls * batch),  # noqa: B023
            [Work("torch", lambda: [by_torch() for _ in range(calls)], calls * batch)],  # noqa: B023
            MILLI,
        )
    if size != "smoke":
        yield from processes(exported, lstm)


def processes(exported: bytes, lstm: Lstm) -> Iterator[Figure]:
    """A process that starts, reads the model and forecasts once."""
    found = {}
    with tempfile.NamedTemporaryFile(suffix=".onnx") as file:
        file.write(exported)
        file.flush()
        for who, body in CHILD.items():
            code = FRAME.format(body=body)
            command = [sys.executable, "-c", code, file.name, str(lstm.length), str(FEATURES)]
            one_thread = {**os.environ, "OMP_NUM_THREADS": "1"}
            ran = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True, env=one_thread)
            found[who] = json.loads(ran.stdout)
    (ours, cpu, peak), (theirs, their_cpu, their_peak) = found.values()
    what = "a process's first forecast"
    yield Figure(
        f"{what}, import and model", ours, "s", "less", "torch", theirs, theirs / ours, cpu, their_cpu, their_cpu / cpu
    )
    yield Figure(f"{what}, peak memory", peak, "MiB", "less", "torch", their_peak, their_peak / peak)


SCORE = """
import json, os, statistics, sys, time
import numpy as np
from portkin.bundles.forecast import Forecaster
def rss(): return int(open("/proc/self/statm").read().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 2**20
base = rss()
began = time.perf_counter(); models = Forecaster.load(sys.argv[1]); load = time.perf_counter() - began
counts = np.random.default_rng(0).poisson(20, (models.history, len(models.ports))).astype(float)
loaded = rss()
walls, cpus = [], []
for _ in range(5):
    began, cpu = time.perf_counter(), time.process_time()
    models.score(models.ports, counts)
    walls.append(time.perf_counter() - began); cpus.append(time.process_time() - cpu)
print(json.dumps({"load": load, "wall": statistics.median(walls), "cpu": statistics.median(cpus),
                  "base": base, "loaded": loaded, "scored": rss()}))
"""


def scoring(size: Size, ports: int, lstms: int) -> Iterator[Figure]:
    """A bundle of the paper's networks (untrained: cost is all the same) and linear models, scored in a child."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "bundle"
        write_bundle(path, ports, lstms)
        core = min(os.sched_getaffinity(0))
        run = ["taskset", "-c", str(core), sys.executable, "-c", SCORE, str(path)]
        found = json.loads(subprocess.run(run, check=True, capture_output=True, text=True).stdout)
    what = f"{ports:,} models, {lstms} of them LSTMs"
    yield Figure(f"a bin scored, {what}", found["wall"], "s", "less", cpu=found["cpu"], n=5, note="on one core")
    yield Figure(f"reading a bundle, {what}", found["load"], "s", "less")
    note = f"{found['base']:.0f} MiB before, {found['loaded']:.0f} MiB loaded"
    yield Figure(f"resident when scored, {what}", found["scored"], "MiB", "less", note=note)


def measure(size: Size) -> Iterator[Figure]:
    """A network, a bundle, and the sidecar's whole part."""
    yield from forecasts(size)
    yield from scoring(size, *SCORING[size])
    yield from live(size)


if __name__ == "__main__":
    script(measure, __doc__)
