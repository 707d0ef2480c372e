"""From options to a file of rules: the one way by which `portkin rules build` and the shipped set are made."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Sequence
from datetime import UTC, date, datetime
from pathlib import Path

from suricataparser.rule import Rule

from portkin.bundles.table import Table
from portkin.errors import RulesError
from portkin.net.ports import Port
from portkin_rules.from_log import read_decisions, running, source_rules, unheard
from portkin_rules.generate import build
from portkin_rules.passlist import pass_rules, read_nets
from portkin_rules.plan import Action, Detector, Plan
from portkin_rules.protected_ports import chosen
from portkin_rules.rule import day
from portkin_rules.ruleset import (
    Written,
    header,
    merged,
    previous,
    refuse_foreign_map,
    write_rules,
    write_sid_msg_map,
)
from portkin_rules.sids import DEFAULT_BASE, Sids, refuse_collisions
from portkin_rules.suricata import check_rules, find_suricata


def make_rules(
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
) -> Written:
    """Write the rules for what ``ports`` says (see `choose.chosen`) to ``output``, and sid-msg.map beside it.

    ``table_option`` is where the table was read from, for the header. Raises PortkinError, and writes nothing, for
    settings that cannot be carried out, ids that collide, and rules that Suricata (``check``) does not accept.
    """
    if plan.k > table.k:
        raise RulesError(f"K = {plan.k}: table {table.id} holds {table.k} nearest ports; choose at most so many")
    today = datetime.now(UTC).date()
    sids = Sids(sid_base)
    before, messages = previous(output), output.parent / "sid-msg.map"
    refuse_foreign_map(messages, {*sids.all, *before})
    protected = chosen(ports, table, plan.k)
    found = all_rules(plan, table, protected, sids=sids, today=today, nets=read_nets(pass_list) if pass_list else ())
    rules, written = merged(found, before, today)
    refuse_collisions((rule.sid for rule in rules), beside, but=output)
    head = header(
        about(plan, table, protected),
        ["portkin", "rules", "build", *options(plan, ports, table_option, pass_list, sid_base), "-o", output.name],
    )
    if check:
        program = find_suricata(otherwise="leave --check out")
        with tempfile.TemporaryDirectory(prefix="portkin-") as folder:
            trial = Path(folder) / output.name
            write_rules(trial, head, rules)
            check_rules(trial, program=program)
    write_rules(output, head, rules)
    write_sid_msg_map(messages, rules)
    return written


def all_rules(
    plan: Plan, table: Table, ports: Sequence[Port], *, sids: Sids, today: date, nets: Sequence[str] = ()
) -> list[Rule]:
    """The rules of a file, those that let pass first."""
    books = {"created_at": day(today), "portkin_mode": plan.mode}
    return [*pass_rules(nets, ports, sids=sids, books=books), *build(plan, table, ports, sids=sids, today=today)]


def about(plan: Plan, table: Table, ports: Sequence[Port]) -> list[str]:
    """What the header says of the set."""
    tcp = sum(port.proto == "tcp" for port in ports)
    lines = [
        f"Table {table.id} ({table.method}, {table.created:%Y-%m-%d}); {tcp} TCP and {len(ports) - tcp} UDP ports, "
        f"K = {plan.k}, blocked for {plan.seconds} s; mode {plan.mode}, action {plan.action}.",
    ]
    if plan.decides:
        detector = plan.detector
        lines.append(
            f"A source is a scanner at its {detector.count}th new contact within {detector.seconds} s; remembered "
            f"for {detector.memory} s."
        )
    if plan.mode != "autopilot":
        lines.append("Host bits pk<port> (TCP) and pk<port>u (UDP), set from outside, block too.")
    return lines


def options(plan: Plan, ports: str, table: Path | None, pass_list: Path | None, sid_base: int) -> list[str]:
    """The options that differ from the defaults."""
    default, detector = Plan(), Detector()
    given = [
        ("--table", table, None),
        ("--ports", ports, "1000"),
        ("-k", plan.k, default.k),
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


def make_source_rules(
    log: Path,
    output: Path,
    *,
    seconds: int,
    action: Action,
    sid_base: int = DEFAULT_BASE,
    now: float,
    warn: Callable[[str], None] = unheard,
) -> Written:
    """Write a rule per source that a portkin.log decides about; ``now`` is seconds since 1970.

    ``warn`` is told what was left out.

    Raises PortkinError, and writes nothing, for a log that is none.
    """
    today = datetime.fromtimestamp(now, UTC).date()
    before = previous(output)
    blocked = running(read_decisions(log, warn), now=now, seconds=seconds)
    sids = Sids(sid_base)
    rules, written = merged(source_rules(blocked, action, sids=sids, before=before, today=today), before, today)
    head = header(
        [f"{len(blocked)} sources that Zeek decided about in the last {seconds} s."],
        ["portkin", "rules", "from-log", log.name, "--seconds", str(seconds), "--action", action]
        + (["--sid-base", str(sid_base)] if sid_base != DEFAULT_BASE else [])
        + ["-o", output.name],
    )
    write_rules(output, head, rules)
    return written
