"""What the rates part finds where the truth is known: on the SYNTHETIC telescope.

python tests/bench/telescope.py ceiling [HOURS] [PORTS]     the R2 of forecasters that know the simulator
python tests/bench/telescope.py compare [HOURS] [PORTS]     groups, forecasts of all models, planted anomalies
python tests/bench/telescope.py clusters [PORTS] [HOURS]    affinity and clusters of very many ports

It is no part of the common table: `compare` takes a quarter of an hour.
"""

from __future__ import annotations

import resource
import sys
import tempfile
import time
from pathlib import Path

import numpy as np


def omniscient(made) -> dict:
    """What forecasters would say that know the simulator's rate behind the counts: (n, p) each.

    A burst cannot be foreseen, but once it is on it lasts one to three hours, each as likely: after its first hour it
    goes on with 2/3, after its second with 1/2, at about the excess seen in the hour before.
    """
    counts, rate = made.rates.counts, made.expected
    age = np.zeros(counts.shape, dtype=int)
    for t in range(1, len(counts)):
        age[t] = np.where(made.bursts[t - 1], age[t - 1] + 1, 0)
    goes_on = np.select([age == 1, age == 2], [2 / 3, 1 / 2], 0.0)
    excess = np.zeros(counts.shape)
    excess[1:] = np.nan_to_num(np.maximum(counts[:-1] / rate[:-1] - 1, 0.0))
    late = np.concatenate([rate[:1], rate[:-1]])
    return {
        "the expected rate itself": rate,
        "the expected rate, and that a burst is on": rate * (1 + goes_on * excess),
        "the expected rate of the hour before": late,
        "the expected rate of the hour before, and that a burst is on": late * (1 + goes_on * excess),
    }


def print_r2(made, columns: list[int], forecasts: dict) -> None:
    """Mean R2 over ports on the reported part, of all hours and without the planted bursts and the hour after each.

    `forecasts` (n, len(columns)) by name; a bin without a forecast is judged with the mean of the fitted part.
    """
    from portkin_training.rates.models.task import Split, r2

    counts, bursts = made.rates.counts[:, columns], made.bursts[:, columns]
    split = Split.of(len(counts))
    after = np.zeros_like(bursts)
    after[1:] = bursts[:-1]
    known = (np.arange(len(counts)) >= split.choose)[:, None] & ~np.isnan(counts)
    print(f"mean R2 of {len(columns)} ports on all hours, and without the planted bursts and the hour after each")
    for name, forecast in forecasts.items():
        given = np.where(np.isnan(forecast), np.nanmean(counts[: split.fit], axis=0), forecast)
        means = [
            float(np.mean([r2(counts[rows, c], given[rows, c]) for c, rows in enumerate(judged.T) if rows.any()]))
            for judged in (known, known & ~bursts & ~after)
        ]
        print(f"  {name}: {means[0]:.2f}, {means[1]:.2f}")


def chosen_ports(made, most: int) -> list[int]:
    """So many of the grouped ports, from the first to the last."""
    return [int(at) for at in np.linspace(0, (made.groups >= 0).sum() - 1, most)]


def ceiling(hours: int = 6_000, most: int = 6) -> None:
    """SYNTHETIC: what R2 of forecasts can mean at all, on the ports `compare` judges, and on all grouped ones."""
    from portkin_training.rates.series.simulate import Telescope, simulate

    made = simulate(Telescope(hours=hours), seed=0)
    for columns in (chosen_ports(made, most), list(range(int((made.groups >= 0).sum())))):
        print_r2(made, columns, {name: forecast[:, columns] for name, forecast in omniscient(made).items()})


