"""Every model for every port, judged on the same bins (Zakroum et al. 2022, Tables II, IV and V).

One job is one fit, for all the models that it is: two models of a port that read the same rates in the same way are one
fit. Each result is a file, named by what went into it, so a killed run goes on where it was, and a run over other
rates, options or seeds shares nothing with it.
"""

from __future__ import annotations

import hashlib
import json
import time
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import joblib
import numpy as np

from portkin.files import replacing
from portkin.json_text import parsed
from portkin.net.ports import Port
from portkin_training.core.engine import DUCKDB, Engine
from portkin_training.core.fan_out import fan_out
from portkin_training.rates.affinity.feature_ports import Affinities, features
from portkin_training.rates.models import lstm
from portkin_training.rates.models.lstm import LstmConfig
from portkin_training.rates.models.registry import KINDS, MODELS, Kind, Profile, fit, network_config
from portkin_training.rates.models.task import Split, Task, Unfit, judge
from portkin_training.rates.results import Result, load_result, save_result
from portkin_training.rates.series.rate_series import Rates
from portkin_training.rates.single_thread import single_threaded
from portkin_training.rates.work_folder import kept, work_folder

RESULTS = 5
"""Number of the result files' form and of what computes them; a change of either makes old results foreign."""

Chosen = tuple[tuple[int, ...], Mapping[str, Any]]
"""The columns that a model reads, the target first, and how they were chosen."""


@dataclass(frozen=True)
class Job:
    """One fit of a target, a column of the rates: the models that it is, by name, and for each how it came to its
    columns."""

    target: int
    kind: Kind
    columns: tuple[int, ...]
    models: Mapping[str, Mapping[str, Any]]


def fingerprint(rates: Rates, affinities: Affinities, used: Profile, seed: int) -> str:
    """What goes into every job of a run, as 16 hex digits."""
    digest = hashlib.sha256()
    for array in (rates.starts, rates.counts, affinities.temporal, affinities.both):
        digest.update(np.ascontiguousarray(array).tobytes())
    settings = [RESULTS, list(map(str, rates.ports)), rates.width, rates.tz, asdict(used), seed]
    digest.update(json.dumps(settings, sort_keys=True).encode())
    return digest.hexdigest()[:16]


def evaluate(
    rates: Rates,
    affinities: Affinities,
    used: Profile,
    *,
    folder: Path,
    seed: int,
    targets: Sequence[Port],
    models: Sequence[str] = MODELS,
    jobs: int = 2,
    device: str = "cpu",
    engine: Engine = DUCKDB,
    searched: Callable[[int, int], None] = lambda points, of: None,
) -> Iterator[Result]:
    """All results of `targets` x `models`, as they become known; those in `folder` are not computed again.

    `searched` is told how many of the points of the grid that were lacking are known, before any network is fitted.
    Fitted by `jobs` processes, or over Spark where the engine is that. OutputError where another process does the same
    in this folder now.
    """
    run = fingerprint(rates, affinities, used, seed)
    files = {
        (rates.column(target), name): folder / f"{run}-{target.number}-{target.proto}-{slug(name)}.npz"
        for target in targets
        for name in models
    }

    def work(job: Job, config: LstmConfig) -> tuple[int, list[Result]]:
        return job.target, run_job(rates, job, replace(used, lstm=config), seed, device)

    with work_folder(folder, run):
        lacking = []
        for key, file in files.items():
            if (held := kept(file, load_result)) is not None:
                yield held
            else:
                lacking.append(key)
        open_jobs = plan(rates, affinities, used, lacking, jobs)
        best = _search(rates, used, open_jobs, files, seed, jobs, device, engine, searched)
        for target, found in fan_out(work, list(zip(open_jobs, best, strict=True)), jobs=jobs, engine=engine):
            for result in found:  # all of them, before the caller may stop iterating
                save_result(files[target, result.model], result)
            yield from found


def plan(rates: Rates, affinities: Affinities, used: Profile, keys: Sequence[tuple[int, str]], jobs: int) -> list[Job]:
    """The fits that these (column of the target, model) need, the dearest first."""
    # Several models of a port read what the same ranking chose.
    wanted = sorted({(target, KINDS[name].reads, KINDS[name].logarithm) for target, name in keys})
    chosen: dict[Any, Chosen] = dict(
        zip(
            wanted,
            joblib.Parallel(n_jobs=jobs)(
                joblib.delayed(_features)(rates, affinities, used.features, *one) for one in wanted
            ),
            strict=True,
        )
    )
    grouped: dict[Any, dict[str, Mapping[str, Any]]] = {}
    for target, name in keys:
        kind = KINDS[name]
        columns, about = chosen[target, kind.reads, kind.logarithm]
        grouped.setdefault((target, kind.fit, kind.logarithm, columns), {})[name] = about
    found = [
        Job(target, KINDS[next(iter(names))], columns, names) for (target, _, _, columns), names in grouped.items()
    ]
    # So that the end of a run is not one long job on one core.
    return sorted(found, key=lambda job: -job.kind.cost)


