"""``portkin compare``: the same capture through real Zeek with a real sidecar, and through the twin."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import click

from portkin.commands.stopping import ending_with_children
from portkin.wording import amount

MOST = 10
"""How many differences are printed."""


@click.command()
@click.argument("capture", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option(
    "--scripts",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="Folder of the Zeek package's scripts [default: ./zeek-scripts, or where they are installed].",
)
@click.option("-t", "--table", type=click.Path(path_type=Path), help="Folder of a table [default: the one shipped].")
@click.option("-k", type=click.IntRange(1), default=3, show_default=True, help="How many nearest ports are predicted.")
@click.option(
    "--context",
    type=click.Choice(["none", "vlan"]),
    default="none",
    show_default=True,
    help="What distinguishes hosts of one address; vlan loads Zeek's frameworks/conn_key/vlan_fivetuple.",
)
@click.option(
    "--zeek",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="The program zeek [default: the one on PATH, or in /opt/zeek/bin].",
)
@ending_with_children()
def compare(
    capture: Path,
    scripts: Path | None,
    table: Path | None,
    k: int,
    context: Literal["none", "vlan"],
    zeek: Path | None,
) -> None:
    """Check that Zeek and `portkin replay --detector zeek` make the same decisions on a capture.

    Runs the capture through Zeek with a sidecar of its own, and through the detector in Python, and compares decision
    by decision. Ends with status 1 where they differ.
    """
    from rich.console import Console

    from portkin.bundles.table import Table, default_table
    from portkin.errors import InputError
    from portkin.zeek.scripts import LOAD, find_scripts
    from portkin_training.ingest.captures.options import CaptureOptions
    from portkin_training.twin.decisions import DecisionConfig
    from portkin_training.twin.real_zeek import decision_records, explain, find_zeek, run_zeek
    from portkin_training.twin.run import decide_capture

    out = Console(highlight=False, soft_wrap=True)
    program = str(zeek) if zeek is not None else find_zeek()
    if program is None:
        out.print("No Zeek >= 8.0 on PATH or in /opt/zeek/bin: the comparison with real Zeek is left out.")
        return
    if scripts is None:
        scripts = find_scripts(program)
    elif not (scripts / LOAD).is_file():
        raise InputError(f"{scripts}: no {LOAD} in it; name the folder of portkin's Zeek scripts")
    loaded = default_table() if table is None else Table.load(table)
    captures = CaptureOptions(context=context)
    ours = decision_records(decide_capture(capture, loaded, decision=DecisionConfig(k=k), captures=captures))
    run = run_zeek(program, capture, scripts, table=table, options={"Portkin::k": str(k)}, captures=captures)
    name = f"Real Zeek {run.version} ({program})"
    if ours == run.decisions:
        out.print(f"{name} with a real sidecar: {amount(len(ours), 'decision')}, all alike.")
        return
    took = amount(len(run.decisions), "decision")
    out.print(f"{name} took {took}, portkin replay {len(ours)}. They differ:", markup=False)
    differences = list(explain(run.decisions, ours))
    for line in differences[:MOST]:
        out.print(f"  {line}", markup=False)
    if len(differences) > MOST:
        out.print(f"  and {len(differences) - MOST} more")
    out.print("What Zeek and the sidecar reported:", markup=False)
    out.print(run.messages.strip() or "nothing", markup=False)
    raise SystemExit(1)
