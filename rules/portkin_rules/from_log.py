"""Plain rules per source, out of the decisions in Zeek's portkin.log.

For those who want files: no bits, no sockets; but each change needs a reload, and a block ends only when the rules
are made again.
"""

from __future__ import annotations

import ipaddress
import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path

from suricataparser.rule import Rule

from portkin.errors import PortError, RulesError
from portkin.net.ports import PROTOS, Port
from portkin_rules.generate import FIRST
from portkin_rules.plan import Action
from portkin_rules.rule import day, make, reason
from portkin_rules.sids import Sids


@dataclass(frozen=True)
class Decision:
    """A line of portkin.log that decides: when, about whom, which ports may be blocked."""

    ts: float
    """Seconds since 1970."""
    src: str
    ports: tuple[Port, ...]


def unheard(text: str) -> None:
    """Where warnings go that nobody wants."""


def read_decisions(path: Path, warn: Callable[[str], None] = unheard) -> Iterator[Decision]:
    """The decisions in a portkin.log, TSV or JSON. RulesError names the line that is neither.

    A last line without an end is left out, and ``warn`` told: Zeek is writing it, or was stopped while it did. It may
    look whole and name port 8 where 80 was meant.
    """
    fields: list[str] = []
    comma, unset = ",", "-"
    try:
        with path.open(encoding="utf-8") as lines:
            for number, text in enumerate(lines, start=1):
                line = text.rstrip("\n")
                if line == text and not line.startswith("#"):
                    warn(f"{path}:{number}: the last line is cut off and was left out; it is read when it is whole")
                elif line.startswith("#"):
                    name, *values = line.split("\t")
                    if name == "#fields":
                        fields = values
                    elif name == "#set_separator":
                        comma = values[0]
                    elif name == "#unset_field":
                        unset = values[0]
                elif line:
                    try:
                        row = json.loads(line) if line[0] == "{" else _row(fields, line, comma, unset)
                        decision = _decision(row)
                    except (ValueError, KeyError, TypeError) as error:
                        raise RulesError(
                            f"{path}:{number}: not a line of portkin.log ({error}); name Zeek's own file"
                        ) from None
                    if decision is not None:
                        yield decision
    except (OSError, UnicodeDecodeError) as error:
        raise RulesError(f"{path}: cannot be read ({reason(error)}); name Zeek's portkin.log") from None


def _row(fields: list[str], line: str, comma: str, unset: str) -> dict[str, object]:
    values = line.split("\t")
    if not fields or len(values) != len(fields):
        raise ValueError(f"{len(values)} fields where the header names {len(fields)}")
    row: dict[str, object] = dict(zip(fields, values, strict=True))
    kept = row.get("kept", unset)
    row["kept"] = [] if kept in (unset, "(empty)") else str(kept).split(comma)
    return row


def _decision(row: Mapping[str, object]) -> Decision | None:
    # Zeek writes an enum with its module where it is not the log's own.
    if str(row["kind"]).rpartition("::")[2] != "DECISION":
        return None
    src = str(ipaddress.ip_address(str(row["src"])))
    if "%" in src:
        raise ValueError(f"{src[:80]!r} has a zone, which no rule can name")
    try:
        ports = tuple(Port.parse(str(port)) for port in row.get("kept") or ())
    except PortError as error:
        raise ValueError(str(error)) from None
    return Decision(_stamp(row["ts"]), src, ports)


def _stamp(value: object) -> float:
    """Zeek's time: seconds since 1970, or ISO 8601 where JSON logs are set to it."""
    try:
        return float(str(value))
    except ValueError:
        return datetime.fromisoformat(str(value)).astimezone(UTC).timestamp()


def running(decisions: Iterable[Decision], *, now: float, seconds: int) -> dict[str, set[Port]]:
    """The ports to block by source: of decisions not older than ``seconds``, each port once."""
    blocked: dict[str, set[Port]] = {}
    for decision in decisions:
        if decision.ports and now - decision.ts < seconds:
            blocked.setdefault(decision.src, set()).update(decision.ports)
    return blocked


def source_rules(
    blocked: Mapping[str, set[Port]], action: Action, *, sids: Sids, before: Mapping[int, Rule], today: date
) -> Iterator[Rule]:
    """A rule per source and protocol. One that was there before keeps its id. RulesError where ids run out."""
    kept = {key: sid for sid, rule in before.items() if (key := _key(rule)) is not None}
    wanted = [(src, proto) for src in sorted(blocked) for proto in PROTOS if _numbers(blocked[src], proto)]
    taken = {kept[key] for key in wanted if key in kept}
    free = (sid for sid in sids.sources if sid not in taken)
    for src, proto in wanted:
        sid = kept.get((src, proto)) or next(free, None)
        if sid is None:
            raise RulesError(f"{len(wanted)} rules for sources, but {len(sids.sources)} ids; choose fewer --seconds")
        ports = _numbers(blocked[src], proto)
        yield make(
            action,
            f"{proto} {src} any -> $HOME_NET [{','.join(map(str, ports))}]",
            [*FIRST[proto], ("target", "dest_ip"), ("classtype", "network-scan")],
            msg=f"PORTKIN blocked source {src}",
            sid=sid,
            metadata={"created_at": day(today), "portkin_source": src},
        )


def _key(rule: Rule) -> tuple[str, str] | None:
    """(source, protocol) of a rule for a source."""
    for item in rule.metadata:
        name, _, value = item.partition(" ")
        if name == "portkin_source":
            return value, rule.header.split(" ", 1)[0]
    return None


def _numbers(ports: Iterable[Port], proto: str) -> list[int]:
    return sorted(port.number for port in ports if port.proto == proto)