@single_threaded
def _features(rates: Rates, affinities: Affinities, most: int, target: int, reads: Any, logarithm: bool) -> Chosen:
    columns, about = features(rates, affinities, target, reads, most, logarithm=logarithm)
    return tuple(columns.tolist()), about


@single_threaded
def run_job(rates: Rates, job: Job, used: Profile, seed: int, device: str = "cpu") -> list[Result]:
    """Fit, forecast every bin, judge: one result per model of the job.

    A model that cannot be fitted, for lack of known bins, passes on every bin; `about` says why.
    """
    warnings.filterwarnings("ignore")
    began = time.perf_counter()
    task = _task(rates, job)
    split = task.split
    try:
        made, chosen = fit(job.kind, task, used, seed, device)
        forecast = made if isinstance(made, np.ndarray) else task.forecasts(made)
    except Unfit as error:
        forecast, chosen = np.full(split.end, np.nan), {"unfit": str(error)}
    except Exception as error:  # a library's fault in one fit must not end a run of hundreds
        forecast, chosen = np.full(split.end, np.nan), {"unfit": f"{type(error).__name__}: {error}"}
    choosing = judge(task, forecast, split.fit, split.choose)
    reported = judge(task, forecast, split.choose, split.end)
    took = time.perf_counter() - began
    read = tuple(rates.ports[column] for column in job.columns)
    return [
        Result(read[0], name, forecast, choosing, reported, took, read, {**about, **chosen})
        for name, about in job.models.items()
    ]


@single_threaded
def try_config(rates: Rates, job: Job, seed: int, config: LstmConfig, device: str = "cpu", narrower: int = 1) -> float:
    """One point of the grid: the R2 of this network, or of a narrower one, over seven folds of the fitted part; NaN
    where it cannot be had."""
    tried = lstm.narrowed(network_config(job.kind, config), narrower)
    try:
        return lstm.cross_validated_r2(_task(rates, job), tried, seed, device=device)
    except Exception:  # one point must not end a run; what is wrong with the port, its last fit says
        return float("nan")


def _task(rates: Rates, job: Job) -> Task:
    split = Split.of(len(rates.starts))
    return Task(rates.counts[:, list(job.columns)], rates.width, split, job.kind.logarithm)


def _search(
    rates: Rates,
    used: Profile,
    open_jobs: Sequence[Job],
    files: Mapping[tuple[int, str], Path],
    seed: int,
    jobs: int,
    device: str,
    engine: Engine,
    searched: Callable[[int, int], None],
) -> list[LstmConfig]:
    """The network of each job, the best of the grid: one task, and one small file, per point of it."""

    def tried(job: Job, config: LstmConfig) -> Path:
        digest = hashlib.sha256(json.dumps([asdict(config), job.columns], sort_keys=True).encode()).hexdigest()[:16]
        return files[job.target, next(iter(job.models))].with_suffix(f".{digest}.json")

    def work(job: Job, config: LstmConfig) -> tuple[Job, LstmConfig, float]:
        return job, config, try_config(rates, job, seed, config, device, used.narrower)

    deep = [job for job in open_jobs if job.kind.fit.startswith("LSTM")]
    points = [(job, config) for job in deep for config in used.grid if kept(tried(job, config), load_point) is None]
    for known, (job, config, score) in enumerate(fan_out(work, points, jobs=jobs, engine=engine), 1):
        with replacing(tried(job, config)) as aside:
            aside.write_text(json.dumps({"config": asdict(config), "r2": score}), encoding="utf-8")
        searched(known, len(points))

    def best(job: Job) -> LstmConfig:
        if not (used.grid and job.kind.fit.startswith("LSTM")):
            return used.lstm
        scores = [load_point(tried(job, config)) for config in used.grid]
        return used.grid[int(np.argmax(np.where(np.isnan(scores), -np.inf, scores)))]

    return [best(job) for job in open_jobs]


def load_point(file: Path) -> float:
    """The R2 of a point of the grid that was tried. Raises KeyError, TypeError or ValueError for a damaged file."""
    return float(parsed(file.read_bytes())["r2"])


def slug(name: str) -> str:
    """A model's name as a part of a file's."""
    return "".join(letter if letter.isalnum() else "-" for letter in name.lower()).replace("--", "-").strip("-")
