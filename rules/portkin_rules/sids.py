"""Signature ids: a fixed id for every rule, so that a port keeps its ids however often the rules are built."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from portkin.errors import RulesError
from portkin.net.ports import PORTS, Port, Proto
from portkin_rules.rule import read_rules

LOCAL = range(1_000_000, 2_000_000)
"""The ids reserved for local rules."""
DEFAULT_BASE = 1_500_000
_CODES = 2 * PORTS
_BLOCK, _PREDICTION, _NEW_PORT, _COUNT = 0, _CODES, 2 * _CODES, 3 * _CODES
_ANSWER, _PASS_LIST, _SOURCES, _END = _COUNT + 300, 394_000, 395_000, 400_000


@dataclass(frozen=True)
class Sids:
    """The ids from ``base`` on: three per port, some for rules without a port, 5,000 for single sources."""

    base: int = DEFAULT_BASE

    def __post_init__(self) -> None:
        """Raise RulesError if the ids leave the range of local rules."""
        last = LOCAL.stop - _END
        if not LOCAL.start <= self.base <= last:
            raise RulesError(
                f"sid base {self.base}: {_END} ids from there leave the range of local rules "
                f"({LOCAL.start}-{LOCAL.stop - 1}); choose one from {LOCAL.start} to {last}"
            )

    @property
    def all(self) -> range:
        """Every id that the rules may use."""
        return range(self.base, self.base + _END)

    def block(self, port: Port) -> int:
        """The rule that blocks a port."""
        return self.base + _BLOCK + _code(port)

    def prediction(self, port: Port) -> int:
        """The rule by which a scanner's probe blocks the port and its nearest."""
        return self.base + _PREDICTION + _code(port)

    def new_port(self, port: Port) -> int:
        """The rule for a source's first probe of a UDP port."""
        return self.base + _NEW_PORT + _code(port)

    def new_port_group(self, number: int, last: int) -> int:
        """The rule for a source's first probe of a group of TCP ports, at most 128 in each of 24 ranges."""
        return self.base + _NEW_PORT + 128 * number + last

    def count(self, number: int, proto: Proto) -> int:
        """The rules that count contacts and find scanners, at most 100 for TCP, 200 for UDP."""
        return self.base + _COUNT + number + (100 if proto == "udp" else 0)

    def answer(self, number: int, proto: Proto) -> int:
        """The rules for the answers to contacts, at most 200 per protocol."""
        return self.base + _ANSWER + number + (200 if proto == "udp" else 0)

    def pass_list(self, number: int) -> int:
        """The rules of the pass list. Raises RulesError if there are too many."""
        if number >= _SOURCES - _PASS_LIST:
            raise RulesError(f"the pass list needs more than {_SOURCES - _PASS_LIST} rules; merge its networks")
        return self.base + _PASS_LIST + number

    @property
    def sources(self) -> range:
        """The rules for single sources."""
        return range(self.base + _SOURCES, self.base + _END)


def _code(port: Port) -> int:
    return port.number + (PORTS if port.proto == "udp" else 0)


def refuse_used_sids(sids: Iterable[int], existing: Iterable[Path], *, but: Path) -> None:
    """Check that no file other than ``but`` has a rule with one of these ids. A folder stands for its ``*.rules``.

    Raises RulesError, with the file and the first of the ids, if one has.
    """
    ours = set(sids)
    for named in existing:
        files = sorted(named.rglob("*.rules")) if named.is_dir() else [named]
        for file in files:
            if file.resolve() == but.resolve():
                continue
            used = sorted(ours.intersection(rule.sid for rule in read_rules(file)))
            if used:
                raise RulesError(
                    f"{file}: {len(used)} of its signature ids are also ours, the first is {used[0]}; "
                    "choose another range with --sid-base"
                )
