"""From probes to a table: a method learns, the manifest says of what and how well, and a bundle is written."""

from __future__ import annotations

import hashlib
import math
import platform
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path
from typing import Any

import ibis.expr.types as ir

from portkin.bundles.manifest import MANIFEST, refuse_foreign
from portkin.bundles.table import KIND, Table, write_table
from portkin.net.ports import Proto
from portkin_training.core.engine import DUCKDB, Engine, Place, located
from portkin_training.core.probes import manifest, open_probes
from portkin_training.evaluation import held_out as evaluate
from portkin_training.replay.blocking import Sweep
from portkin_training.tables.daily import counts as days
from portkin_training.tables.daily.store import Refreshed, refresh
from portkin_training.tables.methods import METHODS
from portkin_training.tables.scans import ScanOptions
from portkin_training.tables.shortest_path.method import Built

MADE_BY = ("portkin", "numpy", "numba", "ibis-framework", "duckdb")
"""Whose versions the manifest records."""


def build_table(
    datasets: Sequence[Place],
    output: Path,
    *,
    k: int,
    options: ScanOptions,
    method: str = "kin",
    proof: bool = True,
    engine: Engine = DUCKDB,
) -> Table:
    """Learn a table from probes datasets, taken together, and write its bundle to ``output``.

    ``method`` is one of `METHODS` (KeyError otherwise). With ``proof`` the manifest holds what a table by this method,
    learnt from the first 80 % of the probes, foretells of the rest, beside the other methods and the baselines.
    InputError for a folder that is no dataset, BundleError for an output that holds something else.
    """
    refuse_foreign(output, KIND)  # before the work, not after it
    probes = open_probes(*datasets, engine=engine)
    built = METHODS[method](probes, options, k)
    about = _about(datasets, options, built)
    if proof:
        about["held_out"] = held_out_figures(probes, method, options)
    return write_table(output, {proto: part.rows for proto, part in built.items()}, method=method, about=about)


def table_of_days(
    dataset: Place,
    counts: Path,
    output: Path,
    *,
    k: int,
    options: ScanOptions,
    method: str,
    half_life: float,
    engine: Engine = DUCKDB,
) -> tuple[Table, Refreshed]:
    """Learn a table from the counts of days in the folder `counts`, brought up to date, and write its bundle.

    A day that is `half_life` days older than the last one counts half (infinity: as much). The counts and what was
    done for them are those of `day_store.refresh`, whose errors are raised too.
    """
    refuse_foreign(output, KIND)
    found = refresh(dataset, counts, options, engine=engine)
    built = days.METHODS[method](found.days, options, k, half_life)
    lasting = days.lasting(found.days, half_life)
    about = {
        **_about([dataset], options, built),
        "days": {
            "half_life": None if math.isinf(half_life) else half_life,
            "number": len(lasting),
            **({"first": str(lasting[0][0].date), "last": str(lasting[-1][0].date)} if lasting else {}),
        },
    }
    return write_table(output, {proto: part.rows for proto, part in built.items()}, method=method, about=about), found


def _about(datasets: Sequence[Place], options: ScanOptions, built: Mapping[Proto, Built]) -> dict[str, Any]:
    """What every table's manifest says of how it was made."""
    return {
        "inputs": [described_input(probes) for probes in datasets],
        "options": asdict(options),
        "counts": {proto: dict(part.counts) for proto, part in built.items()},
        "versions": {"python": platform.python_version(), **{name: version(name) for name in MADE_BY}},
    }


def held_out_figures(probes: ir.Table, method: str, options: ScanOptions) -> dict[str, Any]:
    """The method and the others, learnt from the first 80 % of the probes and tried on the rest."""
    sweep = Sweep((0, *evaluate.KS), (evaluate.WINDOW,), (evaluate.KS[0], evaluate.WINDOW))
    methods = (method, *(name for name in METHODS if name != method))
    return evaluate.proof(evaluate.held_out(probes, methods, options, sweep))


def described_input(probes: Place) -> dict[str, Any]:
    """The dataset a table was learnt from: the sha256 of its manifest, and what that says of the recordings."""
    said = manifest(probes)
    system, root = located(probes)
    digest = hashlib.sha256(system.cat_file(f"{root}/{MANIFEST}")).hexdigest()
    return {"manifest_sha256": digest, **{name: said[name] for name in ("rows", "first", "last", "about")}}
