"""An evaluation as tables: Tables IV and V with more figures than R2, for people and for programs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

import numpy as np
from rich.table import Table

from portkin.net.ports import Port, service_name
from portkin_training.rates.models.registry import MODELS
from portkin_training.rates.results import Result, winner

FIGURES = {"r2": "R2", "mase": "MASE", "skill": "skill", "mae": "MAE"}


def by_port(results: Sequence[Result]) -> dict[Port, list[Result]]:
    """Results per port, in order of `MODELS`."""
    found: dict[Port, list[Result]] = {}
    for result in sorted(results, key=lambda result: MODELS.index(result.model)):
        found.setdefault(result.port, []).append(result)
    return found


def means(results: Sequence[Result], figure: str) -> dict[str, float]:
    """The mean over ports of one figure on the reported part, per model, best first; ports whose figure cannot be had,
    as R2 where nothing varied, are left out."""
    per_model: dict[str, list[float]] = {}
    for result in results:
        per_model.setdefault(result.model, []).append(getattr(result.reported, figure))
    found = {name: _mean(values) for name, values in per_model.items()}
    best_first = -1 if figure in ("r2", "skill") else 1
    return dict(sorted(found.items(), key=lambda item: (np.isnan(item[1]), best_first * item[1])))


def _mean(values: Sequence[float]) -> float:
    known = [value for value in values if not np.isnan(value)]
    return float(np.mean(known)) if known else float("nan")


def figure_text(value: float) -> str:
    """Two decimals, or a dash for what cannot be had, as R2 where nothing varied."""
    return "-" if np.isnan(value) else f"{value:.2f}"


def named(port: Port) -> str:
    """``22/tcp (ssh)``."""
    service = service_name(port)
    return f"{port} ({service})" if service else str(port)


def table(results: Sequence[Result], figure: str = "r2", *, synthetic: bool = False) -> Table:
    """One figure of all models (rows, best mean first) for all ports (columns), the best of each column in bold."""
    ports = by_port(results)
    values = {(result.model, result.port): getattr(result.reported, figure) for result in results}
    sign = -1 if figure in ("r2", "skill") else 1
    best = {
        port: np.nanmin([np.inf, *(sign * getattr(result.reported, figure) for result in found)])
        for port, found in ports.items()
    }
    title = f"{FIGURES[figure]} on the last 25 %" + (", SYNTHETIC rates" if synthetic else "")
    made = Table(title=title)
    made.add_column("model", no_wrap=True)
    made.add_column("mean", justify="right", no_wrap=True)
    for port in ports:
        made.add_column(str(port).replace("/", "\n"), justify="right", no_wrap=True)
    for name, mean in means(results, figure).items():
        cells = []
        for port in ports:
            value = values.get((name, port))
            text = "-" if value is None else figure_text(value)
            cells.append(f"[bold]{text}[/bold]" if value is not None and sign * value == best[port] else text)
        made.add_row(name, figure_text(mean), *cells)
    return made


def paper_table(results: Sequence[Result], ahead: str, *, synthetic: bool = False) -> Table:
    """R2 as the paper's Tables IV and V print it: a port a row, a model a column, best mean first, the best in bold.

    `ahead` says how far ahead was forecast: "1 hour".
    """
    values = {(result.model, result.port): result.reported.r2 for result in results}
    columns = means(results, "r2")
    made = Table(
        title=f"R2 scores of the probing rates prediction models ({ahead} ahead-of-time forecasting)"
        + (", SYNTHETIC rates" if synthetic else "")
    )
    made.add_column("", no_wrap=True)
    for name in columns:
        made.add_column(name, justify="right")
    for port in by_port(results):
        row = [values.get((name, port), float("nan")) for name in columns]
        best = max((value for value in row if not np.isnan(value)), default=float("nan"))
        cells = list(map(figure_text, row))
        made.add_row(
            named(port),
            *(f"[bold]{cell}[/bold]" if value == best else cell for cell, value in zip(cells, row, strict=True)),
        )
    made.add_section()
    made.add_row("Mean R2", *map(figure_text, columns.values()))
    return made


def as_json(results: Sequence[Result]) -> dict[str, Any]:
    """All figures, and the winner on the reported part, per port."""
    ports = {}
    for port, found in by_port(results).items():
        ports[str(port)] = {
            "winner": winner(found).model,
            "models": {
                result.model: {
                    "choosing": asdict(result.choosing),
                    "reported": asdict(result.reported),
                    "seconds": result.seconds,
                    "features": list(map(str, result.features)),
                }
                for result in found
            },
        }
    report: dict[str, Any] = without_nan(
        {"ports": ports, "means": {figure: means(results, figure) for figure in FIGURES}}
    )
    return report


def without_nan(value: Any) -> Any:
    """JSON has no NaN: a figure that could not be had is None."""
    if isinstance(value, dict):
        return {key: without_nan(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [without_nan(inner) for inner in value]
    return None if isinstance(value, float) and np.isnan(value) else value
