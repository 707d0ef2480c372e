"""``portkin table show``: what a table predicts after a port, and by what a source did before."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from portkin.commands.duration import Duration
from portkin.net.ports import Port, service_name
from portkin_training.commands.table_options import json_option, table_option
from portkin_training.commands.table_text import entries, named

LONGEST = 315_360_000
"""Seconds that a history may have: ten years."""

if TYPE_CHECKING:
    from portkin.bundles.table import Neighbors, Table


@click.command()
@click.argument("ports", nargs=-1, required=True, metavar="PORT...")
@table_option
@click.option("-k", type=click.IntRange(1), show_default="5", help="Neighbors to show per port.")
@click.option("--after", metavar="PORT,...", help="What a source probed before each PORT, the earliest first: shows "
              "what the sidecar predicts of it, by the table's model of sources.")  # fmt: skip
@click.option("--within", type=Duration(0, LONGEST), metavar="DURATION",
              help="With --after: how long ago its first probe was, as 90 (seconds), 10m or 2h. Default: a second for "
              "each port.")  # fmt: skip
@json_option
def show(ports: tuple[str, ...], folder: Path, k: int | None, after: str | None, within: float | None,
         as_json: bool) -> None:  # fmt: skip
    """Show the nearest ports of each PORT, written as 80, 80/tcp or 53/udp.

    \b
    portkin table show 80 443
    portkin table show 2323 --after 22,23 --within 60 -t table/
    """
    from portkin.numpy_threads import one_thread

    one_thread()
    from portkin.bundles.table import Table

    asked = [Port.parse(text) for text in ports]
    before = [Port.parse(text) for text in after.split(",")] if after else []
    if within is not None and not before:
        raise click.UsageError("--within says when a source began: say with --after what it probed before")
    for port in asked:
        if len({*before, port}) <= len(before):
            raise click.UsageError(
                f"--after {after}: name each port once, and not {port}, to which the source came last"
            )
    loaded = Table.load(folder, {port.proto for port in (*asked, *before)})
    found = {port: _of_source(loaded, [*before, port], within, k or 5) if before else loaded.nearest(port, k or 5)
             for port in asked}  # fmt: skip
    if before and loaded.source_model is None:
        click.echo(f"portkin: table {loaded.id} has no model of sources: only the latest port counts", err=True)
    if k is not None and k > loaded.k:
        click.echo(f"portkin: -k {k}: table {loaded.id} holds the {loaded.k} nearest ports of each port", err=True)
    if as_json:
        _print_json(found)
    else:
        _print(found, loaded, f" after {', '.join(map(str, before))}" if before else "")


def _of_source(table: Table, history: Sequence[Port], within: float | None, k: int) -> Neighbors:
    """What is predicted of a source with this history, the latest port last."""
    from math import log

    from portkin.bundles.prediction import predicted_of_source
    from portkin.bundles.table import Neighbors
    from portkin.bundles.table_format import RECENT

    elapsed = float(len(history) - 1) if within is None else within
    said = predicted_of_source(table, history[::-1][:RECENT], len(history), elapsed, k, 0.0 if table.horizon else None)
    if not said.by_source:
        return table.nearest(history[-1], k)
    chances = tuple(chance for chance in said.chances if chance > 0)  # likeliest first
    return Neighbors(said.ports[: len(chances)], tuple(-log(chance) for chance in chances), chances)


def _print_json(found: dict[Port, Neighbors]) -> None:
    shown = {
        str(port): [
            {"port": str(other), "distance": distance, "chance": chance, "service": service_name(other)}
            for other, distance, chance in entries(near)
        ]
        for port, near in found.items()
    }
    click.echo(json.dumps(shown, indent=2))


def _print(found: dict[Port, Neighbors], loaded: Table, after: str) -> None:
    from rich import box
    from rich.console import Console
    from rich.table import Table as Grid

    console = Console(highlight=False)
    for port, near in found.items():
        if port not in loaded and not near.ports:
            console.print(f"{named(port)}: not known to table {loaded.id}, so nothing is predicted from it")
            continue
        if not near.ports:
            console.print(
                f"{named(port)}: known to table {loaded.id}, which predicts nothing from it: "
                "too few sources went on from it to another port"
            )
            continue
        console.print(f"{named(port)}{after}, by table {loaded.id}:")
        grid = Grid(box=box.SIMPLE)
        grid.add_column("rank", justify="right")
        grid.add_column("port")
        grid.add_column("service")
        grid.add_column("distance", justify="right")
        if near.chances:
            grid.add_column("chance", justify="right")
        for rank, (other, distance, chance) in enumerate(entries(near), start=1):
            cells = [str(rank), str(other), service_name(other) or "", f"{distance:.6g}"]
            grid.add_row(*cells, *([] if chance is None else [f"{chance:.3g}"]))
        console.print(grid)
