"""Plain rules per source, from the decisions in Zeek's portkin.log.

For sites that deploy files only: they use no bits and no sockets. Each change needs a reload, and a block ends only
when the rules are generated again.
"""

from __future__ import annotations

import gzip
import ipaddress
import re
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path

from suricataparser.rule import Rule

from portkin.errors import PortError, RulesError
from portkin.json_text import parsed
from portkin.net.ports import PROTOS, Port
from portkin_rules.packets import FIRST_PACKET
from portkin_rules.plan import Action
from portkin_rules.rule import metadata_date, new_rule, reason
from portkin_rules.sids import Sids


@dataclass(frozen=True)
class Decision:
    """A decision in portkin.log: its time, the source, and the ports to block for it."""

    ts: float
    """Seconds since 1970."""
    src: str
    ports: tuple[Port, ...]


def ignore_warning(text: str) -> None:
    """The default for ``warn``: discards the warning."""


@dataclass
class _Header:
    """What the header of a TSV log says about its lines; the defaults are Zeek's."""

    fields: Sequence[str] = ()
    separator: str = "\t"
    set_separator: str = ","
    empty_field: str = "(empty)"
    unset_field: str = "-"

    def read(self, line: str) -> None:
        """Take over a line that begins with ``#``."""
        if line.startswith("#separator "):
            # Such as \x09: the one value that is escaped.
            self.separator = re.sub(r"\\x([0-9a-fA-F]{2})", lambda found: chr(int(found[1], 16)), line[11:]) or "\t"
            return
        name, *values = line[1:].split(self.separator)
        if name == "fields":
            self.fields = values
        elif name in ("set_separator", "empty_field", "unset_field"):
            setattr(self, name, self.separator.join(values))

    def row(self, line: str) -> dict[str, object]:
        """The fields of a line that are set. Raises ValueError if there are more or fewer than in the header."""
        values = line.split(self.separator)
        if not self.fields or len(values) != len(self.fields):
            raise ValueError(f"{len(values)} fields where the header names {len(self.fields)}")
        pairs = zip(self.fields, values, strict=True)
        row: dict[str, object] = {name: value for name, value in pairs if value != self.unset_field}
        kept = str(row.get("kept", self.empty_field))
        row["kept"] = [] if kept == self.empty_field else kept.split(self.set_separator)
        return row


def read_decisions(path: Path, warn: Callable[[str], None] = ignore_warning) -> Iterator[Decision]:
    """Yield the decisions of a portkin.log, TSV or JSON in any of Zeek's settings, also compressed with gzip.

    A last line without a newline is skipped, and ``warn`` is called: Zeek is still writing it, or was stopped. Such a
    line may look complete and name port 8 instead of 80.

    Raises RulesError for a file that cannot be read, and for a line that is not one of portkin.log, with its number.
    """
    head = _Header()
    try:
        with gzip.open(path, "rt", encoding="utf-8") if _is_gzip(path) else path.open(encoding="utf-8") as lines:
            for number, text in enumerate(lines, start=1):
                line = text.rstrip("\n")
                if line == text and not line.startswith("#"):
                    warn(f"{path}:{number}: the last line is incomplete and was skipped; Zeek may still be writing it")
                elif line.startswith("#"):
                    head.read(line)
                elif line:
                    try:
                        decision = _decision(parsed(line) if line[0] == "{" else head.row(line))
                    except (ValueError, KeyError, TypeError, OverflowError) as error:
                        raise RulesError(
                            f"{path}:{number}: not a line of portkin.log ({error}); name Zeek's own file"
                        ) from None
                    if decision is not None:
                        yield decision
    except EOFError:
        warn(f"{path}: the compressed data is incomplete, and its end was skipped; Zeek may still be writing it")
    except (OSError, UnicodeDecodeError, zlib.error) as error:
        raise RulesError(f"{path}: cannot be read ({reason(error)}); name Zeek's portkin.log") from None


def _is_gzip(path: Path) -> bool:
    with path.open("rb") as opened:
        return opened.read(2) == b"\x1f\x8b"


