"""``portkin rules``: rules for Suricata out of a table, or out of Zeek's decisions, and their installation."""

from __future__ import annotations

from pathlib import Path

import click

FILE = click.Path(path_type=Path)


@click.group()
def rules() -> None:
    """Predictive blocking for a Suricata that runs without Zeek."""


@rules.command()
@click.option("--table", type=FILE, help="Folder of a table [default: the one shipped].")
@click.option(
    "--ports",
    default="1000",
    show_default=True,
    metavar="N|LIST",
    help="Protect the N ports that are predicted most often, or these: 22/tcp,53/udp,8000-8100.",
)
@click.option("-k", default=3, show_default=True, help="Block so many nearest ports of a probed one.")
@click.option("--seconds", default=20_000, show_default=True, help="Block for so long.")
@click.option(
    "--mode",
    type=click.Choice(["autopilot", "hostbit", "both"]),
    default="both",
    show_default=True,
    help="Who blocks: the rules alone, the sidecar over the unix socket, or either.",
)
@click.option(
    "--action",
    type=click.Choice(["alert", "drop", "reject"]),
    default="alert",
    show_default=True,
    help="What happens to a packet that is blocked. Only an inline Suricata drops.",
)
@click.option("--scan-count", default=10, show_default=True, help="New contacts that make a source a scanner ...")
@click.option("--scan-seconds", default=300, show_default=True, help="... within so many seconds.")
@click.option("--memory", default=3600, show_default=True, help="Seconds a contact, or a scanner, is remembered.")
@click.option("--pass", "pass_list", type=FILE, help="File of networks that are never blocked, one a line.")
@click.option("--sid-base", default=1_500_000, show_default=True, help="First of 400,000 signature ids.")
@click.option(
    "--beside",
    type=FILE,
    multiple=True,
    help="Rules file or folder whose signature ids must not be ours too; may be given again.",
)
@click.option("--check", is_flag=True, help="Let the Suricata on this machine load them before they are written.")
@click.option("-o", "--output", type=FILE, default=Path("portkin.rules"), show_default=True)
def build(
    table: Path | None,
    ports: str,
    k: int,
    seconds: int,
    mode: str,
    action: str,
    scan_count: int,
    scan_seconds: int,
    memory: int,
    pass_list: Path | None,
    sid_base: int,
    beside: tuple[Path, ...],
    check: bool,
    output: Path,
) -> None:
    """Write rules that block the nearest ports of those that a scanner probes.

    A file that is there already keeps the rules that have not changed, word for word; the revision of the others
    rises. Beside the rules goes a sid-msg.map.
    """
    from portkin.table import Table, default_table
    from portkin_rules.make import make_rules
    from portkin_rules.plan import Detector, Plan

    plan = Plan(k, seconds, mode, action, Detector(scan_count, scan_seconds, memory))
    written = make_rules(
        plan,
        Table.load(table) if table else default_table(),
        ports,
        output,
        table_option=table,
        pass_list=pass_list,
        sid_base=sid_base,
        beside=beside,
        check=check,
    )
    click.echo(f"{output}: {written.rules} rules ({written.new} new, {written.changed} changed, {written.gone} gone)")
