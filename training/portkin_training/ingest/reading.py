"""The report on reading one input: how much was used, what was left out and why, where it broke."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

LOOKS = 32
"""In how many lines that are none of its format a record of another one is looked for."""
NAMED = 5
"""How many bad rows of an input are named; all are counted."""


@dataclass
class Reading:
    """The report on one input; the reader fills it while it yields chunks.

    Attributes:
        path: the input as the user named it.
        kind: "pcap", "pcapng", "zeek-tsv", "csv", ...; "" until it is known.
        read: packets or rows read.
        probes: probes found in them.
        skipped: reason -> packets or rows that are no probe.
        bad: invalid rows; the first `NAMED` are in ``problems``.
        bad_reasons: what is wrong with them -> how many.
        problems: what was broken, each a sentence with file and offset or line; everything else is kept.
        notes: what was taken for granted, for people: columns that were guessed, local times, years.
        month: year and month of the last stamp that named no year, where the first one's year was given.
        yearless: whether times so far named no year.
        foreign: which other format a line is of that is none of this one; None for none.
        position: how many bytes of the file (compressed, if it is) have been read so far.
        taken: is given all bytes that are read of a capture that is not compressed, in pieces (n,) uint8, which do not
            change until the future is done; None where nobody asks.
    """

    path: str
    kind: str = ""
    read: int = 0
    probes: int = 0
    skipped: Counter[str] = field(default_factory=Counter)
    bad: int = 0
    bad_reasons: Counter[str] = field(default_factory=Counter)
    problems: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    month: tuple[int, int] | None = None
    yearless: bool = False
    foreign: Callable[[str], str | None] = field(default=lambda text: None, repr=False)
    position: Callable[[], int] = field(default=lambda: 0, repr=False)
    taken: Callable[[NDArray[np.uint8]], Future[None]] | None = field(default=None, repr=False)
    _looks: int = field(default=0, repr=False)

    def problem(self, where: str, what: str) -> None:
        """Add a problem."""
        self.problems.append(f"{self.path}: {where}: {what}")

    def note(self, what: str) -> None:
        """Add a note."""
        self.notes.append(f"{self.path}: {what}")

    def bad_row(self, where: str, what: str, reason: str | None = None) -> None:
        """Count an invalid row by its reason (``what``, where none is given), and name it if it is among the first."""
        self.bad += 1
        self.bad_reasons[reason or what] += 1
        if self.bad <= NAMED:
            self.problem(where, what)

    def note_foreign(self, line: int, text: str) -> bool:
        """Note a line if it is a record of another format; whether it is."""
        name = self.foreign(text)
        if name is not None:
            self.note(
                f"line {line} is a record of {name}, and others may be: to have them too, ingest the file once more "
                f"with --format {name} --append --again"
            )
        return name is not None

    def look_at(self, line: int, text: str) -> None:
        """`note_foreign` for the first few lines that are no records of this format, until one is noted."""
        if self._looks < LOOKS:
            self._looks = LOOKS if self.note_foreign(line, text) else self._looks + 1

    def account(self) -> dict[str, Any]:
        """What became of the rows, for JSON."""
        return {
            "read": self.read,
            "probes": self.probes,
            "skipped": dict(self.skipped.most_common()),
            "bad": self.bad,
            "bad_reasons": dict(self.bad_reasons.most_common()),
            "problems": self.problems,
            "notes": self.notes,
        }

    def nothing_usable(self) -> str:
        """A sentence that says what became of the rows of an input without a probe."""
        if self.kind == "empty":
            return f"{self.path}: is empty"
        counts = (self.skipped + self.bad_reasons).most_common(4)
        what = "packets" if self.kind.startswith(("pcap", "erf")) else "rows"
        why = ", ".join(f"{count:,} {reason}" for reason, count in counts)
        of = f"{self.read:,} {what} of {self.kind or 'no known kind'}"
        return f"{self.path}: no probe in {of}{f' ({why})' if why else ''}"
