"""Signature ids: one place for every rule, so that a port keeps its id however often the rules are built."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from portkin.errors import RulesError
from portkin.net.ports import PORTS, Port, Proto
from portkin_rules.rule import read_rules

LOCAL = range(1_000_000, 2_000_000)
"""The ids set apart for local rules."""
DEFAULT_BASE = 1_500_000
_CODES = 2 * PORTS
_GATE, _KIN, _FRESH, _STEPS, _PASS, _SOURCES, _END = (0, _CODES, 2 * _CODES, 3 * _CODES, 394_000, 395_000, 400_000)


@dataclass(frozen=True)
class Sids:
    """The ids from ``base`` on: three per port, some for what has no port, 5,000 for single sources."""

    base: int = DEFAULT_BASE

    def __post_init__(self) -> None:
        """RulesError for a base whose range leaves that of local rules."""
        last = LOCAL.stop - _END
        if not LOCAL.start <= self.base <= last:
            raise RulesError(
                f"sid base {self.base}: {_END} ids from there leave the range of local rules "
                f"({LOCAL.start}-{LOCAL.stop - 1}); choose one from {LOCAL.start} to {last}"
            )

    @property
    def all(self) -> range:
        """Every id that may be used."""
        return range(self.base, self.base + _END)

    def gate(self, port: Port) -> int:
        """Of the rule that drops a port."""
        return self.base + _GATE + _code(port)

    def kin(self, port: Port) -> int:
        """Of the rule that blocks a probed port and its nearest."""
        return self.base + _KIN + _code(port)

    def fresh(self, port: Port) -> int:
        """Of the rule that notices a source's first probe of a UDP port."""
        return self.base + _FRESH + _code(port)

    def group(self, number: int, last: int) -> int:
        """Of the rule that notices a source's first probe of a group of TCP ports, at most 128 in each of 24 ranges."""
        return self.base + _FRESH + 128 * number + last

    def step(self, number: int, proto: Proto) -> int:
        """Of the rules that count, at most 100 a protocol."""
        return self.base + _STEPS + number + (100 if proto == "udp" else 0)

    def passing(self, number: int) -> int:
        """Of the rules that let pass. RulesError where there are too many."""
        if number >= _SOURCES - _PASS:
            raise RulesError(f"the pass list needs more than {_SOURCES - _PASS} rules; merge its networks")
        return self.base + _PASS + number

    @property
    def sources(self) -> range:
        """Of rules for single sources."""
        return range(self.base + _SOURCES, self.base + _END)


def _code(port: Port) -> int:
    return port.number + (PORTS if port.proto == "udp" else 0)


def refuse_collisions(sids: Iterable[int], existing: Iterable[Path], *, but: Path) -> None:
    """RulesError where a file other than ``but`` has a rule with one of these ids; folders stand for their *.rules."""
    ours = set(sids)
    for named in existing:
        files = sorted(named.rglob("*.rules")) if named.is_dir() else [named]
        for file in files:
            if file.resolve() == but.resolve():
                continue
            taken = sorted(ours.intersection(rule.sid for rule in read_rules(file)))
            if taken:
                raise RulesError(
                    f"{file}: {len(taken)} of its sids are ours too, the first is {taken[0]}; "
                    "choose another range with --sid-base"
                )