def compare(hours: int = 6_000, most: int = 6, profile: str = "small", work: str = "", without: str = "") -> None:
    """SYNTHETIC: adjusted Rand index of the groups, R2 of the models, recall and false alarms of E.

    `work` keeps results, so that a killed run goes on; `without` leaves out models by parts of names: "Clust.,(T)".
    """
    from sklearn.metrics import adjusted_rand_score

    from portkin.timeseries.calibration import MONTH
    from portkin.timeseries.indicators import prediction_error
    from portkin_training.rates import calibrate, evaluate
    from portkin_training.rates.affinity import affinity
    from portkin_training.rates.affinity import clusters as clustering
    from portkin_training.rates.affinity.feature_ports import Affinities
    from portkin_training.rates.models.registry import MODELS
    from portkin_training.rates.models.registry import profile as named
    from portkin_training.rates.models.task import Split
    from portkin_training.rates.series.simulate import Telescope, simulate
    from support.rates_markdown import markdown

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
    affinities = Affinities.of(rates, 168, (made.sequential, made.days), 0)
    columns = chosen_ports(made, most)
    targets = [rates.ports[i] for i in columns]
    used = named(profile, rates.width)
    folder = Path(work) if work else Path(tempfile.mkdtemp())
    left_out = [part for part in without.split(",") if part]
    models = [name for name in MODELS if not any(part in name for part in left_out)]
    results = list(evaluate.evaluate(rates, affinities, used, folder=folder, seed=0, targets=targets, models=models))
    print(markdown(results, "r2"))
    print(markdown(results, "skill"))
    split = Split.of(hours)
    half = (split.choose + split.end) // 2
    planted = made.bursts[:, columns]
    forecasts = {name: forecast[:, columns] for name, forecast in omniscient(made).items()}
    for name in dict.fromkeys(result.model for result in results):
        per_port = {result.port: result.forecast for result in results if result.model == name}
        forecasts[name] = np.stack([per_port[port] for port in targets], axis=1)
    print_r2(made, columns, forecasts)
    print("E: thresholds at 1 alarm per port and month from the normal hours of the first half of the reported part, "
          "judged on its second half")  # fmt: skip
    later = (np.arange(hours) >= half)[:, None] & ~np.isnan(rates.counts[:, columns])
    for name, forecast in forecasts.items():
        e = prediction_error(rates.counts[:, columns], forecast)
        limits = []
        for column in range(len(targets)):
            normal = ~planted[:, column] & (np.arange(hours) >= split.fit) & (np.arange(hours) < half)
            limits.append(calibrate.first_threshold(e[normal, column], rates.width / MONTH))
        found = calibrate.detection(e > np.array(limits), planted, later, rates.width)
        print(f"  {name}: recall {found.recall:.2f} of {found.planted} bursts, "
              f"{found.false_per_port_month:.2f} false alarms per port and month")  # fmt: skip


def clusters(ports: int = 1_074, hours: int = 6_000) -> None:
    """SYNTHETIC: equations 1, 7 and 11 on a telescope of about so many ports, two thirds of them in groups."""
    from sklearn.metrics import adjusted_rand_score

    from portkin_training.rates.affinity import affinity
    from portkin_training.rates.affinity import clusters as clustering
    from portkin_training.rates.series.simulate import Telescope, simulate

    alone = ports // 3
    made = simulate(Telescope(hours=hours, groups=round((ports - alone) / 5), alone=alone), seed=0)
    began, spent = time.perf_counter(), time.process_time()

    def told(what: str) -> None:
        nonlocal began, spent
        wall, cpu = time.perf_counter() - began, time.process_time() - spent
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        print(f"{what}: {wall:.1f} s, {cpu:.1f} s of CPU, peak {peak:.0f} MB", flush=True)
        began, spent = time.perf_counter(), time.process_time()

    temporal = affinity.temporal_similarity(made.rates.counts, 168)
    both = affinity.harmonic_affinity(temporal, affinity.semantic_similarity(made.sequential, made.days))
    told(f"SYNTHETIC, {len(made.groups)} ports, {hours} hours: affinity")
    found = clustering.choose(both, seed=0)
    told("clusters")
    grouped = made.groups >= 0
    rand = adjusted_rand_score(made.groups[grouped], found.labels[grouped])
    planted = f"{made.groups.max() + 1} groups and {alone} single ports were planted"
    print(f"k = {found.k} where {planted}; adjusted Rand index of the grouped ports {rand:.3f}")


def main() -> None:
    """Run what the first argument names with the numbers that follow."""
    known = {"ceiling": ceiling, "compare": compare, "clusters": clusters}
    if sys.argv[1:2] == [] or sys.argv[1] not in known:
        sys.exit(__doc__)
    known[sys.argv[1]](*(int(text) if text.isdigit() else text for text in sys.argv[2:]))


if __name__ == "__main__":
    main()
