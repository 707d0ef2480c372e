"""``portkin replay``: what a table would have blocked in recorded traffic."""

from __future__ import annotations

import json
from pathlib import Path

import click


@click.command(context_settings={"show_default": True})
@click.argument("inputs", nargs=-1, required=True, type=click.Path(exists=True, path_type=Path))
@click.option("--table", type=click.Path(path_type=Path), help="A table bundle; the one that ships if not given.")
@click.option(
    "-k", "--ports", "k", default=3, type=click.IntRange(0, 64), help="K: ports blocked beside the probed one."
)
@click.option("-t", "--window", default=20_000.0, type=click.FloatRange(1e-6), help="T: seconds a block holds.")
@click.option(
    "--detector",
    default="probe",
    type=click.Choice(["probe", "trw", "count", "zeek"]),
    help="Who is a scanner: every source (as in a darknet), by sequential hypothesis test, by the number of "
    "failed contacts, or by either, as the Zeek package does.",
)
@click.option(
    "--by",
    default="source",
    type=click.Choice(["source", "destination"]),
    help="Block a source for all destinations, or for the one it probed.",
)
@click.option(
    "--over",
    default="days",
    type=click.Choice(["days", "sources"]),
    help="What the bootstrap draws for the 95 % intervals.",
)
@click.option("--decisions", "want_decisions", is_flag=True, help="Print each decision as well.")
@click.option("--limit", default=1000, type=click.IntRange(0), help="Decisions printed at most.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON instead of tables.")
def replay(inputs, table, k, window, detector, by, over, want_decisions, limit, as_json) -> None:
    """Replay captures or probes datasets: had each probe been blocked when it came?

    Each probe blocks its port and the K nearest ports of the table for its source, for T seconds.

    \b
    portkin replay scans.pcap --detector zeek --decisions
    portkin replay probes/ -k 10 -t 3600
    """
    from rich.console import Console

    from portkin.table import Table, default_table
    from portkin_training.ingest.contacts import Contacts
    from portkin_training.ingest.reading import Reading
    from portkin_training.replay import detection, show
    from portkin_training.replay.blocking import Sweep
    from portkin_training.replay.blocking import replay as run
    from portkin_training.replay.decisions import Decider, DecisionConfig
    from portkin_training.replay.events import Grouper
    from portkin_training.replay.figures import figures
    from portkin_training.replay.inputs import read_contacts, say_problems
    from portkin_training.replay.listing import listing
    from portkin_training.replay.predictors import matrix_of

    used = Table.load(table) if table else default_table()
    readings = [Reading(str(path)) for path in inputs]
    contacts = Contacts.concat(read_contacts(path, reading) for path, reading in zip(inputs, readings, strict=True))
    for reading in readings:
        for problem in reading.problems:
            click.echo(f"portkin: {problem}", err=True)
    say_problems(readings)

    decider = Decider(DecisionConfig(k=k, block_interval=window), used)
    if detector == "probe" and not want_decisions:
        detected = detection.all_probes(contacts)
    else:
        detected = detection.detect(contacts, detection.configure(detector), decider)
        decider.close()
    events = detection.events_of(detected, Grouper(by), over)
    counts = run(events, matrix_of(used), Sweep(tuple(sorted({0, k})), (window,), (k, window)))
    rows = {"MySelf": figures(counts, 0, window), f"{used.method} ({used.id})": figures(counts, k, window)}
    if as_json:
        click.echo(json.dumps({name: row.as_dict() for name, row in rows.items()}, indent=2))
        return
    console = Console(soft_wrap=False)
    if want_decisions:
        for part in listing(decider.decisions, limit):
            console.print(part)
    console.print(show.summary(rows, f"K = {k}, T = {show.span(window)}, detector {detector}, blocked by {by}"))
