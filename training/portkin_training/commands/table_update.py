"""``portkin table update``: a table brought up to date, of which only what is new is counted."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from portkin.bundles.table_format import DEFAULT_K
from portkin.errors import InputError
from portkin.net.ports import PROTOS
from portkin.wording import amount
from portkin_training.commands.checks import a_number
from portkin_training.commands.engine_options import engine_options
from portkin_training.commands.working import working
from portkin_training.evaluation.sentences import recommended

if TYPE_CHECKING:
    from portkin.net.ports import Proto
    from portkin_training.core.engine import Engine

FOLDER = click.Path(path_type=Path)
half_life_option = click.option(
    "--half-life", type=click.FloatRange(0, min_open=True), callback=a_number, metavar="DAYS",
    help="Learn from each day by itself; a day this much older than the last one counts half, inf: as much.",
)  # fmt: skip


@click.command()
@click.argument("dataset")
@click.argument("table", type=FOLDER)
@click.option("--counts", type=FOLDER, metavar="FOLDER", help="Where the counts of days are kept. "
              "Default: TABLE with -counts appended.")  # fmt: skip
@half_life_option
@click.option("-k", type=click.IntRange(1, 256), help=f"Neighbors per port. Default: {DEFAULT_K}.")
@click.option("--min-ports", type=click.IntRange(1), help="Discard scans of fewer different ports. Default: 3.")
@click.option("--max-ports", type=click.IntRange(1), help="Discard scans of more different ports. Default: 30.")
@click.option("--proto", "protos", type=click.Choice(PROTOS), multiple=True, help="Protocols to learn. Default: all.")
@click.option("--method", "--metric", type=click.Choice(["kin", "shortest-path"]), help="As for build. Default: kin.")
@engine_options
def update(
    dataset: str,
    table: Path,
    counts: Path | None,
    half_life: float | None,
    k: int | None,
    min_ports: int | None,
    max_ports: int | None,
    protos: tuple[Proto, ...],
    method: str | None,
    engine: Engine,
) -> None:
    """Bring TABLE up to date with the probes dataset DATASET, reading only the days that are new or changed.

    The counts of every day are kept beside the table and added up, and the table is built from the sum: the same as
    `portkin table build` with that half-life builds from the whole dataset. Options that are not given are those
    with which TABLE was built.

    \b
    Every night, after the day's capture is closed:
      portkin ingest --append yesterday.pcap -o probes/
      portkin table update probes/ table/ --half-life 30
    """
    from functools import partial

    from portkin_training.evaluation.held_out_days import held_out_days_figures
    from portkin_training.tables.build import made_by, predicts_by_source, table_of_days
    from portkin_training.tables.scans import ScanOptions

    before = made_by(table)
    if predicts_by_source(table):
        click.echo(
            f"portkin: warning: {table} predicts by source, and a table from counts of days does not: to keep that, "
            "build it with `portkin table build --by-source`",
            err=True,
        )
    _refuse_or_report_lost(table, dataset, before.get("inputs", ()))
    least, most = min_ports or before.get("min_ports", 3), max_ports or before.get("max_ports", 30)
    if least > most:
        raise click.UsageError(f"--min-ports {least} is more than --max-ports {most}: no scan can pass")
    options = ScanOptions(least, most, protos or tuple(before.get("protos", PROTOS)))
    half_life = half_life or before.get("half_life") or float("inf")
    with working("counting what is new"):
        built, found = table_of_days(
            dataset, counts or table.parent / f"{table.name}-counts", table, k=k or before.get("k", DEFAULT_K),
            options=options, method=method or before.get("method", "kin"), half_life=half_life,
            evaluate=partial(held_out_days_figures, usefulness=before.get("usefulness")), engine=engine,
        )  # fmt: skip
    for day in found.removed:
        click.echo(f"portkin: {day} is in the dataset no more: its counts were removed", err=True)
    click.echo(
        f"{table}: table {built.id}, {amount(len(found.counted), 'day')} counted of {len(found.days)}, "
        f"half-life {'none' if half_life == float('inf') else f'{half_life:g} days'}, K={built.k}, {built.method}"
    )
    if "cutoff" in built.manifest.about:
        click.echo(recommended(built.manifest.about["cutoff"]))


def _refuse_or_report_lost(table: Path, dataset: str, inputs: Sequence[Mapping[str, Any]]) -> None:
    """Raise InputError where the table was learnt from several datasets and this one does not hold all of them.

    Of a single one, recordings that are no longer in the dataset are reported: days are dropped from it on purpose.
    """
    from portkin_training.core.dataset import manifest, recordings

    def known_by(source: Mapping[str, Any]) -> str:
        return str(source.get("sha256", source["name"]))

    held = {known_by(source) for source in recordings(manifest(dataset)["about"])}
    sources = [source for made_from in inputs for source in recordings(made_from["about"])]
    lost = [source["name"] for source in sources if known_by(source) not in held]
    if len(inputs) > 1 and (lost or not sources):
        raise InputError(
            f"{table}: was learnt from {len(inputs)} datasets, and {dataset} lacks "
            f"{', '.join(lost) or 'what shows whether it holds all of them'}, which the table would forget; ingest all "
            "recordings into one dataset, or write another table: portkin table build"
        )
    if lost:
        click.echo(f"portkin: warning: {', '.join(lost)}: in {table} until now, not in {dataset}", err=True)
