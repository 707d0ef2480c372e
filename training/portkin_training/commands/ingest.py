"""``portkin ingest``: recordings to a probes dataset."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import click

from portkin.commands.duration import Duration
from portkin.wording import amount
from portkin_training.commands.checks import known_format
from portkin_training.commands.place_type import PlaceType

if TYPE_CHECKING:
    from portkin_training.core.places import Place
    from portkin_training.ingest.reading import Reading
    from portkin_training.ingest.run import IngestOptions


def _print_formats(context: click.Context, parameter: click.Parameter, value: bool) -> None:
    """Print the table of formats, and end."""
    if not value:
        return
    from portkin_training.ingest.formats.names import KINDS

    for name, title in KINDS.items():
        click.echo(f"{name:<13} {title}")
    context.exit()


@click.command()
@click.argument("inputs", nargs=-1, type=click.Path(path_type=Path), metavar="IN...")
@click.option(
    "-o", "--output", required=True, type=PlaceType(), help="The dataset to write: a folder, or s3://BUCKET/PREFIX."
)
@click.option("--force", is_flag=True, help="Replace a dataset that is there, once the new one is whole.")
@click.option("--append", is_flag=True, help="Add to a dataset that is there: all of it, or nothing.")
@click.option("--again", is_flag=True, help="Count a file again although it, or its beginning, is there already.")
@click.option(
    "--follow",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Add what is appended to FILE, a log that grows and is rotated, until interrupted; a later run resumes.",
)
@click.option(
    "--interval",
    type=Duration(0.1),
    default="60s",
    show_default=True,
    metavar="DURATION",
    help="How often --follow looks.",
)
@click.option(
    "--format",
    "kind",
    metavar="NAME",
    callback=known_format,
    help="What the inputs are, as listed by --formats. [default: what their first bytes say]",
)
@click.option(
    "--formats",
    is_flag=True,
    is_eager=True,
    expose_value=False,
    callback=_print_formats,
    help="List the formats, and exit.",
)
@click.option(
    "-c",
    "--column",
    "columns",
    multiple=True,
    metavar="FIELD=COLUMN",
    help="CSV, Parquet, JSON lines: which column (of JSON, which path.to.key) holds ts, src, dst, sport, dport or "
    "proto. [default: guessed by usual names, and printed]",
)
@click.option("--proto", type=click.Choice(["tcp", "udp"]), help="The protocol, where no column holds it.")
@click.option("--dst", metavar="ADDRESS", help="The destination, where no column holds it.")
@click.option(
    "--names",
    is_flag=True,
    help="Tables, JSON lines: src or dst may be host names; each becomes an address in fd00::/8 by its hash.",
)
@click.option(
    "--unit",
    type=click.Choice(["auto", "s", "ms", "us", "ns"]),
    default="auto",
    show_default=True,
    help="Unit of numeric times since 1970; auto recognises it by their size.",
)
@click.option(
    "--tz",
    default="UTC",
    show_default=True,
    metavar="ZONE",
    help="Zone of times without one, such as Europe/Berlin: p0f, nfdump, syslog and others write local time.",
)
@click.option(
    "--year",
    type=click.IntRange(1970, 9999),
    help="Year of the earliest time that names none, as in syslog; later ones follow over each New Year, also from one "
    "rotated file to the next. [default: each time is the last of its kind before its file was changed]",
)
@click.option(
    "--window",
    type=Duration(min=0),
    metavar="DURATION",
    help="A record with the protocol, addresses and ports of one less than this before it is the same probe, in every "
    "format and whatever the order of the log. 0 counts all. [default: 60; none for records without a source port]",
)
@click.option(
    "--any-state",
    is_flag=True,
    help="Logs of connections and flows: count answered ones too, as for a honeypot.",
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
    output: Place,
    force: bool,
    append: bool,
    again: bool,
    follow: Path | None,
    interval: float,
    kind: str | None,
    columns: tuple[str, ...],
    proto: str | None,
    dst: str | None,
    names: bool,
    unit: str,
    tz: str,
    year: int | None,
    window: float | None,
    any_state: bool,
    outer: bool,
    context: Literal["none", "vlan", "vni"],
    as_json: bool,
) -> None:
    """Turn recordings into one dataset of probes.

    IN are captures (pcap, pcapng), logs of firewalls, flows, honeypots, Zeek and Suricata (--formats lists them),
    CSV, Parquet or JSON lines; all but Parquet may be compressed (.gz, .xz, .zst); - is standard input. Rotated files
    are taken in the order of their times.

    What is a probe: of packets, the first SYN of a TCP flow and the first datagram of a UDP flow; of connections and
    flows, one that failed; of a table, every row. However it is recorded, what repeats within --window is
    one probe. docs/formats.md says it for each format.

    If an input is cut off or a row is invalid, a warning names file and offset or line, the rest is kept
    and the exit status is 0; it is 1, and nothing is written or replaced, if no probe was found.

    \b
    Examples:
      portkin ingest darknet-*.pcap.zst -o probes/
      portkin ingest conn.log.gz -o probes/
      portkin ingest /var/log/kern.log* --tz Europe/Berlin -o probes/
      zcat eve.json.gz | portkin ingest - -o probes/
      portkin ingest --follow /var/log/suricata/eve.json -o probes/
      portkin ingest honeypot.csv -o probes/ -c ts=time -c dst=host --names --proto tcp
    """
    from contextlib import ExitStack, nullcontext

    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn

    from portkin.errors import InputError, shown
    from portkin_training.commands.ingest_summary import print_json, print_reading, print_table
    from portkin_training.commands.working import working
    from portkin_training.ingest.captures.options import CaptureOptions
    from portkin_training.ingest.run import IngestOptions
    from portkin_training.ingest.run import ingest as run
    from portkin_training.ingest.tables.columns import ColumnMap

    if force and append:
        raise click.UsageError("--force replaces the dataset, --append adds to it: give one of them")
    if (follow is None) == (not inputs):
        raise click.UsageError("name either inputs, or one growing log with --follow")
    if follow is not None and force:
        raise click.UsageError("--follow adds to the dataset: no --force with it")
    pairs = dict(_pair(text) for text in columns)
    options = IngestOptions(
        kind, ColumnMap(pairs, proto, dst, names, unit, tz, year), any_state, CaptureOptions(outer, context), window
    )
    if follow is not None:
        _follow(follow, output, options, interval)
        return
    notes = Console(stderr=True)
    with ExitStack() as copies:
        copied = [(copies.enter_context(_copied(path)), path) for path in inputs]
        inputs = tuple(copy for copy, _ in copied)
        total = sum(path.stat().st_size for path in inputs if path.is_file())
        with Progress(
            TextColumn("ingest"), BarColumn(), DownloadColumn(), TimeRemainingColumn(), console=notes, transient=True,
            disable=not notes.is_terminal,
        ) as progress, nullcontext() if notes.is_terminal else working("ingesting") as tell:  # fmt: skip
            task = progress.add_task("ingest", total=total)

            def watch(done: int) -> None:
                progress.update(task, completed=done)
                if tell is not None:
                    tell(f"{done:,} of {total:,} bytes")

            try:
                summary = run(
                    inputs, output, options, force=force, append=append, again=again,
                    watch=watch,
                )  # fmt: skip
            except InputError as error:
                raise InputError(_as_given(str(error), copied)) from error
    for left in summary.removed:
        click.echo(f"portkin: removed {shown(left)}, left by a run that was killed", err=True)
    for reading in summary.readings:
        reading.path = _as_given(reading.path, copied)
        reading.problems = [_as_given(one, copied) for one in reading.problems]
        reading.notes = [_as_given(one, copied) for one in reading.notes]
        print_reading(reading)
    for warning in summary.warnings:
        click.echo(f"portkin: warning: {warning}; hourly and daily counts will span all that time", err=True)
    if summary.forgotten:
        click.echo(
            f"portkin: warning: {summary.forgotten} flows were forgotten before their time for lack of memory; "
            f"as many retransmissions may count as probes",
            err=True,
        )
    if as_json:
        print_json(summary, output)
    else:
        print_table(summary, output)


def _as_given(text: str, copied: Sequence[tuple[Path, Path]]) -> str:
    """A text in which each copy of an input has the name of what it is a copy of."""
    for copy, path in copied:
        if copy != path:
            text = text.replace(str(copy), "standard input" if str(path) == "-" else str(path))
    return text


@contextmanager
def _copied(path: Path) -> Iterator[Path]:
    """A file that can be read twice: a copy of standard input or of a pipe; others are themselves."""
    import sys

    from portkin_training.ingest.streams import spooled

    if str(path) == "-":
        if sys.stdin is None:
            raise click.UsageError("standard input is closed; name a file instead of -")
        with spooled(sys.stdin.buffer) as copy:
            yield copy
    elif path.is_fifo():
        with path.open("rb") as pipe, spooled(pipe) as copy:
            yield copy
    else:
        yield path


def _follow(path: Path, output: Place, options: IngestOptions, interval: float) -> None:
    """Follow a log until SIGINT or SIGTERM, and say what was added."""
    from portkin.commands.stopping import stopped_by_signals
    from portkin.errors import shown
    from portkin_training.ingest.follow import follow

    def report(reading: Reading) -> None:
        for problem in (*reading.problems, *reading.notes):
            click.echo(f"portkin: {shown(problem)}", err=True)
        added = f"{amount(reading.probes, 'probe')} of {amount(reading.read, 'row')}"
        click.echo(shown(f"{reading.path}: {added} added to {output}"))

    follow(path, output, options, stopped_by_signals(), interval=interval, report=report)


def _pair(text: str) -> tuple[str, str]:
    field, equals, column = text.partition("=")
    if not (field and equals and column):
        raise click.BadParameter(f"{text!r} is not FIELD=COLUMN, as in ts=time", param_hint="--column")
    return field, column
