"""What a table, or rules, are compared with in a replay: the baselines, at equal blocks, and the hindsight oracle."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from portkin.bundles.table import Table
from portkin_training.core.dataset import open_probes
from portkin_training.core.history import History, read_history
from portkin_training.core.places import Place
from portkin_training.evaluation.options import ReplayOptions
from portkin_training.replay.baselines import BASELINES, Matrix
from portkin_training.replay.events import Events, probes_of
from portkin_training.replay.frontier import KS, ORACLE, Point, by_chance, by_number
from portkin_training.replay.matrices import chances_of_rows, matrix_of_rows
from portkin_training.replay.oracle import LONGEST, Hindsight

RULES = "rules"
"""What a predictor is called that is a file of rules."""
UNLEARNT = ("MySelf", "Euclidean")
"""Baselines that need no training probes."""
NOTHING = History(np.empty(0, np.int64), np.empty(0, np.int64), np.empty(0, np.int64))


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
