"""Findings: what was found, how bad it is, and what to do; and the verdict over all of them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal, get_args

from portkin.wording import amount

Level = Literal["ok", "skipped", "warning", "problem"]
"""From good to bad. ``skipped`` could not be looked at, as without privileges; it does not change the verdict."""
LEVELS: tuple[Level, ...] = get_args(Level)
STATUS: dict[Level, int] = {"ok": 0, "skipped": 0, "warning": 1, "problem": 2}
"""Exit statuses, as Nagios, Icinga and their kin read them: 0 OK, 1 WARNING, 2 CRITICAL."""


@dataclass(frozen=True)
class Finding:
    """One thing that was looked at."""

    code: str
    """Names the finding for programs, as ``zeek.refused``; the part before the dot is its subject."""
    level: Level
    what: str
    """What was found: one sentence, without its full stop."""
    remedy: str = ""
    """What to do; empty where there is nothing to do."""

    @property
    def subject(self) -> str:
        """What it is about, as ``zeek``."""
        return self.code.partition(".")[0]


def ok(code: str, what: str) -> Finding:
    """A finding that all is well."""
    return Finding(code, "ok", what)


def skipped(code: str, what: str, remedy: str = "") -> Finding:
    """A finding that something could not be looked at."""
    return Finding(code, "skipped", what, remedy)


def warning(code: str, what: str, remedy: str) -> Finding:
    """A finding that something works less well than it should."""
    return Finding(code, "warning", what, remedy)


def problem(code: str, what: str, remedy: str) -> Finding:
    """A finding that something does not work."""
    return Finding(code, "problem", what, remedy)


def verdict(findings: Iterable[Finding]) -> Level:
    """The worst level among the findings, ``ok`` where nothing is wrong."""
    worst: Level = "ok"
    for finding in findings:
        if LEVELS.index(finding.level) > LEVELS.index(worst):
            worst = finding.level
    return "ok" if worst == "skipped" else worst


def in_words(findings: Sequence[Finding]) -> str:
    """The verdict in a sentence."""
    problems, warnings = (sum(f.level == level for f in findings) for level in ("problem", "warning"))
    counted = " and ".join(amount(n, word) for n, word in ((problems, "problem"), (warnings, "warning")) if n)
    if problems:
        return f"Does not work: {counted}."
    return f"Works, with {counted}." if warnings else "Works."
