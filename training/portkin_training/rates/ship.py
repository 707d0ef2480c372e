"""From an evaluation to the model bundle that ships: one model per port, its thresholds, and why it was taken."""

from __future__ import annotations

import platform
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

from portkin.bundles.forecast import Forecaster, Model, Rules
from portkin.net.ports import Port
from portkin.timeseries.scaling import Scaling
from portkin_training.rates.calibrate import threshold
from portkin_training.rates.models.export import write_models
from portkin_training.rates.models.registry import KINDS
from portkin_training.rates.models.task import Split
from portkin_training.rates.results import TOLERANCE, Result, shipping
from portkin_training.rates.series.rate_series import Rates


def entry(rates: Rates, result: Result) -> Model:
    """The model as the bundle names it, scaled by the fitted part, without thresholds."""
    fitted = rates.counts[: Split.of(len(rates.starts)).fit]
    columns = [rates.column(port) for port in result.features]
    return Model(
        result.port,
        result.model,
        f"{result.port.number}-{result.port.proto}.onnx",
        result.length,
        result.features,
        Scaling.fit(fitted[:, columns], logarithm=KINDS[result.model].logarithm),
        float("inf"),
        float("inf"),
    )


def with_thresholds(
    rates: Rates, chosen: Sequence[Result], rules: Rules, alarms_per_month: float, abnormal: np.ndarray | None = None
) -> list[Model]:
    """The models with thresholds of E and W from the bins that nothing was fitted on.

    `abnormal` bool (n, p): bins known not to be normal, which are left out. Scored by the sidecar's own code.
    """
    models = [entry(rates, result) for result in chosen]
    with tempfile.TemporaryDirectory() as folder:
        write_models(
            Path(folder) / "draft",
            [(model, result.onnx) for model, result in zip(models, chosen, strict=True)],
            rules,
            {},
        )
        _, e, w = Forecaster.load(Path(folder) / "draft").score_all(rates.ports, rates.counts)
    held_out = np.arange(len(rates.starts)) >= Split.of(len(rates.starts)).fit
    found = []
    for number, model in enumerate(models):
        normal = held_out if abnormal is None else held_out & ~abnormal[:, rates.column(model.port)]
        found.append(
            replace(
                model,
                threshold_e=threshold(e[normal, number], alarms_per_month, rates.width),
                threshold_w=threshold(w[normal, number], alarms_per_month, rates.width),
            )
        )
    return found


def ship(
    path: Path,
    rates: Rates,
    results: Mapping[Port, Sequence[Result]],
    *,
    rules: Rules,
    alarms_per_month: float,
    abnormal: np.ndarray | None = None,
    tolerance: float = TOLERANCE,
    about: Mapping[str, Any],
) -> dict[Port, Result]:
    """Choose a model per port (`results.shipping`), calibrate, write the bundle; what was chosen.

    The manifest tells, per port, the chosen model, what it scored, and how all others did on the choosing part.
    """
    chosen = {port: shipping(found, tolerance) for port, found in results.items()}
    models = with_thresholds(rates, list(chosen.values()), rules, alarms_per_month, abnormal)
    details = {
        str(port): {
            "model": result.model,
            "cost": KINDS[result.model].cost,
            "choosing": asdict(result.choosing),
            "reported": asdict(result.reported),
            "tried": {other.model: other.choosing.mae for other in results[port]},
            "about": {key: value for key, value in result.about.items() if key != "tried"},
        }
        for port, result in chosen.items()
    }
    versions = {name: version(name) for name in ("numpy", "onnx", "onnxruntime", "torch", "lightgbm", "statsmodels")}
    write_models(
        path,
        [(model, result.onnx) for model, result in zip(models, chosen.values(), strict=True)],
        rules,
        {
            **about,
            "synthetic": rates.synthetic,
            "bins": len(rates.starts),
            "first_bin": int(rates.starts[0]),
            "last_bin": int(rates.starts[-1]),
            "alarms_per_port_and_month": alarms_per_month,
            "tolerance": tolerance,
            "versions": versions | {"python": platform.python_version()},
            "models": details,
        },
    )
    return chosen
