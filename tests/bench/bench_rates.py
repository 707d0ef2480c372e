"""What the rates part costs, and what it finds where the truth is known.

python tests/bench/bench_rates.py affinity [PORTS] [HOURS]    equation 1 against a loop over scipy.signal.correlate
python tests/bench/bench_rates.py clusters [PORTS]            equations 8 to 11, every k up to half the ports
python tests/bench/bench_rates.py scoring [PORTS] [LSTMS]     one closed bin on one core, and memory
python tests/bench/bench_rates.py telescope [HOURS] [PORTS]   SYNTHETIC: groups, forecasts, planted anomalies
"""

from __future__ import annotations

import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np


def peak_mb() -> float:
    """The largest resident size of this process so far."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def affinity(ports: int = 1_074, hours: int = 30_000, lags: int = 168, sample: int = 60) -> None:
    """All pairs at once; the loop on a sample of pairs, scaled to all of them."""
    import scipy.signal

    from portkin_training.rates.affinity import standardized, temporal_similarity

    rng = np.random.default_rng(0)
    counts = rng.poisson(20, (hours, ports)).astype(float)
    began = time.perf_counter()
    found = temporal_similarity(counts, lags)
    ours = time.perf_counter() - began
    x, _ = standardized(counts)
    columns = np.ascontiguousarray(x.T)
    scale = hours - np.abs(np.arange(-lags, lags + 1))
    pairs = rng.integers(0, ports, (sample, 2))
    began = time.perf_counter()
    literal = [
        np.abs(scipy.signal.correlate(columns[i], columns[j])[hours - 1 - lags : hours + lags] / scale).max()
        for i, j in pairs
    ]
    loop = (time.perf_counter() - began) / sample * ports * (ports - 1) / 2
    worst = max(abs(min(a, 1) - found[i, j]) for a, (i, j) in zip(literal, pairs, strict=True))
    print(f"equation 1, {ports} ports x {hours} bins x +-{lags} lags: {ours:.1f} s, peak {peak_mb():.0f} MB")
    print(f"loop over scipy.signal.correlate, from {sample} pairs: {loop:.0f} s; ratio {loop / ours:.0f}")
    print(f"largest difference on the sample: {worst:.1e}")


def clusters(ports: int = 1_074) -> None:
    """Spectral clusters of planted groups, k by silhouette over all 2 <= k <= p / 2."""
    from sklearn.metrics import adjusted_rand_score

    from portkin_training.rates.clusters import choose

    rng = np.random.default_rng(0)
    truth = np.sort(rng.integers(0, ports // 8, ports))
    noise = rng.uniform(0, 0.3, (ports, ports))
    matrix = np.where(truth[:, None] == truth, 0.6, 0.1) + (noise + noise.T) / 2
    np.fill_diagonal(matrix, 1)
    began = time.perf_counter()
    found = choose(matrix, seed=0)
    rand = adjusted_rand_score(truth, found.labels)
    print(f"{ports} ports: k = {found.k} of {len(np.unique(truth))} planted, adjusted Rand {rand:.3f}, "
          f"{time.perf_counter() - began:.0f} s")  # fmt: skip


def scoring(ports: int = 1_074, lstms: int = 100) -> None:
    """A bundle of the paper's networks (untrained: cost is all the same) and linear models, scored in a child."""
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
    features = 10
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
    child = """
import os, sys, time
import numpy as np
from portkin.forecast import Forecaster
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
print(f"load {load:.1f} s; one bin on one core: median {sorted(walls)[2]:.2f} s ({sorted(cpus)[2]:.2f} s computing); "
      f"resident {base:.0f} MB, {loaded:.0f} MB loaded, {rss():.0f} MB scored")
"""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "bundle"
        write_models(path, models, Rules(HOUR, "UTC"), {})
        size = sum(file.stat().st_size for file in path.iterdir()) / 2**20
        print(f"{ports} models, {lstms} of them the paper's LSTM; bundle {size:.0f} MB")
        core = min(os.sched_getaffinity(0))
        run = ["taskset", "-c", str(core), sys.executable, "-c", child, str(path)]
        print(subprocess.run(run, check=True, capture_output=True, text=True).stdout.strip())


