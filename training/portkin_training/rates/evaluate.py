"""Every model for every port, judged on the same bins (Zakroum et al. 2022, Tables II, IV and V), and which one ships.

One job is one (port, model). A job's result is a file, named by what went into it, so a killed run goes on where it
was, and a run over other rates, options or seeds shares nothing with it.
"""

from __future__ import annotations

import hashlib
import json
import time
import warnings
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import joblib
import numpy as np
import torch
from numpy.typing import NDArray

from portkin.files import replacing
from portkin.hours import DAY, HOUR
from portkin.ports import Port
from portkin_training.rates import affinity, baselines, clusters, lstm, ranking, var
from portkin_training.rates.export import to_onnx
from portkin_training.rates.lstm import LstmConfig
from portkin_training.rates.series import Rates
from portkin_training.rates.task import Figures, Floats, Predictor, Split, Task, judge

RESULTS = 2
"""Number of the result files' form and of what computes them; a change of either makes old results foreign."""

COSTS = {
    "last value": 0,
    "seasonal naive": 0,
    "moving average": 0,
    "EWMA": 0,
    "ridge": 1,
    "AutoETS": 1,
    "VAR Rank. (T&S)": 2,
    "VAR Clust. (T&S)": 2,
    "ridge Rank. (T&S)": 2,
    "LightGBM": 3,
    "VAR Feature Selection": 4,
    "LSTM Rank. (T&S) skip": 5,
    "LSTM Rank. (T&S)": 5,
    "LSTM Rank. (T)": 5,
    "LSTM Clust. (T&S)": 5,
    "LSTM Clust. (T)": 5,
}
"""The models, by what they cost to run, cheapest first. "skip" is ours: see `lstm.LstmConfig`."""
MODELS = tuple(COSTS)
UNSHIPPABLE = frozenset({"AutoETS", "VAR Feature Selection"})
"""Refitted or filtered over the whole series as they go; they are judged but do not ship."""
TOLERANCE = 0.02
"""A cheaper model ships if its error on the choosing part is within this share of the best one's."""


@dataclass(frozen=True)
class Profile:
    """How much is spent: one network for all LSTMs, or the best of a grid (Table III) for each.

    `features` at most per target; `every` so many bins the online VAR chooses its features again, from the `memory`
    latest.
    """

    name: str
    lstm: LstmConfig
    grid: tuple[LstmConfig, ...]
    features: int
    every: int
    memory: int


def profile(name: str, width: int) -> Profile:
    """`small`: minutes on a laptop. `paper`: its network and the grid of Table III, days on a GPU.

    `network` is the paper's network with its best sequence length, without the grid.
    """
    days = width >= DAY
    memory = 180 if days else 60 * DAY // width
    if name == "small":
        return Profile(name, lstm.small_config(width), (), 8, 7 if days else 24, memory)
    if name == "network":
        return Profile(name, lstm.paper_config(width), (), 32, 7 if days else 24, memory)
    if name == "paper":
        return Profile(name, lstm.paper_config(width), tuple(lstm.grid(width)), 64, 1, memory)
    raise ValueError(f"profile {name!r} is not small, network or paper")


