"""Rolling-origin evaluation: models are fitted at several times and judged on what came after each (Tashman 2000).

What `rates train` ships is chosen by it. A single block of time chooses what suited that block; several, of which the
latest weighs most, choose what goes on working.
"""

from __future__ import annotations

import hashlib
import json
import time
import warnings
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from portkin.net.ports import Port
from portkin_training.core.engine import DUCKDB, Engine
from portkin_training.core.fan_out import fan_out
from portkin_training.rates.affinity.feature_ports import Affinities
from portkin_training.rates.evaluate import Job, fingerprint, plan, slug
from portkin_training.rates.models import lstm
from portkin_training.rates.models.registry import EXPENSIVE, KINDS, Profile, fit_to_ship
from portkin_training.rates.models.task import Floats, Split, Task, Unfit
from portkin_training.rates.series.rate_series import Rates
from portkin_training.rates.single_thread import single_threaded
from portkin_training.rates.work_folder import fields_of, kept, save, work_folder

ORIGINS = (0.5, 0.625, 0.75, 0.875)
"""Shares of the bins after which models are fitted; each is judged until the next, the last until the end."""
WEIGHTS = (1.0, 2.0, 3.0, 4.0)
"""What each of these blocks weighs in the choice."""
REPORTED = 2
"""The first of the blocks that figures are reported on: the last quarter of the bins."""
FEWEST_BINS = 60
TRIALS = 2
"""Number of what is tried; a change makes old trials foreign."""


@dataclass(frozen=True, eq=False)
class Trial:
    """One model of one port, fitted at each origin.

    `forecast` (n,), each bin by the model fitted at the origin before it, NaN before the first and where it has none;
    `older` (n,) of the last block by the model fitted one origin earlier, NaN elsewhere. `about` says how its columns
    were chosen, and under `unfit` why there is no forecast.
    """

    port: Port
    model: str
    forecast: Floats
    older: Floats
    seconds: float
    features: tuple[Port, ...]
    about: Mapping[str, Any] = field(default_factory=dict)

    @property
    def able(self) -> bool:
        """Whether it has any forecast."""
        return bool((~np.isnan(self.forecast)).any())


def cuts(bins: int) -> tuple[int, ...]:
    """The origins as numbers of bins, and the end: (5,). ValueError for fewer bins than `FEWEST_BINS`."""
    if bins < FEWEST_BINS:
        raise ValueError(f"{bins} bins are too few to fit and judge models on; at least {FEWEST_BINS} are needed")
    return (*(round(bins * share) for share in ORIGINS), bins)


def trials(
    rates: Rates,
    affinities: Affinities,
    used: Profile,
    *,
    folder: Path,
    seed: int,
    targets: Sequence[Port],
    models: Sequence[str],
    jobs: int = 2,
    device: str = "cpu",
    engine: Engine = DUCKDB,
) -> Iterator[Trial]:
    """Trials of `targets` x `models`, as they become known; those in `folder` are not computed again.

    The expensive ones come last: a network that is soon seen to lose to the others is not trained to the end.
    OutputError where another process does the same in this folder now.
    """
    run = fingerprint(rates, affinities, used, seed) + f"-rolling{TRIALS}"
    others = hashlib.sha256(json.dumps(sorted(filter(_cheap, models))).encode()).hexdigest()[:8]
    files = {
        (rates.column(target), name): folder
        / f"{run}-{target.number}-{target.proto}-{slug(name)}{'' if _cheap(name) else '-' + others}.npz"
        for target in targets
        for name in models
    }
    cheap: dict[int, list[Floats]] = {}

    def work(job: Job, bar: float | None) -> tuple[int, list[Trial]]:
        return job.target, run_trial(rates, job, replace(used, lstm=replace(used.lstm, bar=bar)), seed, device)

    def seen(trial: Trial) -> Trial:
        if _cheap(trial.model):
            cheap.setdefault(rates.column(trial.port), []).append(trial.forecast)
        return trial

    with work_folder(folder, run):
        lacking = []
        for key, file in files.items():
            if (held := kept(file, load_trial)) is not None:
                yield seen(held)
            else:
                lacking.append(key)
        planned = plan(rates, affinities, used, lacking, jobs)
        for dear in (False, True):
            points = [
                (job, _bar(rates, job, used, cheap.get(job.target, [])) if dear else None)
                for job in planned
                if (job.kind.cost >= EXPENSIVE) == dear
            ]
            for target, found in fan_out(work, points, jobs=jobs, engine=engine):
                for trial in found:
                    save_trial(files[target, trial.model], trial)
                yield from map(seen, found)


