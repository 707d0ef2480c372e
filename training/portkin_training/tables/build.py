"""From probes to a table: a method learns, the manifest records from what and how well, and a bundle is written."""

from __future__ import annotations

import math
import platform
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from datetime import date
from importlib.metadata import version
from pathlib import Path
from typing import Any

import ibis.expr.types as ir

from portkin.bundles.bundle_reader import read_manifest
from portkin.bundles.bundle_writer import refuse_foreign
from portkin.bundles.table import Table, write_table
from portkin.bundles.table_format import BY_SOURCE, KIND, SCHEMA
from portkin.errors import BundleError, InputError
from portkin.net.ports import Proto
from portkin_training.core.dataset import manifest, manifest_digest, open_probes
from portkin_training.core.engine import DUCKDB, Engine
from portkin_training.core.places import Place
from portkin_training.tables.daily.counts import Day
from portkin_training.tables.daily.methods import METHODS as DAILY_METHODS
from portkin_training.tables.daily.methods import weighted_days
from portkin_training.tables.daily.store import Refreshed, refresh
from portkin_training.tables.methods import METHODS, WITH_CHANCES
from portkin_training.tables.next_port.by_source import learn_from_sources
from portkin_training.tables.next_port.counts import HORIZON
from portkin_training.tables.protocol_rows import ProtocolRows
from portkin_training.tables.scans import ScanOptions

MADE_BY = ("portkin", "numpy", "numba", "ibis-framework", "duckdb")
"""Whose versions the manifest records."""
Evaluate = Callable[[ir.Table, str, ScanOptions, int], dict[str, Any]]
"""Evaluates a method on held-out probes, with so many neighbors per port; the figures go into the manifest, and under
``cutoff`` the cut-off that they recommend, under ``by_source`` whether predictions by source ship."""

EvaluateDays = Callable[[Sequence[Day], str, ScanOptions, int, float], dict[str, Any]]
"""The same for a table from days, with their half-life; nothing where there is no later day to try it on."""


def build_table(
    datasets: Sequence[Place],
    output: Path,
    *,
    k: int,
    options: ScanOptions,
    method: str = "kin",
    evaluate: Evaluate | None = None,
    engine: Engine = DUCKDB,
) -> Table:
    """Learn a table from probes datasets, taken together, and write its bundle to ``output``.

    With ``evaluate`` the manifest holds what it returns, under ``held_out``, and the cut-off beside it. Where it says
    that predictions by source ship, the table holds a model of sources, learnt from all of the probes.

    Raises:
        KeyError: ``method`` is none of `METHODS`.
        InputError: a folder is no dataset, no dataset has a probe, or one was replaced meanwhile.
        BundleError: the output holds something else.
    """
    refuse_foreign(output, KIND)  # before the work, not after it
    inputs = described_inputs(datasets)
    probes = open_probes(*datasets, engine=engine)
    _refuse_nothing(datasets)
    built = METHODS[method](probes, options, k)
    _refuse_unlearnt(datasets, built)
    about = _about(inputs, options, built, method)
    if evaluate is not None:
        about |= _tried(evaluate(probes, method, options, k))
    from_sources = learn_from_sources(probes, options) if about.get("by_source", {}).get("ships") else None
    _refuse_replaced(datasets, inputs)
    rows = {proto: part.rows for proto, part in built.items()}
    return write_table(output, rows, method=method, about=about, by_source=from_sources and from_sources.learnt)


def table_of_days(
    dataset: Place,
    counts: Path,
    output: Path,
    *,
    k: int,
    options: ScanOptions,
    method: str,
    half_life: float,
    until: date | None = None,
    also: Mapping[str, Any] | None = None,
    accept: Callable[[Mapping[Proto, ProtocolRows]], None] = lambda built: None,
    evaluate: EvaluateDays | None = None,
    engine: Engine = DUCKDB,
) -> tuple[Table, Refreshed]:
    """Learn a table from the counts of days in the folder `counts`, brought up to date, and write its bundle.

    With ``evaluate`` the manifest holds held-out figures, as from `build_table`.

    A day that is `half_life` days older than the last one counts half (infinity: as much). With `until` the days
    before that one are learnt from, and more may be added to the dataset meanwhile. `also` is for the manifest.
    `accept` may raise to refuse what was learnt, and then nothing is written. The counts and what was done for them are
    those of `daily.store.refresh`, whose errors are raised too.
    """
    refuse_foreign(output, KIND)
    inputs = described_inputs([dataset])
    _refuse_nothing([dataset])
    found = refresh(dataset, counts, options, until=until, engine=engine)
    built = DAILY_METHODS[method](found.days, options, k, half_life)
    _refuse_unlearnt([dataset], built)
    accept(built)
    weighted = weighted_days(found.days, half_life)
    about = {
        **_about(inputs, options, built, method),
        "days": {
            "half_life": None if math.isinf(half_life) else half_life,
            "number": len(weighted),
            **({"first": str(weighted[0][0].date), "last": str(weighted[-1][0].date)} if weighted else {}),
            **({} if until is None else {"until": str(until)}),
        },
        **(also or {}),
    }
    figures = {} if evaluate is None else evaluate(found.days, method, options, k, half_life)
    if figures:
        about |= _tried(figures)
    if until is None:
        _refuse_replaced([dataset], inputs)
    return write_table(output, {proto: part.rows for proto, part in built.items()}, method=method, about=about), found


