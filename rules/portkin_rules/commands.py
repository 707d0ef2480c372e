"""``portkin rules``: rules for Suricata out of a table, or out of Zeek's decisions, and their installation."""

from __future__ import annotations

from pathlib import Path

import click

FILE = click.Path(path_type=Path)
HERE = click.Path(path_type=Path, exists=True, dir_okay=False)


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
    rises. Beside the rules goes a sid-msg.map; one that has messages of other rules is not replaced.
    """
    from portkin.bundles.table import Table, default_table
    from portkin_rules.build import make_rules
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


@rules.command("from-log")
@click.argument("log", type=HERE)
@click.option("--seconds", default=20_000, show_default=True, help="Leave out decisions older than this.")
@click.option(
    "--action",
    type=click.Choice(["alert", "drop", "reject"]),
    default="alert",
    show_default=True,
    help="What happens to a packet that is blocked.",
)
@click.option("--sid-base", default=1_500_000, show_default=True, help="First of 400,000 signature ids.")
@click.option("-o", "--output", type=FILE, default=Path("portkin-sources.rules"), show_default=True)
def from_log(log: Path, seconds: int, action: str, sid_base: int, output: Path) -> None:
    """Write a rule per source that Zeek decided about, out of its portkin.log.

    A block ends when the rules are made again, so do that regularly.
    """
    import time

    from portkin_rules.build import make_source_rules

    written = make_source_rules(
        log,
        output,
        seconds=seconds,
        action=action,
        sid_base=sid_base,
        now=time.time(),
        warn=lambda text: click.echo(f"portkin: warning: {text}", err=True),
    )
    click.echo(f"{output}: {written.rules} rules ({written.new} new, {written.changed} changed, {written.gone} gone)")


@rules.command()
@click.argument("file", type=HERE)
@click.option(
    "--folder", type=FILE, default=Path("/var/lib/suricata/portkin"), show_default=True, help="Where the rules go."
)
@click.option(
    "--config",
    type=FILE,
    default=Path("/etc/suricata/update.yaml"),
    show_default=True,
    help="suricata-update's settings, which then name the rules.",
)
@click.option(
    "--merged",
    type=FILE,
    default=Path("/var/lib/suricata/rules/suricata.rules"),
    show_default=True,
    help="What suricata-update writes: signature ids in it must not be ours too.",
)
@click.option("--suricata", default="suricata", show_default=True, help="The Suricata that must accept the rules.")
@click.option(
    "--suricata-conf", type=FILE, default=Path("/etc/suricata/suricata.yaml"), show_default=True, help="Its settings."
)
@click.option("--reload", is_flag=True, help="Then run suricata-update, and let the running Suricata load the rules.")
@click.option(
    "--socket",
    type=FILE,
    default=Path("/run/suricata/suricata-command.socket"),
    show_default=True,
    help="The unix socket of the running Suricata.",
)
@click.argument("update_options", nargs=-1, metavar="[-- SURICATA-UPDATE OPTIONS]")
def install(
    file: Path,
    folder: Path,
    config: Path,
    merged: Path,
    suricata: str,
    suricata_conf: Path,
    reload: bool,
    socket: Path,
    update_options: tuple[str, ...],
) -> None:
    """Make a file of rules a local source of suricata-update, whose next run merges it with the others.

    Its drop.conf and disable.conf hold for these rules too. Rules that Suricata does not accept are not installed.
    """
    from portkin_rules.suricata import check_rules, find_suricata, reload_rules
    from portkin_rules.update import install as put
    from portkin_rules.update import run_update

    check_rules(file, program=find_suricata(suricata), config=suricata_conf)
    there, new = put(file, folder=folder, config=config, merged=merged)
    click.echo(f"{there}: installed; {config} {'now names' if new else 'names'} it")
    if reload:
        run_update(config, update_options)
        reload_rules(socket)
        click.echo(f"{socket}: Suricata is loading its rules")
    else:
        click.echo("suricata-update will merge it when it runs next")
