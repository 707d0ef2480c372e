"""``portkin ingest``: recordings to a probes dataset."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Literal

import click

if TYPE_CHECKING:
    from portkin_training.ingest.run import Summary


@click.command()
@click.argument("inputs", nargs=-1, required=True, type=click.Path(path_type=Path), metavar="IN...")
@click.option("-o", "--output", required=True, type=click.Path(path_type=Path), help="Folder of the dataset to write.")
@click.option("--force", is_flag=True, help="Replace a dataset that is there, once the new one is whole.")
@click.option("--append", is_flag=True, help="Add to a dataset that is there: all of it, or nothing.")
@click.option(
    "--format",
    "kind",
    type=click.Choice(["pcap", "zeek", "csv", "parquet"]),
    help="What the inputs are. [default: what their first bytes say]",
)
@click.option(
    "-c",
    "--column",
    "columns",
    multiple=True,
    metavar="FIELD=COLUMN",
    help="CSV, Parquet: which column holds ts, src, dst, sport, dport or proto, where its name is another.",
)
@click.option("--proto", type=click.Choice(["tcp", "udp"]), help="CSV, Parquet without such a column: protocol.")
@click.option("--dst", metavar="ADDRESS", help="CSV, Parquet without such a column: destination.")
@click.option(
    "--names",
    is_flag=True,
    help="CSV, Parquet: src or dst may be host names; each becomes an address in fd00::/8 by its hash.",
)
@click.option(
    "--unit",
    type=click.Choice(["s", "ms", "us", "ns"]),
    default="s",
    show_default=True,
    help="CSV, Parquet: unit of numeric timestamps.",
)
@click.option(
    "--window",
    type=click.FloatRange(min=0),
    metavar="SECONDS",
    help="Repetitions within it are the same probe. [default: 60 for captures, none for other inputs]",
)
@click.option(
    "--any-state",
    is_flag=True,
    help="Zeek: count answered connections too, as for the log of a honeypot.",
)
@click.option("--outer", is_flag=True, help="Captures: in a tunnel the outermost packet counts, not the innermost.")
@click.option(
    "--context",
    type=click.Choice(["none", "vlan", "vni"]),
    default="none",
    show_default=True,
    help="Captures: what makes two hosts of one address, the VLAN or the VNI of VXLAN and Geneve.",
)
@click.option("--json", "as_json", is_flag=True, help="Print the summary as JSON.")
def ingest(
    inputs: tuple[Path, ...],
    output: Path,
    force: bool,
    append: bool,
    kind: str | None,
    columns: tuple[str, ...],
    proto: str | None,
    dst: str | None,
    names: bool,
    unit: str,
    window: float | None,
    any_state: bool,
    outer: bool,
    context: Literal["none", "vlan", "vni"],
    as_json: bool,
) -> None:
    """Turn recordings into one dataset of probes.

    IN are captures (pcap, pcapng), Zeek's conn.log (TSV or JSON), CSV or Parquet files; captures and text
    may be compressed (.gz, .xz, .zst). What is a probe: of a capture, the first SYN of a TCP flow and the
    first datagram of a UDP flow; of a conn.log, a connection that nothing came of; of a table, every row.

    Where an input breaks off or a row makes no sense, a warning names file and offset or line, the rest is
    kept and the exit status is 0; it is 1, and nothing is written, where nothing could be read.

    \b
    Examples:
      portkin ingest darknet-*.pcap.zst -o probes/
      portkin ingest conn.log.gz -o probes/
      portkin ingest honeypot.csv -o probes/ -c ts=time -c dst=host --names --proto tcp
    """
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn

    from portkin_training.ingest.captures.options import CaptureOptions
    from portkin_training.ingest.run import IngestOptions
    from portkin_training.ingest.run import ingest as run
    from portkin_training.ingest.tables.columns import ColumnMap

    if force and append:
        raise click.UsageError("--force replaces the dataset, --append adds to it: give one of them")
    pairs = dict(_pair(text) for text in columns)
    options = IngestOptions(
        kind, ColumnMap(pairs, proto, dst, names, unit), window, any_state, CaptureOptions(outer, context)
    )
    notes = Console(stderr=True)
    total = sum(path.stat().st_size for path in inputs if path.is_file())
    with Progress(
        TextColumn("ingest"), BarColumn(), DownloadColumn(), TimeRemainingColumn(), console=notes, transient=True,
        disable=not notes.is_terminal,
    ) as progress:  # fmt: skip
        task = progress.add_task("ingest", total=total)
        summary = run(
            inputs, output, options, force=force, append=append,
            watch=lambda done: progress.update(task, completed=done),
        )  # fmt: skip
    for folder in summary.removed:
        click.echo(f"portkin: removed {folder}, left by a run that was killed", err=True)
    for reading in summary.readings:
        for problem in reading.problems:
            click.echo(f"portkin: warning: {problem}", err=True)
        if reading.bad > len(reading.problems):
            click.echo(f"portkin: warning: {reading.path}: {reading.bad} bad rows in all", err=True)
    if summary.forgotten:
        click.echo(
            f"portkin: warning: {summary.forgotten} flows were forgotten before their time for lack of memory; "
            f"as many retransmissions may count as probes",
            err=True,
        )
    if as_json:
        _print_json(summary, output)
    else:
        _print_table(summary, output)


def _pair(text: str) -> tuple[str, str]:
    field, equals, column = text.partition("=")
    if not (field and equals and column):
        raise click.BadParameter(f"{text!r} is not FIELD=COLUMN, as in ts=time", param_hint="--column")
    return field, column


def _stamp(us: int | None) -> str:
    from datetime import UTC, datetime

    return "-" if us is None else datetime.fromtimestamp(us / 1_000_000, UTC).strftime("%Y-%m-%d %H:%M:%SZ")


def _print_json(summary: Summary, output: Path) -> None:
    import json

    inputs = [
        {
            "path": reading.path,
            "kind": reading.kind,
            "read": reading.read,
            "probes": reading.probes,
            "skipped": dict(reading.skipped.most_common()),
            "bad": reading.bad,
            "problems": reading.problems,
        }
        for reading in summary.readings
    ]
    click.echo(
        json.dumps(
            {
                "output": str(output),
                "probes": {str(proto): count for proto, count in sorted(summary.probes.items())},
                "first_us": summary.first,
                "last_us": summary.last,
                "seconds": round(summary.seconds, 3),
                "inputs": inputs,
            }
        )
    )


def _print_table(summary: Summary, output: Path) -> None:
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    from portkin_training.core.protocols import TCP, UDP

    console = Console()
    files = Table(title=escape(f"Probes in {output}"))
    for name in ("input", "kind"):
        files.add_column(name)
    for name in ("read", "probes", "bad"):
        files.add_column(name, justify="right")
    for reading in summary.readings:
        counts = (f"{count:,}" for count in (reading.read, reading.probes, reading.bad))
        files.add_row(escape(Path(reading.path).name), reading.kind, *counts)
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