def telescope(hours: int = 6_000, most: int = 6, profile: str = "small", work: str = "", without: str = "") -> None:
    """SYNTHETIC: adjusted Rand index of the groups, R2 of the models, recall and false alarms of E.

    `work` keeps results, so that a killed run goes on; `without` leaves out models by parts of names: "Clust.,(T)".
    """
    from sklearn.metrics import adjusted_rand_score

    from portkin.forecast import prediction_error
    from portkin_training.rates import affinity, calibrate, evaluate, report
    from portkin_training.rates import clusters as clustering
    from portkin_training.rates.simulate import Telescope, simulate
    from portkin_training.rates.task import Split, r2

    made = simulate(Telescope(hours=hours), seed=0)
    rates = made.rates
    temporal = affinity.temporal_similarity(rates.counts, 168)
    both = affinity.harmonic_affinity(temporal, affinity.semantic_similarity(made.sequential, made.days))
    grouped = made.groups >= 0
    print(f"SYNTHETIC telescope: {len(rates.ports)} ports, {hours} hours, {grouped.sum()} ports in "
          f"{made.groups.max() + 1} groups")  # fmt: skip
    for name, matrix in (("T", temporal), ("T&S", both)):
        found = clustering.choose(matrix, seed=0)
        rand = adjusted_rand_score(made.groups[grouped], found.labels[grouped])
        print(f"clusters by {name}: k = {found.k}, adjusted Rand index on grouped ports {rand:.3f}")
    kin = evaluate.Kin.of(rates, 168, (made.sequential, made.days), 0)
    targets = [rates.ports[i] for i in np.linspace(0, grouped.sum() - 1, most).astype(int)]
    used = evaluate.profile(profile, rates.width)
    folder = Path(work) if work else Path(tempfile.mkdtemp())
    left_out = [part for part in without.split(",") if part]
    models = [name for name in evaluate.MODELS if not any(part in name for part in left_out)]
    results = list(evaluate.evaluate(rates, kin, used, folder=folder, seed=0, targets=targets, models=models))
    print(report.markdown(results, "r2"))
    print(report.markdown(results, "skill"))
    split = Split.of(hours)
    half = (split.choose + split.end) // 2
    columns = [rates.column(port) for port in targets]
    planted = made.bursts[:, columns]
    after = np.zeros_like(planted)
    after[1:] = planted[:-1]
    known = (np.arange(hours) >= split.choose)[:, None] & ~np.isnan(rates.counts[:, columns])
    forecasts = {"the expected rate itself": made.expected[:, columns]}
    for name in dict.fromkeys(result.model for result in results):
        per_port = {result.port: result.forecast for result in results if result.model == name}
        forecasts[name] = np.stack([per_port[port] for port in targets], axis=1)
    print("mean R2 on all bins, and without the planted bursts and the bin after each")
    for name, forecast in forecasts.items():
        given = np.where(np.isnan(forecast), np.nanmean(rates.counts[: split.fit, columns], axis=0), forecast)
        means = []
        for judged in (known, known & ~planted & ~after):
            per_port = [r2(rates.counts[rows, c], given[rows, i])
                        for i, c in enumerate(columns) if (rows := judged[:, i]).any()]  # fmt: skip
            means.append(float(np.mean(per_port)))
        print(f"  {name}: {means[0]:.2f}, {means[1]:.2f}")
    print("E: thresholds at 1 alarm per port and month from the normal hours of the first half of the reported part, "
          "judged on its second half")  # fmt: skip
    later = (np.arange(hours) >= half)[:, None] & ~np.isnan(rates.counts[:, columns])
    for name, forecast in forecasts.items():
        e = prediction_error(rates.counts[:, columns], forecast)
        limits = []
        for column in range(len(targets)):
            normal = ~planted[:, column] & (np.arange(hours) >= split.fit) & (np.arange(hours) < half)
            limits.append(calibrate.threshold(e[normal, column], 1.0, rates.width))
        found = calibrate.detection(e > np.array(limits), planted, later, rates.width)
        print(f"  {name}: recall {found.recall:.2f} of {found.planted} bursts, "
              f"{found.false_per_port_month:.2f} false alarms per port and month")  # fmt: skip


def main() -> None:
    """Run the benchmark named by the first argument with the numbers that follow; without any, all of them small."""
    known = {"affinity": affinity, "clusters": clusters, "scoring": scoring, "telescope": telescope}
    if len(sys.argv) < 2:
        affinity(200, 5_000)
        clusters(200)
        scoring(200, 20)
        return
    if sys.argv[1] not in known:
        sys.exit(__doc__)
    known[sys.argv[1]](*(int(text) if text.isdigit() else text for text in sys.argv[2:]))


if __name__ == "__main__":
    main()
