"""``portkin blocks``: list blocks, and change them by hand."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from portkin.blocking.enforcer import Enforcer
    from portkin.blocking.listing import BackendState
    from portkin.zeek.messages import BlockResponse

_file = click.option(
    "-c", "--config", "file", type=click.Path(path_type=Path), help="The settings file of `portkin serve`."
)
_json = click.option("--json", "as_json", is_flag=True, help="JSON, an object a line.")

_WIDE = 2_000
"""Columns that hold every row of the list, with the longest reason."""
_LONGEST = 31_536_000.0
"""Seconds: the most that `enforce.limits.max_duration` can be."""


def _finite(context: click.Context, option: click.Parameter, seconds: float) -> float:
    """Longer than any block can be is the same as the longest; infinity and NaN are mistakes."""
    import math

    if not math.isfinite(seconds):
        raise click.BadParameter(f"{seconds} is not a duration; write seconds such as 3600")
    return min(seconds, _LONGEST)


@click.group()
def blocks() -> None:
    """List what is blocked, why and until when, and change it by hand.

    Works whether or not `portkin serve` runs, with the same settings file: both use the same block database. A source
    and a port are written as 203.0.113.5 and 443/tcp.
    """


@blocks.command("list")
@click.option("--all", "ended", is_flag=True, help="Include blocks that have ended.")
@click.option("--src", metavar="ADDRESS", help="Only blocks of this source.")
@click.option("--port", metavar="PORT", help="Only blocks of this port.")
@click.option(
    "-n", "--limit", type=click.IntRange(1), default=1000, show_default=True, help="At most so many, the latest."
)
@_json
@_file
def list_(ended: bool, src: str | None, port: str | None, limit: int, as_json: bool, file: Path | None) -> None:
    """List blocks, the latest first."""
    import sqlite3
    import time

    from portkin.blocking.config import database_path
    from portkin.blocking.listing import Listing
    from portkin.errors import StorageError
    from portkin.net.ports import Port

    path = database_path(_settings(file).enforce)
    rows: list[dict[str, Any]] = []
    chosen = Port.parse(port) if port else None
    source = str(_address(src)) if src else None
    try:
        if path.exists():
            listing = Listing(path)
            rows = listing.rows(active=not ended, src=source, port=chosen, limit=limit)
            _warn(listing.backend(), time.time())
            listing.close()
    except (OSError, sqlite3.Error) as error:
        raise StorageError(
            f"{path}: the block database cannot be read ({error}); see the log of `portkin serve`"
        ) from None
    if as_json:
        _print_json(map(_described, rows))
    elif rows:
        _print_table(rows, time.time())
    else:
        click.echo("no blocks")


@blocks.command()
@click.argument("src")
@click.argument("ports", nargs=-1, required=True)
@click.option(
    "--for",
    "seconds",
    type=click.FloatRange(1.0),
    callback=_finite,
    default=3600.0,
    show_default=True,
    metavar="SECONDS",
)
@click.option("--reason", default="", help="A note for the block database.")
@_json
@_file
def add(src: str, ports: tuple[str, ...], seconds: float, reason: str, as_json: bool, file: Path | None) -> None:
    """Block PORTS for the source SRC, or extend that. Protected addresses and ports are refused."""
    from datetime import timedelta

    from portkin.blocking.block import NOTE
    from portkin.net.ports import Port
    from portkin.zeek.event_codec import Count
    from portkin.zeek.messages import BlockRequest

    parsed = [Port.parse(port) for port in ports]
    evidence = f"evidence=OPERATOR {NOTE}={reason}" if reason else "evidence=OPERATOR"
    requests = [
        BlockRequest("by hand", _address(src), port, timedelta(seconds=seconds), "", port, Count(0), evidence)
        for port in parsed
    ]

    def order(enforcer: Enforcer) -> list[BlockResponse]:
        others = enforcer.modes_of_other_backends()
        if enforcer.mode == "shadow" and others:
            # A shadow in the place of a real block would unblock.
            raise click.UsageError(
                f"the database has blocks of {' and '.join(sorted(others))}, and these settings are those of a shadow; "
                "give the settings of that sidecar with -c"
            )
        return enforcer.handle(requests)

    _ordered(file, as_json, order)


@blocks.command()
@click.argument("src")
@click.argument("ports", nargs=-1, required=True)
@_json
@_file
def remove(src: str, ports: tuple[str, ...], as_json: bool, file: Path | None) -> None:
    """Unblock PORTS for the source SRC, and do not block them again for `enforce.limits.grace` seconds."""
    from portkin.net.ports import Port
    from portkin.zeek.messages import UnblockRequest

    requests = [UnblockRequest("by hand", _address(src), Port.parse(port)) for port in ports]
    _ordered(file, as_json, lambda enforcer: enforcer.handle(requests))


@blocks.command()
@click.option("--yes", is_flag=True, help="Do not ask.")
@_json
@_file
def flush(yes: bool, as_json: bool, file: Path | None) -> None:
    """End every block. There is no grace: a source that probes again is blocked again."""
    if not yes:
        click.confirm("End every block?", abort=True, err=True)
    _ordered(file, as_json, lambda enforcer: enforcer.flush())


def _warn(backend: BackendState | None, now: float) -> None:
    """Say on standard error that blocks are listed which the backend does not hold."""
    if backend is None:
        return
    since = f"as of {max(0.0, now - backend.at):.0f} s ago"
    if not backend.ready:
        click.echo(f"{backend.mode} does not hold these blocks, {since}; see the log of `portkin serve`", err=True)
    if backend.ipv6_fault:
        click.echo(f"no IPv6 source is blocked, {since}: {backend.ipv6_fault}", err=True)


def _settings(file: Path | None) -> Any:
    from portkin.config.schema import load_config

    return load_config(file)


def _address(text: str) -> Any:
    """The address; an IPv4-mapped one as IPv4, as in the database."""
    from ipaddress import ip_address

    try:
        address = ip_address(text)
    except ValueError:
        raise click.BadParameter(f"{text!r} is not an address; write one such as 203.0.113.5 or 2001:db8::5") from None
    return getattr(address, "ipv4_mapped", None) or address


def _ordered(file: Path | None, as_json: bool, order: Any) -> None:
    """Carry out an order with an enforcer of its own, and print the responses; status 1 where something failed."""
    from prometheus_client import CollectorRegistry

    from portkin.blocking.factory import host_of, make_enforcer
    from portkin.blocking.metrics import BlockingMetrics
    from portkin.logs import make_log

    config = _settings(file)
    enforcer: Enforcer = make_enforcer(
        config.enforce,
        peers=[host_of(config.zeek.url), host_of(config.zeek.broker)],
        metrics=BlockingMetrics(CollectorRegistry()),
        log=make_log("warning", "text"),
    )
    try:
        enforcer.join()
        responses: list[BlockResponse] = order(enforcer)
    finally:
        enforcer.close()
    shown = [{"src": str(r.src), "port": str(r.p), "outcome": r.outcome, "detail": r.detail} for r in responses]
    if as_json:
        _print_json(shown)
    else:
        for line in shown:
            detail = f" ({line['detail']})" if line["detail"] else ""
            click.echo(f"{line['src']} {line['port']} {line['outcome']}{detail}")
    if not enforcer.ready or any(line["outcome"] in ("error", "vetoed") for line in shown):
        raise SystemExit(1)


def _described(row: dict[str, Any]) -> dict[str, Any]:
    """A row as JSON: times as ISO 8601 in UTC."""
    from datetime import UTC, datetime

    def moment(seconds: float | None) -> str | None:
        return None if seconds is None else datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds")

    described = {key: value for key, value in row.items() if key not in ("id", "proto")}
    described["port"] = f"{row['port']}/{row['proto']}"
    described["hit"] = bool(row["hit"])
    return described | {key: moment(row[key]) for key in ("since", "until", "ended")}


def _print_json(rows: Any) -> None:
    import json

    for row in rows:
        click.echo(json.dumps(row))


def _print_table(rows: list[dict[str, Any]], now: float) -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, pad_edge=False)
    for heading in ("source", "port", "rank", "probed", "by", "state", "left", "packets", "reason"):
        whole = heading in ("source", "port")
        table.add_column(
            heading,
            justify="right" if heading in ("rank", "left", "packets") else "left",
            no_wrap=whole,
            overflow="ignore" if whole else "ellipsis",
        )
    for row in rows:
        left = "" if row["outcome"] else f"{max(0.0, row['until'] - now):.0f} s"
        cells = (
            row["src"],
            f"{row['port']}/{row['proto']}",
            str(row["rank"]),
            row["probed"],
            row["mode"],
            row["outcome"] or "active",
            left,
            str(row["packets"]),
            row["reason"],
        )
        table.add_row(*map(Text, cells))  # Text: what Zeek sent is not markup
    console = Console()
    if not console.is_terminal:
        # For a program: one line a block, whatever its length.
        console.width = _WIDE
    console.print(table)
