"""From rolling-origin trials to the model bundle that ships: one model per port, its thresholds, and why."""

from __future__ import annotations

import platform
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from portkin.bundles.forecast_models import Model, Rules
from portkin.errors import InputError
from portkin.net.ports import Port
from portkin.timeseries.scaling import Scaling
from portkin_training.core.engine import DUCKDB, Engine
from portkin_training.core.fan_out import fan_out
from portkin_training.rates.calibrate import Calibrated, calibrate
from portkin_training.rates.choice import Choice
from portkin_training.rates.evaluate import Job
from portkin_training.rates.models.export import to_onnx, write_models
from portkin_training.rates.models.linear import Corrected, Linear, mean_of
from portkin_training.rates.models.registry import KINDS, Profile, fit_to_ship
from portkin_training.rates.models.task import Predictor, season_of
from portkin_training.rates.rolling import ORIGINS, Trial, cuts, task_of
from portkin_training.rates.series.rate_series import Rates
from portkin_training.rates.single_thread import single_threaded


@dataclass(frozen=True, eq=False)
class Fitted:
    """A chosen model, fitted to ship: what it reads, its window, its scaling, and the model itself as ONNX."""

    choice: Choice
    model: Model
    onnx: bytes


@single_threaded
def fit_chosen(rates: Rates, choice: Choice, used: Profile, seed: int, device: str = "cpu") -> Fitted:
    """Fit what was chosen for a port to all bins, or to those before the last origin where that was better.

    A mean of several weighted sums becomes one: over the longest of their windows and all the ports that they read.
    """
    fitted = len(rates.starts) if choice.refit else cuts(len(rates.starts))[len(ORIGINS) - 1]
    features = tuple(dict.fromkeys(port for trial in choice.members for port in trial.features))
    made = [_fit(rates, trial, fitted, used, seed, device) for trial in choice.members]
    columns = [rates.column(port) for port in features]
    scaling = Scaling.fit(rates.counts[:fitted, columns], logarithm=KINDS[choice.members[0].model].logarithm)
    predictor: Predictor
    if len(made) == 1:
        predictor = made[0]
    else:
        longest = max(season_of(rates.width), *(one.length for one in made))
        predictor = mean_of(
            [
                one.wider(longest, [features.index(port) for port in trial.features], len(features))
                for one, trial in zip(made, choice.members, strict=True)
                if isinstance(one, Linear | Corrected)
            ],
            season_of(rates.width),
            float(scaling.apply(np.zeros(len(features)))[0]),
        )
    port = choice.port
    name = f"{port.number}-{port.proto}.onnx"
    model = Model(port, choice.name, name, predictor.length, features, scaling, float("inf"), float("inf"))
    return Fitted(choice, model, to_onnx(predictor, len(features)))


def _fit(rates: Rates, trial: Trial, fitted: int, used: Profile, seed: int, device: str) -> Predictor:
    columns = tuple(rates.column(port) for port in trial.features)
    kind = KINDS[trial.model]
    task = task_of(rates, Job(columns[0], kind, columns, {trial.model: {}}), fitted)
    made, _ = fit_to_ship(kind, task, used, seed, device)
    return made  # type: ignore[return-value]  # what reads no windows is never chosen


def ship(
    path: Path,
    rates: Rates,
    choices: Mapping[Port, Choice],
    used: Profile,
    *,
    rules: Rules,
    alarms_per_month: float,
    seed: int = 0,
    abnormal: NDArray[np.bool_] | None = None,
    about: Mapping[str, Any],
    jobs: int = 1,
    device: str = "cpu",
    engine: Engine = DUCKDB,
    instead: Callable[[Choice, str], Choice | None] = lambda choice, why: None,
) -> dict[Port, tuple[Choice, Calibrated]]:
    """Fit what was chosen, calibrate its alarms, write the bundle; per port what ships and how its alarms were
    calibrated.

    `abnormal` bool (n, p): bins known not to be normal, which calibration leaves out. `instead` is asked, with the
    reason, for what ships of a port whose choice cannot be fitted any more; None leaves the port out. InputError where
    no port is left.
    """

    def work(choice: Choice) -> tuple[Choice, Fitted | str]:
        try:
            return choice, fit_chosen(rates, choice, used, seed, device)
        except Exception:  # what could be fitted at the last origin, but not to all bins, ships as it was then
            try:
                return choice, fit_chosen(rates, replace(choice, refit=False), used, seed, device)
            except Exception as error:  # a library's fault in one fit must not end a run of hundreds
                return choice, f"{type(error).__name__}: {error}"

    found: dict[Port, tuple[Choice, Fitted]] = {}
    reasons = []
    lacking = list(choices.values())
    while lacking:
        fits = list(fan_out(work, [(choice,) for choice in lacking], jobs=jobs, engine=engine))
        lacking = []
        for choice, made in fits:
            if isinstance(made, Fitted):
                found[choice.port] = choice, made
            else:
                reasons.append(f"{choice.port}: {choice.name}: {made}")
                other = instead(choice, made)
                lacking += [] if other is None else [other]
    if not found:
        raise InputError(f"no model could be fitted to ship: {'; '.join(reasons)}")
    found = {port: found[port] for port in choices if port in found}
    calibrated = {
        port: calibrate(
            rates.counts[:, rates.column(port)],
            choice.forecast,
            rules,
            alarms_per_month,
            None if abnormal is None else abnormal[:, rates.column(port)],
        )
        for port, (choice, _) in found.items()
    }
    models = [_with_alarms(made.model, calibrated[port]) for port, (_, made) in found.items()]
    versions = {name: version(name) for name in ("numpy", "onnx", "onnxruntime", "torch", "lightgbm", "statsmodels")}
    write_models(
        path,
        [(model, found[model.port][1].onnx) for model in models],
        replace(rules, until=int(rates.starts[-1])),
        {
            **about,
            "synthetic": rates.synthetic,
            "bins": len(rates.starts),
            "first_bin": int(rates.starts[0]),
            "last_bin": int(rates.starts[-1]),
            "alarms_per_port_and_month": alarms_per_month,
            "versions": versions | {"python": platform.python_version()},
            "models": {
                str(port): {**choice.about(), "cost": _cost(choice.members), "alarms": calibrated[port].about()}
                for port, (choice, _) in found.items()
            },
        },
    )
    return {port: (choice, calibrated[port]) for port, (choice, _) in found.items()}


def _with_alarms(model: Model, found: Calibrated) -> Model:
    return replace(
        model,
        threshold_e=found.threshold_e,
        threshold_w=found.threshold_w,
        alarms_e=found.alarms_e,
        alarms_w=found.alarms_w,
        least_e=found.least_e,
        burst_e=found.burst_e,
    )


def _cost(members: Sequence[Trial]) -> int:
    return max(KINDS[trial.model].cost for trial in members)
