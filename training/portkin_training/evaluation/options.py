"""What every replay shares: its options, and what is reported of its inputs."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from portkin_training.core.groups import By
from portkin_training.core.places import Place, name_of
from portkin_training.evaluation.protection import Protection, RulesFile
from portkin_training.ingest.captures.options import CaptureOptions
from portkin_training.ingest.reading import Reading
from portkin_training.replay.blocking import Sweep
from portkin_training.replay.events import Over
from portkin_training.twin.decisions import ProbeDecision
from portkin_training.twin.judged_contacts import DetectorName


@dataclass(frozen=True)
class ReplayOptions:
    """How to replay.

    Attributes:
        sweep: the K and the block times.
        detector: who is a scanner.
        by: what is blocked as one: a source, or a source at one destination.
        over: what the bootstrap draws.
        decisions: whether the decisions are kept for printing.
        levels: the MAWILab labels that count.
        min_chance: the chance from which a port of the table is blocked; 0 cuts nothing.
        protection: the ports that are protected; None: all.
        rules: the rules that are replayed; None: a table.
        frontier: whether predictors are compared at equal blocks, where the events fit in memory.
        dedupe: whether TCP segments that come twice are dropped.
        captures: how captures are read.
    """

    sweep: Sweep
    detector: DetectorName = "probe"
    by: By = "source"
    over: Over = "days"
    decisions: bool = False
    levels: frozenset[str] = frozenset(("anomalous", "suspicious"))
    dedupe: bool = False
    captures: CaptureOptions = CaptureOptions()  # noqa: RUF009  (immutable)
    min_chance: float = 0.0
    protection: Protection | None = None
    rules: RulesFile | None = None
    frontier: bool = False


@dataclass
class InputReport:
    """What was read, what was wrong with it, and the decisions where they were asked for; a replay fills it."""

    readings: list[Reading] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    decisions: list[ProbeDecision] = field(default_factory=list)


Watch = Callable[[str], None]
"""Called with the name of each predictor or capture before its turn."""


def settings_of(inputs: Sequence[Place], options: ReplayOptions, **more: object) -> dict[str, object]:
    """What a report prints of how it was made."""
    return {
        "input": ", ".join(map(name_of, inputs)),
        "detector": options.detector,
        "blocked by": options.by,
        **({"cut-off": f"{options.min_chance:g}"} if options.min_chance else {}),
        **({"protected": options.protection.named} if options.protection else {}),
        "intervals over": options.over,
        **more,
    }


def extent_of(stamps: NDArray[np.int64], sources: int | None = None) -> dict[str, object]:
    """What a report prints of when a recording was made, from its contacts' stamps in us, (n,), and
    of how many sources."""
    probed = {} if sources is None else {"sources": f"{sources:,} that probed"}
    if not len(stamps):
        return {"recorded": "no contacts", **probed}
    ends = stamps.min(), stamps.max()
    begin, end = (str(np.datetime64(int(stamp), "us").astype("datetime64[s]")).replace("T", " ") for stamp in ends)
    return {"recorded": f"{begin} to {end} UTC", **probed}


def out_of_order(late: int, rows: int) -> str:
    """A note on rows whose timestamps run backwards."""
    note = f"{late:,} of {rows:,} timestamps are out of order; each counts as the latest one before it."
    return note if late < rows / 100 else f"{note} With so many, the figures are meaningless: fix the timestamps."
