"""``portkin compare``: the same capture through real Zeek with a real sidecar, and through the twin."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from portkin_training.twin.real_zeek import DecisionRecord


@click.command()
@click.argument("capture", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option(
    "--scripts",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    default=Path("zeek-scripts"),
    show_default=True,
    help="Folder of the Zeek package's scripts.",
)
@click.option("-t", "--table", type=click.Path(path_type=Path), help="Folder of a table [default: the one shipped].")
@click.option("-k", type=click.IntRange(1), default=3, show_default=True, help="How many nearest ports are predicted.")
def compare(capture: Path, scripts: Path, table: Path | None, k: int) -> None:
    """Show that Zeek and `portkin replay --detector zeek` decide alike about a capture.

    Runs the capture through the Zeek that is on PATH or in /opt/zeek/bin, with a sidecar of its own, and through
    the detector in Python, and compares decision by decision. Ends with status 1 where they differ.
    """
    from rich.console import Console

    from portkin.bundles.table import Table, default_table
    from portkin_training.twin.decisions import DecisionConfig
    from portkin_training.twin.real_zeek import decision_records, find_zeek, run_zeek
    from portkin_training.twin.run import decide_capture

    out = Console(highlight=False)
    zeek = find_zeek()
    if zeek is None:
        out.print("No Zeek >= 8.0 on PATH or in /opt/zeek/bin: the comparison with real Zeek is left out.")
        return
    loaded = default_table() if table is None else Table.load(table)
    ours = decision_records(decide_capture(capture, loaded, decision=DecisionConfig(k=k)))
    theirs = run_zeek(zeek, capture, scripts, table=table, options={"Portkin::k": str(k)})
    if ours == theirs.decisions:
        out.print(f"Real Zeek ({zeek}) with a real sidecar: {len(ours)} decisions, all alike.")
        return
    out.print(f"Real Zeek took {len(theirs.decisions)} decisions, portkin replay {len(ours)}; they differ in:")
    for name, decision in _differences(theirs.decisions, ours):
        out.print(f"  {name}: {decision}")
    out.print(theirs.messages)
    raise SystemExit(1)


def _differences(
    theirs: list[DecisionRecord], ours: list[DecisionRecord], most: int = 10
) -> list[tuple[str, DecisionRecord]]:
    only = [("Zeek", one) for one in theirs if one not in ours] + [("replay", one) for one in ours if one not in theirs]
    return sorted(only, key=lambda pair: pair[1])[:most]
