"""``portkin blocks list`` and ``export``: what reads the block database, and what all commands about blocks share."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from portkin.commands.settings_option import settings_option

if TYPE_CHECKING:
    from portkin.blocking.config import EnforceConfig
    from portkin.blocking.listing import BackendState, Listing
    from portkin.config.schema import Config

json_option = click.option("--json", "as_json", is_flag=True, help="JSON, one object per line.")

_MISSED = 6
"""Checks of the backend that a sidecar which is alive does not miss."""
_WIDE = 2_000
"""Columns that hold every row of the list, with the longest reason."""
_NO_DATABASE = "-c names the settings of the sidecar that has one"


@click.command("list")
@click.option("--all", "ended", is_flag=True, help="Include blocks that have ended.")
@click.option("--src", metavar="ADDRESS", help="Only blocks of this source.")
@click.option("--port", metavar="PORT", help="Only blocks of this port.")
@click.option(
    "-n", "--limit", type=click.IntRange(1), default=1000, show_default=True, help="At most this many, the latest ones."
)
@json_option
@settings_option
def list_(ended: bool, src: str | None, port: str | None, limit: int, as_json: bool, file: Path | None) -> None:
    """List blocks, the latest first."""
    import time

    from portkin.net.ports import Port

    chosen = Port.parse(port) if port else None
    source = str(address_of(src)) if src else None
    rows = _rows(settings_of(file), active=not ended, src=source, port=chosen, limit=limit)
    if as_json:
        print_json(map(_described, rows))
    elif rows:
        _print_table(rows, time.time())
    else:
        click.echo("no blocks")


@click.command()
@click.option(
    "--format",
    "form",
    type=click.Choice(["plain", "csv", "stix2", "crowdsec"]),
    default="plain",
    show_default=True,
    help="plain: addresses, one per line; csv: every block; stix2: a STIX 2.1 bundle; crowdsec: decisions.",
)
@click.option("-o", "output", type=click.Path(path_type=Path, dir_okay=False), help="[default: standard output]")
@settings_option
def export(form: str, output: Path | None, file: Path | None) -> None:
    """Print the active blocks for other systems.

    \b
    portkin blocks export --format crowdsec | cscli decisions import -i - --format json
    portkin blocks export --format csv -o blocks.csv

    csv lists sources with ports. The others list each source once: a system that imports them blocks it on every
    port. Blocks that are held out, have ended, or are now forbidden by never_nets or never_ports are left out.
    """
    import time

    from portkin.blocking.config import database_path
    from portkin.blocking.export import FORMATS, exported
    from portkin.errors import StorageError
    from portkin.files import replacing

    config, now = settings_of(file), time.time()
    path = database_path(config.enforce)
    if not path.exists():  # an empty list would end every block of the system that takes it
        raise StorageError(f"{path}: there is no block database, so nothing was exported; {_NO_DATABASE}")
    rows = exported(_rows(config, active=True), config.enforce.limits, now)
    if any(row["mode"] == "shadow" for row in rows):
        click.echo("blocks of the backend shadow are among these: portkin itself drops nothing of them", err=True)
    text = FORMATS[form](rows, now)
    if output is None:
        for part in text:
            click.echo(part, nl=False)
        return
    with replacing(output) as written, written.open("w", encoding="utf-8", newline="") as opened:
        opened.writelines(text)


def settings_of(file: Path | None) -> Config:
    """The settings in that file, or the defaults."""
    from portkin.config.schema import load_config

    return load_config(file)


def address_of(text: str) -> Any:
    """The address; an IPv4-mapped one as IPv4, as in the database."""
    from ipaddress import ip_address

    from portkin.net.addresses import unmapped

    try:
        return unmapped(ip_address(text))
    except ValueError:
        raise click.BadParameter(f"{text!r} is not an address; write one such as 203.0.113.5 or 2001:db8::5") from None


def _rows(config: Config, **which: Any) -> list[dict[str, Any]]:
    """Rows of the block database, as `Listing.rows` has them, with what the kernel has counted by now.

    Says on standard error what the backend does not hold, and where there is no database.
    """
    import sqlite3
    import time

    from portkin.blocking.config import database_path
    from portkin.blocking.listing import Listing
    from portkin.errors import StorageError

    path = database_path(config.enforce)
    try:
        if not path.exists():
            click.echo(f"{path}: there is no block database; {_NO_DATABASE}", err=True)
            return []
        listing = Listing(path)
        rows, state = listing.rows(**which), listing.backend()
        compared = _compare_with_kernel(config.enforce, rows, listing)
        listing.close()
    except (OSError, sqlite3.Error) as error:
        raise StorageError(
            f"{path}: the block database cannot be read ({error}); see the log of `portkin serve`"
        ) from None
    if state is not None and not (compared and state.mode == "nftables"):
        _warn(state, time.time(), patience=_MISSED * config.enforce.check)
    return rows


def _compare_with_kernel(enforce: EnforceConfig, rows: list[dict[str, Any]], listing: Listing) -> bool:
    """Take over what the kernel counted, and say what it lacks or holds beside; False where it cannot be asked."""
    if enforce.backend != "nftables":
        return False
    ours = [row for row in rows if row["outcome"] is None and row["mode"] == "nftables"]
    from ipaddress import ip_address

    from portkin.numpy_threads import one_thread

    one_thread()
    from portkin.blocking.backends.nftables import Nftables  # which needs numpy
    from portkin.blocking.block import key_of
    from portkin.blocking.config import place_of
    from portkin.errors import BackendError
    from portkin.net.ports import Port

    backend = None
    keys = [key_of(ip_address(row["src"]), Port(row["port"], row["proto"])) for row in ours]
    try:
        backend = Nftables(place_of(enforce))
        lost = backend.lost_blocks()
        held = {} if lost else backend.held(keys)
        # The database after the kernel, and the kernel once more: what begins or ends meanwhile is not foreign.
        foreign = backend.counted(held.keys() - listing.active_keys())
    except BackendError:  # as without the privilege
        return False
    finally:
        if backend is not None:
            backend.close()
    missing = 0
    for key, row in zip(keys, ours, strict=True):
        found = held.get(key)
        if found is None:
            missing += 1
        elif found.packets > row["packets"]:
            row["packets"], row["bytes"], row["hit"] = found.packets, found.bytes, True
    if lost and ours:
        click.echo(
            "nftables drops nothing: its table, or a rule of it, is gone; see the log of `portkin serve`", err=True
        )
    elif missing:
        click.echo(f"nftables does not hold {missing} of these blocks; see the log of `portkin serve`", err=True)
    if foreign:
        click.echo(
            f"nftables also holds {len(foreign)} elements that are in no database, such as {min(foreign)}; "
            "`portkin blocks remove SOURCE PORT` releases one",
            err=True,
        )
    return True


def _warn(state: BackendState, now: float, patience: float) -> None:
    """Say on standard error what the sidecar last found out about its backend."""
    age = max(0.0, now - state.at)
    since = f"as of {age:.0f} s ago"
    if not state.ready:
        click.echo(f"{state.mode} does not hold these blocks, {since}; see the log of `portkin serve`", err=True)
    if state.ipv6_fault:
        click.echo(f"no IPv6 source is blocked, {since}: {state.ipv6_fault}", err=True)
    if age > patience and state.mode != "shadow":
        click.echo(
            f"no sidecar has looked at {state.mode} for {age:.0f} s: whether it holds these blocks is not known",
            err=True,
        )


def _described(row: dict[str, Any]) -> dict[str, Any]:
    """A row as JSON: times as ISO 8601 in UTC."""
    from datetime import UTC, datetime

    def moment(seconds: float | None) -> str | None:
        return None if seconds is None else datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds")

    described = {key: value for key, value in row.items() if key not in ("id", "proto")}
    described["port"] = f"{row['port']}/{row['proto']}"
    described["hit"] = bool(row["hit"])
    return described | {key: moment(row[key]) for key in ("since", "until", "ended")}


def print_json(rows: Any) -> None:
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