def _cheap(model: str) -> bool:
    return KINDS[model].cost < EXPENSIVE


def _bar(rates: Rates, job: Job, used: Profile, forecasts: Sequence[Floats]) -> float | None:
    """What a network of this job must reach: what the best of the cheap models does on the bins that it watches."""
    if not job.kind.fit.startswith("LSTM"):
        return None
    task = task_of(rates, job, cuts(len(rates.starts))[REPORTED])
    return lstm.bar(task, used.lstm.sequence, [filled(rates, rates.ports[job.target], one) for one in forecasts])


@single_threaded
def run_trial(rates: Rates, job: Job, used: Profile, seed: int, device: str = "cpu") -> list[Trial]:
    """Fit at each origin and forecast what follows: one trial per model of the job.

    An expensive model is fitted once, where the reported part begins. A fit that fails leaves its block without
    forecasts, and says why.
    """
    warnings.filterwarnings("ignore")
    began = time.perf_counter()
    n = len(rates.starts)
    edges = cuts(n)
    forecast, older = np.full(n, np.nan), np.full(n, np.nan)
    about: dict[str, Any] = {}
    first = REPORTED if job.kind.cost >= EXPENSIVE else 0
    last = len(ORIGINS) - 1
    for number in range(first, REPORTED + 1 if first else last + 1):
        origin = edges[number]
        task = task_of(rates, job, origin)
        try:
            model, chosen = fit_to_ship(job.kind, task, used, seed, device)
            made = model if isinstance(model, np.ndarray) else task.forecasts(model)
        except Unfit as error:
            about["unfit"] = str(error)
            continue
        except Exception as error:  # a library's fault in one fit must not end a run of hundreds
            about["unfit"] = f"{type(error).__name__}: {error}"
            continue
        until = n if first else edges[number + 1]
        forecast[origin:until] = made[origin:until]
        if number == last - 1 and not first:
            older[edges[last] :] = made[edges[last] :]
        about |= chosen
    took = time.perf_counter() - began
    read = tuple(rates.ports[column] for column in job.columns)
    return [Trial(read[0], name, forecast, older, took, read, {**how, **about}) for name, how in job.models.items()]


def task_of(rates: Rates, job: Job, fitted: int) -> Task:
    """The task of a job whose first `fitted` bins are fitted on."""
    split = Split(fitted, fitted, len(rates.starts))
    return Task(rates.counts[:, list(job.columns)], rates.width, split, KINDS[next(iter(job.models))].logarithm)


def filled(rates: Rates, port: Port, forecast: Floats) -> Floats:
    """Forecasts (n,) whose gaps are the median of the bins before the first origin: passing must not pay."""
    known = rates.counts[: cuts(len(rates.starts))[0], rates.column(port)]
    known = known[~np.isnan(known)]
    return np.where(np.isnan(forecast), float(np.median(known)) if len(known) else 0.0, forecast)


def block_errors(rates: Rates, port: Port, forecast: Floats) -> Floats:
    """The mean absolute error of forecasts (n,) in each block: (4,); NaN where a block has no known bin."""
    given, observed = filled(rates, port, forecast), rates.counts[:, rates.column(port)]
    edges = cuts(len(rates.starts))
    found = np.full(len(ORIGINS), np.nan)
    for number in range(len(ORIGINS)):
        part = slice(edges[number], edges[number + 1])
        errors = np.abs(observed[part] - given[part])
        if not np.isnan(errors).all():
            found[number] = np.nanmean(errors)
    return found


def save_trial(file: Path, trial: Trial) -> None:
    """Write a trial, whole or not at all."""
    fields = {
        "port": str(trial.port),
        "model": trial.model,
        "seconds": trial.seconds,
        "features": [str(port) for port in trial.features],
        "about": trial.about,
    }
    save(file, fields, forecast=trial.forecast, older=trial.older)


def load_trial(file: Path) -> Trial:
    """Read what `save_trial` wrote."""
    with np.load(file) as held:
        fields = fields_of(held)
        return Trial(
            Port.parse(fields["port"]),
            fields["model"],
            held["forecast"],
            held["older"],
            fields["seconds"],
            tuple(Port.parse(text) for text in fields["features"]),
            fields["about"],
        )
