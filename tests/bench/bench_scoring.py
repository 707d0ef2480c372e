"""One forecast of the paper's LSTM: onnxruntime, which the sidecar scores with, beside torch, which trains.

A window of 72 hours of 10 ports; each on one thread, since a bin is scored on one core. The forecasts must agree.
What a process needs to forecast at all is measured in processes of their own.
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
from bench.lstm_bundle import FEATURES, paper_lstm
from portkin_training.rates.export import to_onnx
from portkin_training.rates.lstm import Lstm

CALLS = {"smoke": 3, "small": 50, "full": 200}
CHILD = {
    "onnxruntime": """
import onnxruntime
onnxruntime.InferenceSession(path).run(None, {"window": window})
""",
    "torch": """
import torch
from portkin_training.rates.lstm import Network, paper_config
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


def measure(size: Size) -> Iterator[Figure]:
    """Forecasts one by one, many at once, and what a process takes."""
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


if __name__ == "__main__":
    script(measure, __doc__)
