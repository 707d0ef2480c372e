"""``portkin replay``: what a table would have blocked in recorded traffic."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from portkin.commands.duration import Duration
from portkin.commands.stopping import ending_with_children
from portkin_training.commands.checks import a_chance, writable
from portkin_training.commands.engine_options import engine_options
from portkin_training.commands.place_type import PlaceType
from portkin_training.commands.working import working

if TYPE_CHECKING:
    from portkin_training.core.engine import Engine
    from portkin_training.core.places import Place

PATH = click.Path(exists=True, path_type=Path)
LONGEST = 315_360_000
"""Seconds a block may hold: ten years."""


@click.command(context_settings={"show_default": True})
@click.argument("inputs", nargs=-1, required=True, type=PlaceType(exists=True), metavar="INPUT...")
@click.option("--table", type=click.Path(path_type=Path), help="A table bundle; the one that ships if not given.")
@click.option(
    "-k",
    "k",
    type=click.IntRange(0, 64),
    show_default="3; with --min-chance 32",
    help="K: ports blocked in addition to the probed one, at most.",
)
@click.option("--ports", "protect", metavar="LIST", help="Protect these ports alone, as 22/tcp,53/udp,8000-8100.")
@click.option("--rules", type=click.Path(path_type=Path), metavar="FILE",
              help="Replay the rules that `portkin rules build` wrote: their ports, scanners and times.")  # fmt: skip
@click.option("--min-chance", default=0.0, type=float, callback=a_chance, metavar="P",
              help="Of these, block those with a chance of P or more, 0 to 1. 0 cuts nothing; the cut-off that a table "
              "recommends is in `portkin table info`.")  # fmt: skip
@click.option("-t", "--window", default="20000s", type=Duration(1e-6, LONGEST), metavar="DURATION",
              help="T: how long a block holds, in seconds or with units, as 6h.")  # fmt: skip
@click.option("--detector", default="probe", type=click.Choice(["probe", "trw", "count", "zeek", "suricata"]),
              help="Who is a scanner: every source (as in a darknet); by sequential hypothesis test; by the number of "
              "failed contacts; by either, as the Zeek package does; by that of new ones, as in Suricata's "
              "rules.")  # fmt: skip
@click.option("--by", default="source", type=click.Choice(["source", "destination"]),
              help="Block a source for all destinations, or for the one it probed.")  # fmt: skip
@click.option("--over", default="days", type=click.Choice(["days", "sources"]),
              help="What the bootstrap draws for the 95 % intervals.")  # fmt: skip
@click.option("--held-out", is_flag=True, help="Learn from the first 80 % of probes datasets, replay the rest.")
@click.option("--learn", multiple=True, type=PlaceType(exists=True), metavar="PROBES",
              help="Datasets from which the baselines that learn are trained.")  # fmt: skip
@click.option("--labels", multiple=True, type=PATH, metavar="FILE",
              help="MAWILab labels, CSV or XML, or a folder of them, which say what is a scan.")  # fmt: skip
@click.option("--level", type=click.Choice(["both", "anomalous", "suspicious"]), default="both",
              help="Which of the labels count.")  # fmt: skip
@click.option("--dedupe", is_flag=True, help="Drop TCP segments that come twice within 10 ms (same addresses, ports, "
              "flags and sequence number).")  # fmt: skip
@click.option("--jobs", default=1, type=click.IntRange(1), metavar="N",
              help="Labelled captures: read so many at once, each by a process; with --engine spark each is a "
              "task.")  # fmt: skip
@click.option("--outer", is_flag=True, help="Captures: in a tunnel the outermost packet counts, not the innermost.")
@click.option("--context", type=click.Choice(["none", "vlan", "vni"]), default="none",
              help="Captures: what distinguishes hosts of one address, as Zeek's conn_key frameworks do.")  # fmt: skip
@click.option("--sweep", is_flag=True, help="Also replay K 0..16 and T 15 s..2 d, for --json and --report.")
@click.option("--report", type=click.Path(path_type=Path, dir_okay=False), callback=writable,
              help="Write an HTML report (implies --sweep).")  # fmt: skip
@click.option("--decisions", "want_decisions", is_flag=True, help="Print each decision as well.")
@click.option("--limit", default=1000, type=click.IntRange(0), help="Decisions printed at most.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON, for programs.")
@engine_options
@ending_with_children()
def replay(
    inputs: tuple[Place, ...],
    table: Path | None,
    k: int | None,
    min_chance: float,
    window: float,
    protect: str | None,
    rules: Path | None,
    engine: Engine,
    **options: Any,
) -> None:
    """Replay recordings or probes datasets: was each probe already blocked when it came?

    Each probe blocks its port and the K nearest ports of the table for its source, for T seconds. INPUT is a capture,
    a log of any format that `portkin ingest` reads, or a dataset that it wrote (or its URL); MySelf blocks the probed
    port alone. With a --detector, answers count where they are recorded: in captures, Zeek's conn.log, Suricata's EVE.

    \b
    portkin replay scans.pcap --detector zeek --decisions
    portkin replay scans.pcap --rules portkin.rules
    portkin replay probes/ --held-out --report out.html
    portkin replay probes/ --table table/ --min-chance 0.01
    portkin replay 202201101400.dump.gz --labels 20220110_anomalous_suspicious.csv -t 15
    \b
    Paper 1's set-up (section VI-D, 2 to 9 September 2015):
    portkin replay mawi/201509*.dump.gz --labels mawi/ -k 3 -t 15 --dedupe
    """
    from rich.console import Console

    from portkin.bundles.table import Table, default_table
    from portkin.bundles.table_format import DEFAULT_K
    from portkin_training.core.engine import DUCKDB
    from portkin_training.evaluation import text
    from portkin_training.evaluation.held_out_replay import replay_held_out
    from portkin_training.evaluation.inputs import all_captures
    from portkin_training.evaluation.labelled_replay import replay_labelled_captures
    from portkin_training.evaluation.options import InputReport, ReplayOptions
    from portkin_training.evaluation.protection import protected_ports, read_rules_file
    from portkin_training.evaluation.results import sweep_of
    from portkin_training.evaluation.table_replay import replay_table
    from portkin_training.ingest.captures.options import CaptureOptions

    labels, report = options["labels"], options["report"]
    if rules and (table or k is not None or min_chance or protect or options["detector"] not in ("probe", "suricata")):
        raise click.UsageError("--rules says what is blocked, for whom: no --table, -k, --min-chance, --ports, "
                               "or other --detector with it")  # fmt: skip
    if (rules or protect) and (options["held_out"] or options["want_decisions"]):
        raise click.UsageError("--ports and --rules replay what is protected: no --held-out or --decisions with them")
    played = read_rules_file(rules) if rules else None
    protection = protected_ports(protect) if protect else None
    if played is not None:
        protection, options["detector"] = played.protection, "suricata"
        k, window = played.nearest.shape[1], float(played.config.seconds)
    k = (DEFAULT_K if min_chance else 3) if k is None else k
    if options["held_out"] and (labels or table or options["want_decisions"] or options["detector"] != "probe"):
        raise click.UsageError("--held-out learns its own tables from a darknet: no --table, --labels, --decisions, "
                               "or --detector with it")  # fmt: skip
    if options["detector"] == "suricata" and options["want_decisions"]:
        raise click.UsageError("--detector suricata has no decisions to print: rules block, they do not decide")
    if labels and options["want_decisions"] and options["detector"] == "probe":
        raise click.UsageError("--decisions shows what a detector decided, and with --labels alone there is none: "
                               "add --detector zeek, or leave one of the two out")  # fmt: skip
    for name, idle in (("--level", options["level"] != "both"), ("--dedupe", options["dedupe"])):
        if idle and not labels:
            raise click.UsageError(f"{name} is about labelled captures: give --labels")
    if options["by"] == "destination" and options["over"] == "sources":
        raise click.UsageError("--over sources draws what is blocked as one; by destination these are pairs: "
                               "leave one of the two out")  # fmt: skip
    streamed = bool(labels) and options["detector"] == "probe" and not options["want_decisions"] and protection is None
    if (engine != DUCKDB and not (options["held_out"] or streamed)) or (options["jobs"] > 1 and not streamed):
        raise click.UsageError("--engine and what belongs to it are for --held-out and for labelled captures, "
                               "--jobs is for these alone")  # fmt: skip
    if options["held_out"] and options["learn"]:
        raise click.UsageError("--held-out learns from the first 80 % of INPUT: no --learn with it")
    how = ReplayOptions(
        sweep=sweep_of(k, window, whole=options["sweep"] or report is not None),
        detector=options["detector"],
        by=options["by"],
        over=options["over"],
        decisions=options["want_decisions"],
        levels=frozenset(["anomalous", "suspicious"] if options["level"] == "both" else [options["level"]]),
        dedupe=options["dedupe"],
        captures=CaptureOptions(options["outer"], options["context"]),
        min_chance=min_chance,
        protection=protection,
        rules=played,
        frontier=True,
    )
    read = InputReport()
    with working("replaying") as watch:
        if options["held_out"]:
            results = replay_held_out(inputs, ("kin", "shortest-path"), how, watch, engine=engine)
        else:
            used = Table.load(table) if table else default_table()
            if k > used.k and not min_chance and not rules:
                raise click.UsageError(
                    f"-k {k}: table {used.id} holds the {used.k} nearest ports of each port, and the others would be "
                    f"given more; choose at most {used.k}"
                )
            if streamed and all_captures(inputs):
                results = replay_labelled_captures(
                    [Path(capture) for capture in inputs], labels, used, how, read,
                    learn=options["learn"], watch=watch, jobs=options["jobs"], engine=engine,
                )  # fmt: skip
            else:
                results = replay_table(inputs, used, how, read, learn=options["learn"], labels=labels)
    for problem in read.problems:
        click.echo(f"portkin: {problem}", err=True)
    if report is not None:
        from portkin.files import replacing
        from portkin_training.evaluation.html import render

        report.parent.mkdir(parents=True, exist_ok=True)
        with replacing(report) as aside:
            aside.write_text(render(results), encoding="utf-8")
    if options["as_json"]:
        click.echo(json.dumps(results.as_dict(), indent=2))
        return
    console = Console(highlight=False)
    if options["want_decisions"]:
        console.print(text.decisions(read.decisions, options["limit"]))
    for part in text.pages(results):
        console.print(part)
    if report is not None:
        console.print(f"report: {report}", markup=False)
