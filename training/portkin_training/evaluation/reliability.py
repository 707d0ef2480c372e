"""What came of the chances that were stated of held-out probes, as far as it was recorded what came of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np

from portkin.bundles.table import Rows
from portkin.net.ports import Proto
from portkin_training.core.history import History
from portkin_training.core.questions import AskedHistory
from portkin_training.replay.by_source import Answers
from portkin_training.replay.matrices import chances_of_rows, matrix_of_rows
from portkin_training.tables.next_port.by_source import came_after
from portkin_training.tables.next_port.calibration import Cases, how_soon, reliability
from portkin_training.tables.next_port.recorded import Recorded, ends_of_stamps


def reliability_of(
    rows: Mapping[Proto, Rows],
    k: int,
    tested: History,
    earlier: History,
    ends: Callable[[np.ndarray], np.ndarray] = ends_of_stamps,
) -> list[dict[str, float]]:
    """The reliability curve of rows with chances, `k` of each, on `tested` probes grouped by source; `earlier` ones say
    how soon chances come true, `ends` until when both were recorded: of stamps int64 (n,), int64 (e,)."""
    ports = np.unique(tested.code)
    matrix, chances = matrix_of_rows(rows, k)[ports].astype(np.int64), chances_of_rows(rows, k)[ports]
    seen = Recorded(ends(tested.ts), how_soon([earlier], ports, matrix, ends(earlier.ts)))
    return reliability(chances, Cases.of(tested, ports, matrix, recorded=seen))


def reliability_by_source(
    answers: Answers, asked: AskedHistory, horizon: float, recorded: Recorded | None = None
) -> list[dict[str, float]]:
    """What came of the chances that were stated as sources came to their second or a later port, as far as it
    was recorded; a source counts once."""
    chosen = np.flatnonzero(asked.new & (asked.probed > 1))
    history = asked.history
    row = np.flatnonzero(asked.probed > 1)
    at = len(answers.matrix) - len(row) + np.searchsorted(row, chosen)
    code, chance = answers.matrix[at], answers.chances[at].astype(np.float64)
    _, source, of = np.unique(history.group[chosen], return_inverse=True, return_counts=True)
    there = code >= 0
    came = np.zeros(code.shape)
    asked_at = np.repeat(chosen, there.sum(axis=1))
    came[there] = came_after(history, asked_at, code[there].astype(np.int64), horizon) < 1
    weight = np.where(there, 1 / of[source][:, None], 0.0)
    share = np.ones(len(chosen)) if recorded is None else recorded.share(history.ts[chosen])
    return reliability(chance, Cases(weight * share[:, None], weight * came))
