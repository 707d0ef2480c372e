"""Networks that are never blocked, as pass rules.

A pass rule takes only what a gate could drop, so that every other packet of these networks is inspected as before:
SYNs, and first datagrams to protected UDP ports. Suricata's pass ends the actions of a packet, not its bits; so these
sources may be counted, but nothing of theirs is dropped.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from suricataparser.rule import Rule

from portkin.errors import RulesError
from portkin.net.ports import PROTOS, Port
from portkin_rules.generate import FIRST
from portkin_rules.rule import make, reason
from portkin_rules.sids import Sids

_PER_RULE = 100  # networks or ports: keeps a rule within what Suricata reads


def read_nets(path: Path) -> list[str]:
    """The networks of a file, one a line, ``#`` begins a comment. RulesError names the line that is none."""
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise RulesError(f"{path}: cannot be read ({reason(error)}); name a file with a network a line") from None
    nets = []
    for number, line in enumerate(lines, start=1):
        text = line.partition("#")[0].strip()
        if not text:
            continue
        try:
            nets.append(str(ipaddress.ip_network(text, strict=False)))
        except ValueError as error:
            raise RulesError(f"{path}:{number}: {text!r} is no network ({error}); write 192.0.2.0/24") from None
    return nets


def pass_rules(
    nets: Sequence[str], ports: Sequence[Port], *, sids: Sids, books: Mapping[str, object]
) -> Iterator[Rule]:
    """Rules that let the packets of these networks pass the gates of these ports."""
    number = 0
    for proto in PROTOS:
        numbers = [port.number for port in ports if port.proto == proto]
        if not numbers:
            continue
        # A SYN is worth nothing to other rules; a datagram is.
        targets = [["any"]] if proto == "tcp" else _parts(_ranges(numbers))
        for some_nets in _parts(nets):
            for target in targets:
                yield make(
                    "pass",
                    f"{proto} {_list(some_nets)} any -> $HOME_NET {_list(target)}",
                    FIRST[proto],
                    msg="PORTKIN never blocked",
                    sid=sids.passing(number),
                    metadata=books,
                )
                number += 1


def _list(items: Sequence[str]) -> str:
    return items[0] if len(items) == 1 else f"[{','.join(items)}]"


def _parts(items: Sequence[str]) -> list[Sequence[str]]:
    return [items[start : start + _PER_RULE] for start in range(0, len(items), _PER_RULE)]


def _ranges(numbers: Sequence[int]) -> list[str]:
    """Port numbers as Suricata lists them: ``53``, ``123:125``."""
    ordered = sorted(numbers)
    firsts = [n for before, n in zip([-2, *ordered], ordered, strict=False) if n != before + 1]
    lasts = [n for n, after in zip(ordered, [*ordered[1:], -2], strict=True) if after != n + 1]
    return [str(first) if first == last else f"{first}:{last}" for first, last in zip(firsts, lasts, strict=True)]
