"""From options to a file of rules: `portkin rules build` and `portkin rules from-log`."""

from __future__ import annotations

import math
import tempfile
from collections.abc import Callable, Sequence
from datetime import UTC, date, datetime
from pathlib import Path

from suricataparser.rule import Rule

from portkin.bundles.table import Table
from portkin.errors import RulesError
from portkin.net.ports import Port
from portkin.wording import amount
from portkin_rules.from_log import active_blocks, ignore_warning, read_decisions, source_rules
from portkin_rules.generate import build_rules
from portkin_rules.passlist import pass_rules, read_networks
from portkin_rules.plan import Action, Detector, Plan
from portkin_rules.protected_ports import select_ports
from portkin_rules.rule import metadata_date
from portkin_rules.ruleset import (
    Summary,
    header,
    read_previous,
    refuse_foreign_sid_map,
    rules_beside,
    with_revisions,
    write_rules,
    write_sid_msg_map,
)
from portkin_rules.sids import DEFAULT_BASE, Sids, refuse_used_sids
from portkin_rules.suricata import check_rules, find_suricata


def write_port_rules(
    plan: Plan,
    table: Table,
    ports: str,
    output: Path,
    *,
    table_option: Path | None = None,
    pass_list: Path | None = None,
    sid_base: int = DEFAULT_BASE,
    beside: Sequence[Path] = (),
    check: bool = False,
) -> Summary:
    """Write the rules for the ports that ``ports`` names (see `select_ports`) to ``output``, and a sid-msg.map beside.

    ``table_option`` is where the table was read from, for the header. Raises PortkinError, and writes nothing, for
    settings out of range, signature ids that are in use, and rules that Suricata (``check``) does not accept.
    """
    table = plan.cut(table)
    today = datetime.now(UTC).date()
    sids = Sids(sid_base)
    before, messages = read_previous(output), output.parent / "sid-msg.map"
    neighbors = rules_beside(output)
    refuse_foreign_sid_map(messages, {*sids.all, *before, *(rule.sid for rule in neighbors)})
    protected = select_ports(ports, table, plan.k)
    networks = read_networks(pass_list) if pass_list else ()
    rules, summary = with_revisions(
        _all_rules(plan, table, protected, sids=sids, today=today, networks=networks), before, today
    )
    refuse_used_sids((rule.sid for rule in rules), beside, but=output)
    head = header(
        _about(plan, table, protected),
        ["portkin", "rules", "build", *_options(plan, ports, table_option, pass_list, sid_base), "-o", output.name],
    )
    if check:
        program = find_suricata(otherwise="omit --check")
        with tempfile.TemporaryDirectory(prefix="portkin-") as folder:
            trial = Path(folder) / output.name
            write_rules(trial, head, rules)
            check_rules(trial, program=program)
    write_rules(output, head, rules)
    write_sid_msg_map(messages, [*neighbors, *rules])
    return summary


def _all_rules(
    plan: Plan, table: Table, ports: Sequence[Port], *, sids: Sids, today: date, networks: Sequence[str]
) -> list[Rule]:
    """The rules of a file, those of the pass list first."""
    metadata = {"created_at": metadata_date(today), "portkin_mode": plan.mode}
    return [
        *pass_rules(networks, ports, sids=sids, metadata=metadata),
        *build_rules(plan, table, ports, sids=sids, today=today),
    ]


def _about(plan: Plan, table: Table, ports: Sequence[Port]) -> list[str]:
    """What the header says about the rules."""
    tcp = sum(port.proto == "tcp" for port in ports)
    cutoff = plan.cutoff(table)
    cut = f" from a chance of {cutoff:g}" if cutoff else ""
    lines = [
        f"Table {table.id} ({table.method}, {table.created:%Y-%m-%d}); {tcp} TCP and {len(ports) - tcp} UDP ports, "
        f"K = {plan.k}{cut}, blocked for {plan.seconds} s; mode {plan.mode}, action {plan.action}.",
    ]
    if plan.finds_scanners:
        detector = plan.detector
        lines.append(
            f"A source is a scanner after {detector.count} new contacts without an answer within {detector.seconds} s, "
            f"half of them overdue or refused, until it is quiet for {detector.memory} s."
        )
    if plan.mode != "autopilot":
        lines.append("Host bits pk<port> (TCP) and pk<port>u (UDP), set from outside, block too.")
    return lines


def _options(plan: Plan, ports: str, table: Path | None, pass_list: Path | None, sid_base: int) -> list[str]:
    """The options that differ from the defaults."""
    default, detector = Plan(), Detector()
    given = [
        ("--table", table, None),
        ("--ports", ports, "1000"),
        ("-k", plan.k, default.k),
        ("--min-chance", plan.min_chance, default.min_chance),
        ("--seconds", plan.seconds, default.seconds),
        ("--mode", plan.mode, default.mode),
        ("--action", plan.action, default.action),
        ("--scan-count", plan.detector.count, detector.count),
        ("--scan-seconds", plan.detector.seconds, detector.seconds),
        ("--memory", plan.detector.memory, detector.memory),
        ("--pass", pass_list, None),
        ("--sid-base", sid_base, DEFAULT_BASE),
    ]
    return [str(word) for name, value, usual in given if value != usual for word in (name, value)]


def write_source_rules(
    logs: Sequence[Path],
    output: Path,
    *,
    seconds: int,
    action: Action,
    sid_base: int = DEFAULT_BASE,
    now: float,
    force: bool = False,
    warn: Callable[[str], None] = ignore_warning,
) -> Summary:
    """Write a rule per source and protocol from the decisions in a portkin.log, or in several that Zeek rotated.

    ``now`` is seconds since 1970. ``warn`` is called with a message for each line that is skipped. Raises RulesError,
    and writes nothing, for a file that is not a portkin.log, and unless ``force`` for logs without any decision where
    that would end blocks.
    """
    today = datetime.fromtimestamp(now, UTC).date()
    before = read_previous(output)
    # An archive has years of them: what was last written before the oldest decision of use has none.
    recent = [log for log in logs if len(logs) == 1 or _written(log) > now - seconds]
    decisions = [decision for log in recent for decision in read_decisions(log, warn)]
    if before and not decisions and not force:
        raise RulesError(
            f"{', '.join(map(str, recent or logs[-1:]))}: not one decision in it, so all blocks of {output} would end "
            f"({amount(len(before), 'rule')}), and nothing was written; name the logs that have them, also those that "
            "Zeek has rotated, or end the blocks with --force"
        )
    blocked = active_blocks(decisions, now=now, seconds=seconds)
    sids = Sids(sid_base)
    rules, summary = with_revisions(source_rules(blocked, action, sids=sids, before=before, today=today), before, today)
    head = header(
        [f"{amount(len(blocked), 'source')} with a decision of Zeek in the last {seconds} s."],
        ["portkin", "rules", "from-log", logs[0].name if len(logs) == 1 else "LOG..."]
        + ["--seconds", str(seconds), "--action", action]
        + (["--sid-base", str(sid_base)] if sid_base != DEFAULT_BASE else [])
        + ["-o", output.name],
    )
    write_rules(output, head, rules)
    return summary


def _written(path: Path) -> float:
    """When a file was last written, in seconds since 1970; infinity for one that cannot be read, which reading says."""
    try:
        return path.stat().st_mtime
    except OSError:
        return math.inf