def _decision(row: Mapping[str, object]) -> Decision | None:
    # Zeek qualifies an enum with its module where that is not the module of the log.
    if str(row["kind"]).rpartition("::")[2] != "DECISION":
        return None
    src = str(ipaddress.ip_address(str(row["src"])))
    if "%" in src:
        raise ValueError(f"{src[:80]!r} has a zone, which a rule cannot express")
    kept = row.get("kept") or ()
    if not isinstance(kept, list | tuple):
        raise ValueError(f"kept is {str(kept)[:80]!r}, not a list of ports")
    # Zeek logs ports as bare numbers; the protocol of the whole line is in `proto`.
    proto = str(row.get("proto") or "tcp")
    try:
        ports = tuple(Port.parse(port if "/" in port else f"{port}/{proto}") for port in map(str, kept))
    except PortError as error:
        raise ValueError(str(error)) from None
    return Decision(_stamp(row["ts"]), src, ports)


_FIRST_MILLISECONDS = 1e11
"""From here on a number is milliseconds: as seconds it lies in the year 5138, as milliseconds in 1973."""


def _stamp(value: object) -> float:
    """Zeek's time in any of its formats: seconds or milliseconds (``JSON::TS_MILLIS``) since 1970, or ISO 8601."""
    try:
        stamp = float(str(value))
    except ValueError:
        return datetime.fromisoformat(str(value)).astimezone(UTC).timestamp()
    if stamp >= _FIRST_MILLISECONDS:
        stamp /= 1000
    if not 0 <= stamp < _FIRST_MILLISECONDS:
        raise ValueError(f"{str(value)[:80]!r} is not a time")
    return stamp


def active_blocks(decisions: Iterable[Decision], *, now: float, seconds: int) -> dict[str, set[Port]]:
    """The ports to block by source: of the decisions within ``seconds`` of ``now``, each port once.

    A decision dated further ahead than ``seconds`` comes from a wrong clock. It counts no more than one that is too
    old, since its rule would never end.
    """
    blocked: dict[str, set[Port]] = {}
    for decision in decisions:
        if decision.ports and abs(now - decision.ts) < seconds:
            blocked.setdefault(decision.src, set()).update(decision.ports)
    return blocked


def source_rules(
    blocked: Mapping[str, set[Port]], action: Action, *, sids: Sids, before: Mapping[int, Rule], today: date
) -> Iterator[Rule]:
    """Yield a rule per source and protocol. A source that has a rule in ``before`` keeps its signature id.

    Raises RulesError if there are more rules than signature ids.
    """
    kept = {key: sid for sid, rule in before.items() if (key := _key(rule)) is not None}
    wanted = [(src, proto) for src in sorted(blocked) for proto in PROTOS if _numbers(blocked[src], proto)]
    taken = {kept[key] for key in wanted if key in kept}
    free = (sid for sid in sids.sources if sid not in taken)
    for src, proto in wanted:
        sid = kept.get((src, proto)) or next(free, None)
        if sid is None:
            raise RulesError(
                f"{len(wanted)} rules for sources, but only {len(sids.sources)} signature ids; lower --seconds"
            )
        ports = _numbers(blocked[src], proto)
        yield new_rule(
            action,
            f"{proto} {src} any -> $HOME_NET [{','.join(map(str, ports))}]",
            [*FIRST_PACKET[proto], ("target", "dest_ip"), ("classtype", "network-scan")],
            msg=f"PORTKIN blocked source {src}",
            sid=sid,
            metadata={"created_at": metadata_date(today), "portkin_source": src},
        )


def _key(rule: Rule) -> tuple[str, str] | None:
    """Source and protocol of a rule that blocks a source; None for other rules."""
    for item in rule.metadata:
        name, _, value = item.partition(" ")
        if name == "portkin_source":
            return value, rule.header.split(" ", 1)[0]
    return None


def _numbers(ports: Iterable[Port], proto: str) -> list[int]:
    return sorted(port.number for port in ports if port.proto == proto)
