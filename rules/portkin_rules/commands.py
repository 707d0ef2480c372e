"""``portkin rules``: rules for Suricata from a table or from Zeek's decisions, and their installation."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from portkin.commands.stopping import ending_with_children

if TYPE_CHECKING:
    from portkin_rules.plan import Action, Mode

FILE = click.Path(path_type=Path)
EXISTING = click.Path(path_type=Path, exists=True, dir_okay=False)


@click.group()
def rules() -> None:
    """Generate and install rules for predictive blocking in Suricata, without Zeek."""


@rules.command()
@click.option("--table", type=FILE, help="Folder of a table  [default: the shipped one]")
@click.option(
    "--ports",
    default="1000",
    show_default=True,
    metavar="N|LIST",
    help="Ports to protect: the N predicted most often, or a list such as 22/tcp,53/udp,8000-8100.",
)
@click.option("-k", default=3, show_default=True, help="Number of nearest ports to block when a scanner probes a port.")
@click.option(
    "--min-chance",
    type=float,
    metavar="P",
    help="Of these, block those with a chance of P or more, 0 to 1. [default: what the table recommends]",
)
@click.option("--seconds", default=20_000, show_default=True, help="How long a block lasts.")
@click.option(
    "--mode",
    type=click.Choice(["autopilot", "hostbit", "both"]),
    default="both",
    show_default=True,
    help="What sets the bits that block: the rules, the sidecar over the unix socket, or both.",
)
@click.option(
    "--action",
    type=click.Choice(["alert", "drop", "reject"]),
    default="alert",
    show_default=True,
    help="Action on a blocked packet. Only an inline Suricata drops.",
)
@click.option(
    "--scan-count", default=10, show_default=True, help="New contacts without an answer that make a source a scanner."
)
@click.option("--scan-seconds", default=300, show_default=True, help="Seconds within which they must occur.")
@click.option(
    "--memory", default=3600, show_default=True, help="Seconds for which a contact, or a quiet scanner, is remembered."
)
@click.option("--pass", "pass_list", type=FILE, help="File of networks that are never blocked, one per line.")
@click.option("--sid-base", default=1_500_000, show_default=True, help="First of 400,000 signature ids.")
@click.option(
    "--beside",
    type=FILE,
    multiple=True,
    help="Rules file or folder whose signature ids must not overlap with these. Can be repeated.",
)
@click.option(
    "--check", is_flag=True, help="Have the Suricata on this machine check the rules before they are written."
)
@click.option("-o", "--output", type=FILE, default=Path("portkin.rules"), show_default=True)
@ending_with_children()
def build(
    table: Path | None,
    ports: str,
    k: int,
    min_chance: float | None,
    seconds: int,
    mode: Mode,
    action: Action,
    scan_count: int,
    scan_seconds: int,
    memory: int,
    pass_list: Path | None,
    sid_base: int,
    beside: tuple[Path, ...],
    check: bool,
    output: Path,
) -> None:
    """Write rules that block the ports nearest to those a scanner probes.

    In an existing file, unchanged rules stay as they are; the revision of the others increases. A sid-msg.map is
    written beside the rules; one with messages of other rules is not replaced.
    """
    from portkin.bundles.table import Table, default_table
    from portkin_rules.build import write_port_rules
    from portkin_rules.plan import Detector, Plan

    plan = Plan(k, seconds, mode, action, Detector(scan_count, scan_seconds, memory), min_chance)
    summary = write_port_rules(
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
    click.echo(f"{output}: {summary}")


@rules.command("from-log")
@click.argument("logs", metavar="LOG...", type=EXISTING, nargs=-1, required=True)
@click.option("--seconds", default=20_000, show_default=True, help="Skip decisions older than this.")
@click.option(
    "--action",
    type=click.Choice(["alert", "drop", "reject"]),
    default="alert",
    show_default=True,
    help="Action on a blocked packet.",
)
@click.option("--sid-base", default=1_500_000, show_default=True, help="First of 400,000 signature ids.")
@click.option("-o", "--output", type=FILE, default=Path("portkin-sources.rules"), show_default=True)
@click.option("--force", is_flag=True, help="End all blocks where no LOG has a decision.")
def from_log(logs: tuple[Path, ...], seconds: int, action: Action, sid_base: int, output: Path, force: bool) -> None:
    """Write a rule per source that Zeek decided to block, from its portkin.log.

    Name the logs that Zeek has rotated too: a block lasts longer than the hour that one of them holds. Those last
    written before --seconds ago are not read.

    A block ends only when the rules are generated again, so run this regularly. Logs without any decision do not
    replace existing rules.
    """
    import time

    from portkin_rules.build import write_source_rules

    summary = write_source_rules(
        logs,
        output,
        seconds=seconds,
        action=action,
        sid_base=sid_base,
        now=time.time(),
        force=force,
        warn=lambda text: click.echo(f"portkin: warning: {text}", err=True),
    )
    click.echo(f"{output}: {summary}")


@rules.command()
@click.argument("file", type=EXISTING)
@click.option(
    "--folder",
    type=FILE,
    default=Path("/var/lib/suricata/portkin"),
    show_default=True,
    help="Folder to install the rules in.",
)
@click.option(
    "--config",
    type=FILE,
    default=Path("/etc/suricata/update.yaml"),
    show_default=True,
    help="Configuration of suricata-update, to which the rules are added.",
)
@click.option(
    "--merged",
    type=FILE,
    default=Path("/var/lib/suricata/rules/suricata.rules"),
    show_default=True,
    help="Output of suricata-update, whose signature ids must not overlap with these.",
)
@click.option("--suricata", default="suricata", show_default=True, help="The Suricata that checks the rules.")
@click.option(
    "--suricata-conf",
    type=FILE,
    default=Path("/etc/suricata/suricata.yaml"),
    show_default=True,
    help="Configuration of that Suricata.",
)
@click.option("--reload", is_flag=True, help="Run suricata-update, then have the running Suricata reload its rules.")
@click.option(
    "--socket",
    type=FILE,
    help="Unix socket of the running Suricata  [default: /run/suricata/suricata-command.socket, then "
    "/run/suricata-command.socket]",
)
@click.argument("update_options", nargs=-1, metavar="[-- SURICATA-UPDATE OPTIONS]")
@ending_with_children()
def install(
    file: Path,
    folder: Path,
    config: Path,
    merged: Path,
    suricata: str,
    suricata_conf: Path,
    reload: bool,
    socket: Path | None,
    update_options: tuple[str, ...],
) -> None:
    """Install a file of rules as a local source of suricata-update, whose next run merges it.

    Its drop.conf and disable.conf apply to these rules too. Rules that Suricata does not accept are not installed.
    """
    from portkin_rules.suricata import check_rules, find_suricata, reload_rules
    from portkin_rules.update import install as install_rules
    from portkin_rules.update import run_update

    check_rules(file, program=find_suricata(suricata), config=suricata_conf)
    installed, added = install_rules(file, folder=folder, config=config, merged=merged)
    click.echo(f"{installed}: installed, {'added to' if added else 'already in'} {config}")
    if reload:
        run_update(config, update_options)
        reached = reload_rules(socket, config=suricata_conf)
        click.echo(f"{reached}: Suricata is reloading its rules")
    else:
        click.echo("The next run of suricata-update merges it.")
