"""What a table in service does on a day that it has not learnt from: whether it has gone stale."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from portkin.bundles.table import Table
from portkin_training.core.history import History
from portkin_training.evaluation.held_out import WINDOW
from portkin_training.replay.baselines import euclidean
from portkin_training.replay.blocking import Sweep, replay
from portkin_training.replay.events import darknet_events
from portkin_training.replay.frontier import KS, by_number, cut_matrix, recall_at
from portkin_training.replay.matrices import chances_of_rows, matrix_of_rows
from portkin_training.replay.metrics import columns
from portkin_training.tables.daily.counts import Day
from portkin_training.tables.daily.methods import ends_of_days
from portkin_training.tables.next_port.calibration import Cases, how_soon
from portkin_training.tables.next_port.recorded import Recorded


@dataclass(frozen=True)
class DayFigures:
    """Of the first probes of a day (`daily.counts.SAMPLE`), each source new on it, as the table blocks by default.

    None where a figure is undefined: nothing new was reached, nothing blocked, or the table has no chances.
    """

    day: str
    table: str
    probes: int
    new_ports: int
    blocks: int
    recall: float | None
    usefulness: float | None
    euclidean_recall: float | None  # of Euclidean, with as many blocks
    expected_recall: float | None  # by the manifest, at the recommended cut-off
    chance_ratio: float | None  # what came true, over what the chances state

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return asdict(self)


def figures_of_day(table: Table, day: Day) -> DayFigures | None:
    """The figures of a table on a day; None where that has no probe of the counted protocols."""
    sample = day.next_port().sample
    if not len(sample):
        return None
    events = darknet_events(sample)
    most, cutoff = table.cut(table.k)
    matrix = matrix_of_rows(table.rows, most)
    if cutoff:
        matrix = cut_matrix(matrix, chances_of_rows(table.rows, most), cutoff)
    counts = replay(events, matrix, Sweep((most,), (WINDOW,), (most, WINDOW)))
    named = {name: int(column.sum()) for name, column in columns(counts, most, WINDOW).items()}
    new, blocks = named["new"], named["blocks"]
    near = recall_at(by_number(events, euclidean(sample[:0], KS[-1]), WINDOW), blocks) if new else None
    return DayFigures(
        day=str(day.date),
        table=table.id,
        probes=len(sample),
        new_ports=new,
        blocks=blocks,
        recall=named["new_blocked"] / new if new else None,
        usefulness=named["useful"] / blocks if blocks else None,
        euclidean_recall=near,
        expected_recall=table.manifest.about.get("cutoff", {}).get("expected", {}).get("recall"),
        chance_ratio=_chance_ratio(table, sample),
    )


def _chance_ratio(table: Table, sample: History) -> float | None:
    if table.horizon is None:
        return None
    ports = np.unique(sample.code)
    matrix = matrix_of_rows(table.rows, table.k)[ports].astype(np.int64)
    ends = ends_of_days(sample.ts)
    recorded = Recorded(ends, how_soon([sample], ports, matrix, ends))
    cases = Cases.of(sample, ports, matrix, table.horizon, recorded=recorded)
    stated = float((cases.trials * chances_of_rows(table.rows, table.k)[ports]).sum())
    return float(cases.successes.sum()) / stated if stated else None