@dataclass(frozen=True, eq=False)
class Kin:
    """Who is akin to whom, from the bins before the choosing part only.

    `temporal` (p, p) by equation 1; `both` (p, p) by equation 7, which is `temporal` where the probes are not known
    one by one; `clusters_t`, `clusters_ts` by equation 11, None for fewer than four ports.
    """

    temporal: Floats
    both: Floats
    clusters_t: clusters.Clusters | None
    clusters_ts: clusters.Clusters | None
    semantic: bool

    @classmethod
    def of(cls, rates: Rates, lags: int, sequential: tuple[NDArray[np.integer], int] | None, seed: int) -> Kin:
        """Affinities of all ports of the rates; `sequential` as from `affinity.sequential_sources`."""
        known = rates.counts[: Split.of(len(rates.starts)).fit]
        temporal = affinity.temporal_similarity(known, min(lags, len(known) // 2))
        both = temporal
        if sequential is not None:
            both = affinity.harmonic_affinity(temporal, affinity.semantic_similarity(*sequential))
        enough = len(rates.ports) >= 4
        return cls(
            temporal,
            both,
            clusters.choose(temporal, seed=seed) if enough else None,
            clusters.choose(both, seed=seed) if enough else None,
            sequential is not None,
        )


@dataclass(frozen=True, eq=False)
class Result:
    """One job's outcome: forecasts (n,), figures on the choosing and the reported part, and the model as ONNX.

    `onnx` is empty for what does not ship; `about` holds what was chosen on the way.
    """

    port: Port
    model: str
    forecast: Floats
    choosing: Figures
    reported: Figures
    seconds: float
    features: tuple[Port, ...]
    length: int
    onnx: bytes
    about: Mapping[str, Any] = field(default_factory=dict)


def fingerprint(rates: Rates, kin: Kin, used: Profile, seed: int) -> str:
    """What goes into every job of a run, as 16 hex digits."""
    digest = hashlib.sha256()
    for array in (rates.starts, rates.counts, kin.temporal, kin.both):
        digest.update(np.ascontiguousarray(array).tobytes())
    settings = [RESULTS, list(map(str, rates.ports)), rates.width, rates.tz, asdict(used), seed]
    digest.update(json.dumps(settings, sort_keys=True).encode())
    return digest.hexdigest()[:16]


def try_config(
    rates: Rates, kin: Kin, used: Profile, seed: int, target: int, name: str, config: LstmConfig, device: str = "cpu"
) -> float:
    """One point of the grid: the R2 of this network over seven folds of the fitted part."""
    torch.set_num_threads(1)
    columns, _ = _features(rates, kin, used, target, name)
    task = Task(rates.counts[:, columns], rates.width, Split.of(len(rates.starts)))
    return lstm.cross_validated_r2(task, replace(config, skip=name.endswith("skip")), seed, device=device)


def run_job(rates: Rates, kin: Kin, used: Profile, seed: int, target: int, name: str, device: str = "cpu") -> Result:
    """Fit one model to one port, forecast every bin, judge."""
    torch.set_num_threads(1)
    warnings.filterwarnings("ignore")
    began = time.perf_counter()
    columns, about = _features(rates, kin, used, target, name)
    split = Split.of(len(rates.starts))
    task = Task(rates.counts[:, columns], rates.width, split)
    made = _fit(task, used, seed, name, device, about)
    if isinstance(made, np.ndarray):
        forecast, onnx, length = made, b"", 0
    else:
        forecast, length = task.forecasts(made), made.length
        onnx = to_onnx(made, len(columns))
    return Result(
        rates.ports[target],
        name,
        forecast,
        judge(task, forecast, split.fit, split.choose),
        judge(task, forecast, split.choose, split.end),
        time.perf_counter() - began,
        tuple(rates.ports[column] for column in columns),
        length,
        onnx,
        about,
    )


def _features(
    rates: Rates, kin: Kin, used: Profile, target: int, name: str
) -> tuple[NDArray[np.int64], dict[str, Any]]:
    """The columns that a model of this name reads for a target, the target first (Table II)."""
    if "Rank." in name:
        matrix = kin.both if "(T&S)" in name else kin.temporal
        split = Split.of(len(rates.starts))
        length = min(7 if rates.width >= DAY else 24, split.fit // 4)

        def score(chosen: NDArray[np.int64]) -> float:
            return baselines.cross_validated_r2(Task(rates.counts[:, chosen], rates.width, split), length)

        ranked = ranking.choose(matrix[target], target, score, used.features)
        return ranked.features, {"tau": ranked.tau, "tried": ranked.tried}
    if "Clust." in name:
        found = kin.clusters_ts if "(T&S)" in name else kin.clusters_t
        matrix = kin.both if "(T&S)" in name else kin.temporal
        members = found.members(target) if found else np.array([target])
        order = np.argsort(-matrix[target, members[1:]], kind="stable")
        return np.concatenate([[target], members[1:][order]])[: used.features], {"k": found.k if found else 1}
    if name == "VAR Feature Selection":
        others = np.argsort(-kin.temporal[target], kind="stable")
        return np.concatenate([[target], others[others != target]])[: 4 * used.features], {}
    return np.array([target]), {}


def _fit(task: Task, used: Profile, seed: int, name: str, device: str, about: dict[str, Any]) -> Predictor | Floats:
    if name == "last value":
        return baselines.last_value(task)
    if name == "seasonal naive":
        return baselines.seasonal_naive(task)
    if name == "moving average":
        return baselines.moving_average(task)
    if name == "EWMA":
        return baselines.ewma(task)
    if name == "ridge":
        return baselines.ridge(task, baselines.lags(task))
    if name == "ridge Rank. (T&S)":
        return baselines.ridge(task, task.season)
    if name == "AutoETS":
        return baselines.auto_ets(task)
    if name == "LightGBM":
        return baselines.lightgbm_on_lags(task, baselines.lags(task), seed)
    if name == "VAR Feature Selection":
        return var.non_stationary(task, first=task.split.fit, memory=used.memory, every=used.every)
    if name.startswith("VAR"):
        return var.fit_fixed(task)
    config = replace(used.lstm, skip=name.endswith("skip"))
    model = lstm.fit(task, config, seed, device=device)
    about["config"] = asdict(config)
    about["epochs"] = len(model.history)
    return model


def save_result(file: Path, result: Result) -> None:
    """Write a job's result aside and rename it into place, so that a file is whole or absent."""
    fields = {
        "port": str(result.port),
        "model": result.model,
        "choosing": asdict(result.choosing),
        "reported": asdict(result.reported),
        "seconds": result.seconds,
        "features": [str(port) for port in result.features],
        "length": result.length,
        "about": result.about,
    }
    with replacing(file) as aside:
        np.savez(
            aside,
            forecast=result.forecast,
            onnx=np.frombuffer(result.onnx, dtype=np.uint8),
            fields=np.frombuffer(json.dumps(fields).encode(), dtype=np.uint8),
        )


def load_result(file: Path) -> Result:
    """Read what `save_result` wrote."""
    with np.load(file) as held:
        fields = json.loads(held["fields"].tobytes())
        return Result(
            Port.parse(fields["port"]),
            fields["model"],
            held["forecast"],
            Figures(**fields["choosing"]),
            Figures(**fields["reported"]),
            fields["seconds"],
            tuple(Port.parse(text) for text in fields["features"]),
            fields["length"],
            held["onnx"].tobytes(),
            fields["about"],
        )


def evaluate(
    rates: Rates,
    kin: Kin,
    used: Profile,
    *,
    folder: Path,
    seed: int,
    targets: Sequence[Port],
    models: Sequence[str] = MODELS,
    jobs: int = 2,
    device: str = "cpu",
) -> Iterator[Result]:
    """All results of `targets` x `models`, as they become known; those in `folder` are not computed again."""
    folder.mkdir(parents=True, exist_ok=True)
    run = fingerprint(rates, kin, used, seed)
    files = {
        (target, name): folder / f"{run}-{target.number}-{target.proto}-{_slug(name)}.npz"
        for target in targets
        for name in models
    }
    open_jobs = []
    for key, file in files.items():
        if file.exists():
            yield load_result(file)
        else:
            open_jobs.append(key)
    # The dear ones first, so that the end of a run is not one long job on one core.
    open_jobs.sort(key=lambda key: -COSTS[key[1]])
    best = _search(rates, kin, used, [key for key in open_jobs if key[1].startswith("LSTM")], files, seed, jobs, device)

    def work(target: Port, name: str) -> Result:
        fitted = replace(used, lstm=best.get((target, name), used.lstm))
        result = run_job(rates, kin, fitted, seed, rates.column(target), name, device)
        save_result(files[target, name], result)
        return result

    yield from joblib.Parallel(n_jobs=jobs, return_as="generator_unordered", batch_size=1)(
        joblib.delayed(work)(target, name) for target, name in open_jobs
    )


def _search(
    rates: Rates,
    kin: Kin,
    used: Profile,
    keys: Sequence[tuple[Port, str]],
    files: Mapping[tuple[Port, str], Path],
    seed: int,
    jobs: int,
    device: str,
) -> dict[tuple[Port, str], LstmConfig]:
    """The best of the grid per target and model: one job, and one small file, per point of the grid."""

    def tried(key: tuple[Port, str], config: LstmConfig) -> Path:
        digest = hashlib.sha256(json.dumps(asdict(config), sort_keys=True).encode()).hexdigest()[:16]
        return files[key].with_suffix(f".{digest}.json")

    def work(key: tuple[Port, str], config: LstmConfig) -> None:
        score = try_config(rates, kin, used, seed, rates.column(key[0]), key[1], config, device)
        with replacing(tried(key, config)) as aside:
            aside.write_text(json.dumps({"config": asdict(config), "r2": score}), encoding="utf-8")

    open_points = [(key, config) for key in keys for config in used.grid if not tried(key, config).exists()]
    joblib.Parallel(n_jobs=jobs, batch_size=1)(joblib.delayed(work)(*point) for point in open_points)
    found = {}
    for key in keys if used.grid else ():
        scores = {config: json.loads(tried(key, config).read_text(encoding="utf-8"))["r2"] for config in used.grid}
        found[key] = max(scores, key=lambda config: scores[config])
    return found


def _slug(name: str) -> str:
    return "".join(letter if letter.isalnum() else "-" for letter in name.lower()).replace("--", "-").strip("-")


def winner(results: Sequence[Result]) -> Result:
    """Of one port's results the one with the best R2 on the reported part: the bold figure of Tables IV and V."""
    return max(results, key=lambda result: result.reported.r2)


def shipping(results: Sequence[Result], tolerance: float = TOLERANCE) -> Result:
    """Of one port's results the one that ships: the cheapest whose error on the choosing part is close to the least.

    Never looks at the reported part. Of equally cheap ones the better is taken.
    """
    able = [result for result in results if result.model not in UNSHIPPABLE]
    if not able:
        raise ValueError("no model that can ship was evaluated: add one of " + ", ".join(MODELS[:5]))
    least = min(result.choosing.mae for result in able)
    close = [result for result in able if result.choosing.mae <= least * (1 + tolerance)]
    return min(close, key=lambda result: (COSTS[result.model], result.choosing.mae))


def default_lags(width: int) -> int:
    """L of equation 1: a week of hours, a month of days."""
    return affinity.LAGS.get(width, affinity.LAGS[HOUR if width < DAY else DAY])
