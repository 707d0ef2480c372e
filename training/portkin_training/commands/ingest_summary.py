"""What ``portkin ingest`` reports about a run: problems of its inputs and the resulting counts, as JSON or tables."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from portkin.errors import shown

if TYPE_CHECKING:
    from portkin_training.core.places import Place
    from portkin_training.ingest.reading import Reading
    from portkin_training.ingest.run import Summary


def print_reading(reading: Reading) -> None:
    """Say on standard error what was wrong with an input, and what was taken for granted."""
    for problem in reading.problems:
        click.echo(f"portkin: warning: {shown(problem)}", err=True)
    if reading.bad > len(reading.problems):
        counts = ", ".join(f"{count:,} {reason}" for reason, count in reading.bad_reasons.most_common())
        click.echo(f"portkin: warning: {shown(reading.path)}: {reading.bad} bad rows in all ({counts})", err=True)
    if not reading.probes:
        click.echo(f"portkin: warning: {shown(reading.nothing_usable())}", err=True)
    for note in reading.notes:
        click.echo(f"portkin: note: {shown(note)}", err=True)


def _stamp(us: int | None) -> str:
    from datetime import UTC, datetime

    return "-" if us is None else datetime.fromtimestamp(us / 1_000_000, UTC).strftime("%Y-%m-%d %H:%M:%SZ")


def print_json(summary: Summary, output: Place) -> None:
    """Print the summary as one JSON object."""
    import json

    inputs = [{"path": reading.path, "kind": reading.kind, **reading.account()} for reading in summary.readings]
    click.echo(
        json.dumps(
            {
                "output": str(output),
                "probes": {str(proto): count for proto, count in sorted(summary.probes.items())},
                "first_us": summary.first,
                "last_us": summary.last,
                "seconds": round(summary.seconds, 3),
                "warnings": summary.warnings,
                "inputs": inputs,
            }
        )
    )


def print_table(summary: Summary, output: Place) -> None:
    """Print the inputs, and the totals, as tables."""
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    from portkin_training.core.protocols import TCP, UDP

    console = Console()
    files = Table(title=escape(shown(f"Probes in {output}")))
    for name in ("input", "kind"):
        files.add_column(name)
    for name in ("read", "probes", "bad"):
        files.add_column(name, justify="right")
    for reading in summary.readings:
        counts = (f"{count:,}" for count in (reading.read, reading.probes, reading.bad))
        files.add_row(escape(shown(Path(reading.path).name)), reading.kind, *counts)
    console.print(files)
    totals = Table(show_header=False, box=None)
    totals.add_column()
    totals.add_column(justify="right")
    for proto, name in ((TCP, "TCP probes"), (UDP, "UDP probes")):
        totals.add_row(name, f"{summary.probes[proto]:,}")
    skipped = sum((reading.skipped for reading in summary.readings), type(summary.probes)())
    for reason, count in skipped.most_common():
        totals.add_row(escape(f"no probe: {reason}"), f"{count:,}")
    totals.add_row("from", _stamp(summary.first))
    totals.add_row("to", _stamp(summary.last))
    probes = sum(summary.probes.values())
    totals.add_row("seconds", f"{summary.seconds:.2f} ({probes / summary.seconds:,.0f} probes/s)")
    console.print(totals)
