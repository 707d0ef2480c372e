"""What every replay shares: its options, what is reported of its inputs, and its predictors."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from portkin.bundles.table import Table
from portkin_training.core.dataset import open_probes
from portkin_training.core.groups import By
from portkin_training.core.history import History, read_history
from portkin_training.core.places import Place, name_of
from portkin_training.evaluation.protection import Protection, RulesFile
from portkin_training.ingest.captures.options import CaptureOptions
from portkin_training.ingest.reading import Reading
from portkin_training.replay.baselines import BASELINES, Matrix
from portkin_training.replay.blocking import Sweep
from portkin_training.replay.events import Events, Over, probes_of
from portkin_training.replay.frontier import KS, ORACLE, Point, by_chance, by_number
from portkin_training.replay.oracle import LONGEST, Hindsight
from portkin_training.replay.predictors import chances_of_rows, matrix_of_rows
from portkin_training.twin.decisions import ProbeDecision
from portkin_training.twin.judged_contacts import DetectorName

RULES = "rules"
"""What a predictor is called that is a file of rules."""
UNLEARNT = ("MySelf", "Euclidean")
"""Baselines that need no training probes."""
NOTHING = History(np.empty(0, np.int64), np.empty(0, np.int64), np.empty(0, np.int64))


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


def predictors_of(table: Table, learn: Sequence[Place], k: int, options: ReplayOptions) -> dict[str, Matrix]:
    """The table, cut by `min_chance`, or the rules, and the baselines; those that learn do so from the datasets
    `learn`, if any. Of all of them what is protected remains.

    Each is int32 (CODES, >= k), as `replay.blocking` reads it. CutoffError for a table that has no chances to cut by.
    """
    if options.rules is None:
        first = {table.method: matrix_of_rows(table.above(options.min_chance).rows, max(k, table.k))}
    else:
        wider = max(0, k - options.rules.nearest.shape[1])
        first = {RULES: np.pad(options.rules.nearest, ((0, 0), (0, wider)), constant_values=-1)}
    history = read_history(open_probes(*learn)) if learn else NOTHING
    names = BASELINES if learn else UNLEARNT
    found = first | {name: BASELINES[name](history, max(1, k)) for name in names}
    if options.protection is None:
        return found
    return {name: options.protection.of(matrix) for name, matrix in found.items()}


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


def oracle_of(events: Events, options: ReplayOptions) -> float | None:
    """The hindsight oracle at the headline; None for too many probes, none, K = 0, or where not all is protected."""
    k, window = options.sweep.headline
    probes = probes_of(events)
    if not 0 < len(probes) <= LONGEST or not k or options.protection is not None:
        return None
    return Hindsight(probes, window).recall(k)


def frontiers_of(
    events: Events, table: Table, predictors: Mapping[str, Matrix], options: ReplayOptions
) -> dict[str, list[Point]]:
    """The frontier of the table and of each of the other `predictors`, int32 (CODES, >= k), and the oracle's last.

    None for more events than the oracle is computed for; no oracle where not all ports are protected.
    """
    if not 0 < len(events) <= LONGEST:
        return {}
    window = options.sweep.headline[1]
    first, *others = predictors
    matrix = matrix_of_rows(table.rows, table.k)
    if options.protection is not None:
        matrix = options.protection.of(matrix)
    if table.horizon is None or options.rules is not None:
        most = options.rules.nearest.shape[1] if options.rules is not None else table.k
        found = {first: by_number(events, predictors[first], window, range(min(most, KS[-1]) + 1))}
    else:
        found = {first: by_chance(events, matrix, chances_of_rows(table.rows, table.k), window)}
    for name in others:
        found[name] = by_number(events, predictors[name], window, range(min(predictors[name].shape[1], KS[-1]) + 1))
    if options.protection is None:
        found[ORACLE] = by_chance(events, *Hindsight(probes_of(events), window).ranking(), window)
    return found


def out_of_order(late: int, rows: int) -> str:
    """A note on rows whose timestamps run backwards."""
    note = f"{late:,} of {rows:,} timestamps are out of order; each counts as the latest one before it."
    return note if late < rows / 100 else f"{note} With so many, the figures are meaningless: fix the timestamps."
