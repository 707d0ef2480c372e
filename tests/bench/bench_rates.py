"""What the rates part costs, and what it finds where the truth is known.

Affinity by equation 1 beside a loop over scipy.signal.correlate; clusters by equations 8 to 11, every k up to half the
ports. What forecasts cost is in bench_scoring.py. Besides, what takes too long for the common table:

python tests/bench/bench_rates.py telescope [HOURS] [PORTS]   SYNTHETIC: groups, forecasts, planted anomalies
"""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import numpy as np
import scipy.signal

from bench.figures import MICRO, Figure, Size, Work, compare, once, script

AFFINITY = {"smoke": (30, 1_000), "small": (300, 10_000), "full": (1_074, 30_000)}
"""Ports, and bins of an hour; at most what the paper has."""
CLUSTERS = {"smoke": 40, "small": 200, "full": 600}


def affinity(size: Size, ports: int, hours: int, lags: int = 168, sample: int = 60) -> Iterator[Figure]:
    """All pairs at once; the loop on a sample of pairs."""
    from portkin_training.rates.affinity import standardized, temporal_similarity

    rng = np.random.default_rng(0)
    counts = rng.poisson(20, (hours, ports)).astype(float)
    x, _ = standardized(counts)
    columns = np.ascontiguousarray(x.T)
    scale = hours - np.abs(np.arange(-lags, lags + 1))
    pairs = rng.integers(0, ports, (sample, 2))
    kept: dict[str, Any] = {}

    def ours() -> None:
        kept["ours"] = temporal_similarity(counts, lags)

    def loop() -> None:
        kept["loop"] = [
            np.abs(scipy.signal.correlate(columns[i], columns[j])[hours - 1 - lags : hours + lags] / scale).max()
            for i, j in pairs
        ]

    yield from compare(
        size,
        f"similarity of two ports (eq. 1), {ports} ports x {hours:,} bins x +-{lags} lags",
        Work("portkin", ours, ports * (ports - 1) / 2),
        [Work("scipy.signal.correlate", loop, sample, note=f"in a loop, over {sample} pairs")],
        MICRO,
    )
    worst = max(abs(min(a, 1) - kept["ours"][i, j]) for a, (i, j) in zip(kept["loop"], pairs, strict=True))
    yield Figure("its largest difference from the loop's", worst, "", "less", note="computed in single precision")


def clusters(size: Size, ports: int) -> Iterator[Figure]:
    """Spectral clusters of planted groups, k by silhouette over all 2 <= k <= p / 2."""
    from sklearn.metrics import adjusted_rand_score

    from portkin_training.rates.clusters import choose

    rng = np.random.default_rng(0)
    truth = np.sort(rng.integers(0, ports // 8, ports))
    noise = rng.uniform(0, 0.3, (ports, ports))
    matrix = np.where(truth[:, None] == truth, 0.6, 0.1) + (noise + noise.T) / 2
    np.fill_diagonal(matrix, 1)
    found = []
    figure = once(f"clusters of {ports} ports", lambda: found.append(choose(matrix, seed=0)))
    rand = adjusted_rand_score(truth, found[0].labels)
    note = f"k = {found[0].k} of {len(np.unique(truth))} planted, adjusted Rand index {rand:.3f}"
    yield replace(figure, note=note)


def measure(size: Size) -> Iterator[Figure]:
    """All but the telescope."""
    yield from affinity(size, *AFFINITY[size])
    yield from clusters(size, CLUSTERS[size])


def telescope(hours: int = 6_000, most: int = 6, profile: str = "small", work: str = "", without: str = "") -> None:
    """SYNTHETIC: adjusted Rand index of the groups, R2 of the models, recall and false alarms of E.

    `work` keeps results, so that a killed run goes on; `without` leaves out models by parts of names: "Clust.,(T)".
    """
    from sklearn.metrics import adjusted_rand_score

    from portkin.forecast import prediction_error
    from portkin_training.rates import affinity, calibrate, evaluate, report
    from portkin_training.rates import clusters as clustering
    from portkin_training.rates.kin import Kin
    from portkin_training.rates.models import MODELS
    from portkin_training.rates.models import profile as named
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
    kin = Kin.of(rates, 168, (made.sequential, made.days), 0)
    targets = [rates.ports[i] for i in np.linspace(0, grouped.sum() - 1, most).astype(int)]
    used = named(profile, rates.width)
    folder = Path(work) if work else Path(tempfile.mkdtemp())
    left_out = [part for part in without.split(",") if part]
    models = [name for name in MODELS if not any(part in name for part in left_out)]
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
    """The telescope where it is asked for, else the common table's figures."""
    if sys.argv[1:2] == ["telescope"]:
        telescope(*(int(text) if text.isdigit() else text for text in sys.argv[2:]))
    else:
        script(measure, __doc__)


if __name__ == "__main__":
    main()