def made_by(table: Path) -> dict[str, Any]:
    """Options and inputs by which the table was made; none where there is no table, BundleError for something else.

    ``usefulness`` is what was asked of its cut-off, where something was.
    """
    refuse_foreign(table, KIND)
    for schema in (SCHEMA, SCHEMA - 1):  # an older table is replaced, and its options hold
        try:
            about = read_manifest(table, kind=KIND, schema=schema).about
        except BundleError:  # there is none, or it is damaged, and is replaced
            continue
        made = {name: about[name] for name in ("k", "method", "inputs") if name in about}
        wanted = about.get("cutoff", {}).get("usefulness_wanted")
        made |= {} if wanted is None else {"usefulness": wanted}
        return {**about.get("options", {}), **about.get("days", {}), **made}
    return {}


def predicts_by_source(table: Path) -> bool:
    """Whether there is a table with a model of sources, as far as its manifest can be read."""
    try:
        return BY_SOURCE in read_manifest(table, kind=KIND, schema=SCHEMA).files
    except BundleError:
        return False


def _refuse_nothing(datasets: Sequence[Place]) -> None:
    """Raise InputError where there is nothing to learn from: an empty table must not take the place of a good one."""
    if not any(manifest(dataset)["rows"] for dataset in datasets):
        named = ", ".join(map(str, datasets))
        raise InputError(
            f"{named}: no probes, so nothing can be learnt and no table was written; see what was ingested"
        )


def _refuse_unlearnt(datasets: Sequence[Place], built: Mapping[Proto, ProtocolRows]) -> None:
    """Raise InputError where no source went from one port to another: a table of it would look like any other."""
    if not any(part.counts.get("pairs", 1) and len(part.rows.ports) for part in built.values()):
        by_counts = any("pairs" in part.counts for part in built.values())
        why = "source probed a second port" if by_counts else "source probed from --min-ports to --max-ports ports"
        raise InputError(
            f"{', '.join(map(str, datasets))}: no {why}, so nothing can be learnt of which port follows which, and no "
            "table was written; add recordings of other ports"
        )


def _refuse_replaced(datasets: Sequence[Place], inputs: list[dict[str, Any]]) -> None:
    """Raise InputError where a dataset is no longer what it was: the manifest would name what the table is not from."""
    for dataset, before, now in zip(datasets, inputs, described_inputs(datasets), strict=True):
        if before != now:
            raise InputError(f"{dataset}: was replaced while the table was built, so none was written; build it again")


def _tried(figures: dict[str, Any]) -> dict[str, Any]:
    """Held-out figures as the manifest has them."""
    beside = {name: figures.pop(name) for name in ("cutoff", "by_source") if figures.get(name) is not None}
    return {**beside, "held_out": figures}


def _about(
    inputs: list[dict[str, Any]], options: ScanOptions, built: Mapping[Proto, ProtocolRows], method: str
) -> dict[str, Any]:
    """What every table's manifest records about how it was built."""
    return {
        "inputs": inputs,
        "options": asdict(options),
        **({"chances": {"horizon": HORIZON}} if method in WITH_CHANCES else {}),
        "counts": {proto: dict(part.counts) for proto, part in built.items()},
        "versions": {"python": platform.python_version(), **{name: version(name) for name in MADE_BY}},
    }


def described_inputs(datasets: Sequence[Place]) -> list[dict[str, Any]]:
    """The datasets a table is learnt from: the sha256 of each manifest, and what it records about the recordings."""
    return [_described(dataset) for dataset in datasets]


def _described(dataset: Place) -> dict[str, Any]:
    about = manifest(dataset)
    return {
        "manifest_sha256": manifest_digest(dataset),
        **{name: about[name] for name in ("rows", "first", "last", "about")},
    }
