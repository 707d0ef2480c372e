"""The settings of a set of rules, checked before any rule is built."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal, get_args

from portkin.blocking.backends.host_bits import OUTSIDE
from portkin.bundles.table import Table, checked_chance
from portkin.errors import RulesError

Mode = Literal["autopilot", "hostbit", "both"]
Action = Literal["alert", "drop", "reject"]

YEAR = 31_536_000


@dataclass(frozen=True)
class Detector:
    """When a source is a scanner: at its ``count``-th new contact without an answer within ``seconds``.

    A contact is new if the source did not try that host, or that port, in the last ``memory`` seconds. TCP ports are
    distinguished by their group only (see `portkin.net.port_groups`). Half of the contacts before must be refused, or
    overdue for a second; an answered one forgives one of them (see `portkin_rules.scanners`). A source stops being a
    scanner ``memory`` seconds after its last probe of a protected port.
    """

    count: int = 10
    seconds: int = 300
    memory: int = 3600

    def __post_init__(self) -> None:
        """Raise RulesError for a setting out of range."""
        if not 2 <= self.count <= 64:
            raise RulesError(f"scan count {self.count}: choose 2 to 64 new contacts")
        _check_seconds("scan seconds", self.seconds)
        _check_seconds("memory", self.memory)


@dataclass(frozen=True)
class Plan:
    """What the rules do: block K nearest ports for so many seconds, who decides, and the action on a blocked packet.

    Of the K nearest those are blocked that have a chance of ``min_chance`` or more; None stands for the cut-off that
    the table recommends, if it does.
    """

    k: int = 3
    seconds: int = 20_000
    mode: Mode = "both"
    action: Action = "alert"
    detector: Detector = field(default_factory=Detector)
    min_chance: float | None = None

    def __post_init__(self) -> None:
        """Raise RulesError for a setting out of range."""
        if self.k < 1:
            raise RulesError(f"K = {self.k}: block at least the 1 nearest port (3 is the default)")
        _check_seconds("seconds", self.seconds)
        if self.min_chance is not None:
            checked_chance(self.min_chance)
        for name, value, known in (("mode", self.mode, Mode), ("action", self.action, Action)):
            if value not in get_args(known):
                raise RulesError(f"{name} {value!r}: choose one of {', '.join(get_args(known))}")

    @property
    def prefix(self) -> str:
        """The prefix of the bits that block. In autopilot mode nobody outside may set them, so they have another."""
        return "pkauto" if self.mode == "autopilot" else OUTSIDE

    @property
    def finds_scanners(self) -> bool:
        """Whether the rules themselves find scanners."""
        return self.mode != "hostbit"

    def cutoff(self, table: Table) -> float:
        """The chance from which a port of the table is blocked; 0 cuts nothing."""
        return table.cut(self.k, self.min_chance)[1]

    def cut(self, table: Table) -> Table:
        """The table with the entries alone that reach the plan's cut-off: from it the rules, and their twin, are made.

        Raises RulesError for a table with fewer nearest ports than K, CutoffError for one without chances to cut by.
        """
        if self.k > table.k:
            raise RulesError(f"K = {self.k}: table {table.id} holds {table.k} nearest ports; choose at most that many")
        return table.above(self.cutoff(table))


def _check_seconds(name: str, value: int) -> None:
    if not 1 <= value <= YEAR:
        raise RulesError(f"{name} {value}: choose 1 to {YEAR} (a year)")
