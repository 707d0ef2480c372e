"""``portkin blocks``: list blocks, and change them by hand."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from portkin.commands.blocks_list import address_of, export, json_option, list_, print_json, settings_of
from portkin.commands.duration import Duration
from portkin.commands.settings_option import settings_option

if TYPE_CHECKING:
    from portkin.blocking.enforcer import Enforcer
    from portkin.zeek.block_messages import BlockResponse

_LONGEST = 31_536_000.0
"""Seconds: the most that `enforce.limits.max_duration` can be."""
_UNRECORDED = (
    "what was released is not recorded, so a running sidecar blocks it again within seconds: make the block database "
    "writable (is its disk full?) and repeat the order, or unblock from the page, or stop the sidecar"
)


@click.group()
def blocks() -> None:
    """List what is blocked, why and until when, and change it by hand.

    Works whether or not `portkin serve` runs, with the same settings file: both use the same block database. A source
    and a port are written as 203.0.113.5 and 443/tcp.
    """


blocks.add_command(list_)
blocks.add_command(export)


@blocks.command()
@click.argument("src")
@click.argument("ports", nargs=-1, required=True)
@click.option(
    "--for",
    "seconds",
    type=Duration(1.0),
    callback=lambda context, option, seconds: min(seconds, _LONGEST),
    default="1h",
    show_default=True,
    metavar="DURATION",
    help="Seconds, or with units, as 30m, 4h or 1d.",
)
@click.option("--reason", default="", help="A note for the block database.")
@json_option
@settings_option
def add(src: str, ports: tuple[str, ...], seconds: float, reason: str, as_json: bool, file: Path | None) -> None:
    """Block PORTS for the source SRC, or extend its blocks. Protected addresses and ports are refused."""
    from datetime import timedelta

    from portkin.blocking.block import NOTE
    from portkin.net.ports import Port
    from portkin.zeek.block_messages import BlockRequest
    from portkin.zeek.event import Count

    parsed = [Port.parse(port) for port in ports]
    evidence = f"evidence=OPERATOR {NOTE}={reason}" if reason else "evidence=OPERATOR"
    requests = [
        BlockRequest("by hand", address_of(src), port, timedelta(seconds=seconds), "", port, Count(0), evidence)
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
@json_option
@settings_option
def remove(src: str, ports: tuple[str, ...], as_json: bool, file: Path | None) -> None:
    """Unblock PORTS for the source SRC, and do not block them again for `enforce.limits.grace` seconds."""
    from portkin.net.ports import Port
    from portkin.zeek.block_messages import UnblockRequest

    requests = [UnblockRequest("by hand", address_of(src), Port.parse(port)) for port in ports]
    _ordered(file, as_json, lambda enforcer: enforcer.handle(requests))


@blocks.command()
@click.option("--yes", is_flag=True, help="Do not ask.")
@json_option
@settings_option
def flush(yes: bool, as_json: bool, file: Path | None) -> None:
    """End every block. There is no grace: a source that probes again is blocked again."""
    if not yes:
        click.confirm("End every block?", abort=True, err=True)
    _ordered(file, as_json, lambda enforcer: enforcer.flush())


def _ordered(file: Path | None, as_json: bool, order: Any) -> None:
    """Carry out an order with an enforcer of its own, and print the responses; status 1 where something failed."""
    from prometheus_client import CollectorRegistry

    from portkin.blocking.enforcer_factory import make_enforcer
    from portkin.blocking.metrics import BlockingMetrics
    from portkin.logs import make_log
    from portkin.numpy_threads import one_thread
    from portkin.zeek.peer_addresses import host_of

    one_thread()
    config = settings_of(file)
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
        if enforcer.unrecorded:
            click.echo(_UNRECORDED, err=True)
        enforcer.close()
    shown = [{"src": str(r.src), "port": str(r.p), "outcome": r.outcome, "detail": r.detail} for r in responses]
    if as_json:
        print_json(shown)
    else:
        for line in shown:
            detail = f" ({line['detail']})" if line["detail"] else ""
            click.echo(f"{line['src']} {line['port']} {line['outcome']}{detail}")
    if not enforcer.ready or any(line["outcome"] in ("error", "vetoed") for line in shown):
        raise SystemExit(1)
