"""An answer by what a source did before, beside the lookup of a row in the same table, by processor time.

The table is the one that ships, with trees as many and as deep as are learnt; their values are made up, which changes
nothing of the work.
"""

from __future__ import annotations

import statistics
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from bench.figures import Figure, Size, script
from portkin.bundles.source_features import FEATURES, SourceRows
from portkin.bundles.source_model import LearntFromSources, SourceModel
from portkin.bundles.source_trees import Trees
from portkin.bundles.table import Table, default_table
from portkin.net.ports import PORTS, Port
from portkin_training.tables.next_port.boosting import DEPTH, BoostingOptions

ANSWERS: dict[Size, int] = {"smoke": 50, "small": 2_000, "full": 20_000}


def learnt_for(table: Table) -> LearntFromSources:
    """As much as is usually learnt, for the table."""
    rng = np.random.default_rng(0)
    trees = BoostingOptions().trees
    feature = rng.integers(0, len(FEATURES), (DEPTH, trees))
    value = rng.normal(0, 0.1, (trees, 1 << DEPTH))
    drawn = {proto: np.full(PORTS, -5.0, np.float32) for proto in table.rows}
    points = np.column_stack([np.linspace(-8, 0, 12), np.linspace(-9, -1, 12)])
    return LearntFromSources(Trees(-4.0, feature, rng.normal(0, 3, (DEPTH, trees)), value), points, drawn)


def model_of(table: Table) -> SourceModel:
    """A model of the usual size for the table."""
    learnt = learnt_for(table)
    rows = {
        proto: SourceRows.of(part.ports, part.neighbors, part.distances, learnt.drawn[proto])
        for proto, part in table.rows.items()
    }
    return SourceModel(learnt, rows, 20_000.0, 0.01)


def processor_time(call: Callable[[int], object], times: int) -> float:
    """Median processor seconds of a call."""
    spent = []
    for number in range(times):
        began = time.process_time_ns()
        call(number)
        spent.append(time.process_time_ns() - began)
    return statistics.median(spent) / 1e9


def measure(size: Size) -> Iterator[Figure]:
    """The median of many answers to different sources."""
    table = default_table()
    model, times = model_of(table), ANSWERS[size]
    rng = np.random.default_rng(1)
    asked = [rng.permutation(table.rows["tcp"].ports)[: 2 + number % 7].tolist() for number in range(500)]

    def by_source(number: int) -> object:
        recent = asked[number % len(asked)]
        return model.rank(recent, len(recent), 60.0, 32, 0.0)

    def by_row(number: int) -> object:
        return table.predicted(Port(asked[number % len(asked)][0], "tcp"), 32, 0.0)

    processor_time(by_source, 20)
    ours, theirs = processor_time(by_source, times), processor_time(by_row, times)
    yield Figure(
        "answer by source, processor time", ours, "s", "less", "row of the table", theirs, theirs / ours,
        n=times, note="median; some 100 candidates",
    )  # fmt: skip


if __name__ == "__main__":
    script(measure, __doc__)
