"""``portkin learn``: a table that keeps itself current."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

import click

from portkin.commands.duration import Duration
from portkin_training.commands.checks import a_number, known_format, writable

FOLDER = click.Path(path_type=Path)


@click.command()
@click.argument("log", type=FOLDER)
@click.argument("table", type=FOLDER, callback=writable)
@click.option("--probes", type=FOLDER, metavar="FOLDER",
              help="The dataset that probes are gathered in. Default: TABLE with -probes appended.")  # fmt: skip
@click.option("--counts", type=FOLDER, metavar="FOLDER",
              help="Where the counts of days are kept. Default: TABLE with -counts appended.")  # fmt: skip
@click.option("--at", type=click.DateTime(["%H:%M"]), default="00:15", show_default=True, metavar="HH:MM",
              help="When a day is learnt, on the next one (UTC).")  # fmt: skip
@click.option("--half-life", type=click.FloatRange(0, min_open=True), callback=a_number, default=30.0,
              show_default=True, metavar="DAYS",
              help="A day this much older than the last one counts half, inf: as much.")  # fmt: skip
@click.option("--interval", type=Duration(0.1), default="60s", show_default=True, metavar="DURATION",
              help="How often LOG is looked at.")  # fmt: skip
@click.option("--metrics", type=FOLDER, callback=writable, metavar="FILE",
              help="A file for Prometheus, written at each look: NAME.prom in the folder of node_exporter's textfile "
              "collector.")  # fmt: skip
@click.option("--format", "kind", metavar="NAME", callback=known_format,
              help="What LOG is, by `portkin ingest --formats`. Default: what its first bytes say.")  # fmt: skip
@click.option("--any-state", is_flag=True, help="Count answered connections too, as for a honeypot.")
@click.option("--tz", default="UTC", show_default=True, metavar="ZONE", help="Zone of times without one.")
@click.option("--once", is_flag=True, help="Look once, learn what is due, and end; with status 1 where the log "
              "could not be read, or a table that was due not be put in service.")  # fmt: skip
def learn(
    log: Path,
    table: Path,
    probes: Path | None,
    counts: Path | None,
    at: datetime,
    half_life: float,
    interval: float,
    metrics: Path | None,
    kind: str | None,
    any_state: bool,
    tz: str,
    once: bool,
) -> None:
    """Keep TABLE up to date from LOG, a log that grows and is rotated: Zeek's conn.log, Suricata's eve.json,
    or any other that `portkin ingest` reads.

    Probes are gathered at each look. Once a day is over, the table in service is tested on it, the figures are
    reported and written to --metrics, and the table is learnt again from all days; a running sidecar loads it by
    itself. A table that is empty, or has lost most of its entries or probes, does not replace a better one. Ends by
    SIGINT or SIGTERM; killed at any moment, it resumes where it was.

    \b
    Example:
      portkin learn /opt/zeek/logs/current/conn.log /var/lib/portkin/table
    """
    import threading

    from portkin.bundles.bundle_writer import refuse_foreign
    from portkin.bundles.table_format import KIND
    from portkin.commands.stopping import stopped_by_signals
    from portkin_training.ingest.run import IngestOptions
    from portkin_training.ingest.tables.columns import ColumnMap
    from portkin_training.learning.learner import Learner, Places

    refuse_foreign(table.resolve(), KIND)
    beside = {name: table.parent / f"{table.name}-{name}" for name in ("probes", "counts")}
    learner = Learner(
        Places(log, probes or beside["probes"], counts or beside["counts"], table, metrics),
        IngestOptions(kind, ColumnMap(tz=tz), any_state), at.time(), half_life,
        click.echo, lambda text: click.echo(f"portkin: {text}", err=True),
    )  # fmt: skip
    stop = threading.Event() if once else stopped_by_signals()
    if once:
        stop.set()
    learner.run(stop, interval)
    if once and learner.progress.failed:
        raise SystemExit(1)
