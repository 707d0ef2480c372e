"""``portkin nft``: portkin's table in nftables, by hand."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from portkin.commands.settings_option import settings_option
from portkin.wording import amount

if TYPE_CHECKING:
    from portkin.blocking.backends.nftables import Nftables
    from portkin.blocking.backends.place import Place


@click.group()
def nft() -> None:
    """The table in which `portkin serve` blocks with nftables. Needs root, or CAP_NET_ADMIN."""


@nft.command()
@click.option("--print", "only", is_flag=True, help="Print the nft commands and do nothing.")
@settings_option
def setup(only: bool, file: Path | None) -> None:
    """Create the table, or move its chain where the settings say; what is blocked stays blocked.

    `portkin serve` does this by itself when it starts.
    """
    from portkin.blocking.backends.nftables_setup import setup_commands

    if only:
        click.echo(setup_commands(_place(file)), nl=False)
        return
    backend = _backend(file)
    backend.setup()
    backend.close()


@nft.command()
@settings_option
def teardown(file: Path | None) -> None:
    """Delete the table, and every block in it. A running `portkin serve` recreates it: stop that first."""
    backend = _backend(file)
    backend.teardown()
    backend.close()


@nft.command()
@click.option("--json", "as_json", is_flag=True, help="JSON, one object per line: the totals, then the blocks.")
@settings_option
def show(as_json: bool, file: Path | None) -> None:
    """Show what is in the kernel: each block, the time left, and what it has dropped."""
    import json

    backend = _backend(file)
    dropped, held = backend.dropped(), backend.held()
    backend.close()
    rows = sorted(held.items(), key=lambda item: (item[0].src, item[0].port))
    if as_json:
        click.echo(json.dumps({"blocks": len(held), "packets": dropped.packets, "bytes": dropped.bytes}))
        for key, (seconds, packets, octets) in rows:
            left = None if seconds == float("inf") else round(seconds, 3)
            described = {"src": str(key.address), "port": str(key.port), "seconds": left}
            click.echo(json.dumps({**described, "packets": packets, "bytes": octets}))
        return
    click.echo(f"{amount(len(held), 'block')}; {_dropped(dropped.packets, dropped.bytes)} dropped")
    for key, (seconds, packets, octets) in rows:
        click.echo(f"{key}  {seconds:.0f} s left  {_dropped(packets, octets)}")


def _dropped(packets: int, octets: int) -> str:
    return f"{amount(packets, 'packet')}, {amount(octets, 'byte')}"


def _place(file: Path | None) -> Place:
    from portkin.blocking.config import place_of
    from portkin.config.schema import load_config

    return place_of(load_config(file).enforce)


def _backend(file: Path | None) -> Nftables:
    from portkin.numpy_threads import one_thread

    one_thread()
    from portkin.blocking.backends.nftables import Nftables

    return Nftables(_place(file))
