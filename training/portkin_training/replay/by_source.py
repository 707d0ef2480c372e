"""Predictions by source along events: an answer of its own for each of them, in batches."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from portkin.bundles.source_features import candidates
from portkin.bundles.source_model import LearntFromSources
from portkin.bundles.table import Rows
from portkin.bundles.table_format import DEFAULT_K
from portkin.net.ports import PORTS, PROTOS, Proto
from portkin_training.core.history import History
from portkin_training.core.port_codes import CODES
from portkin_training.core.questions import AskedHistory, source_rows
from portkin_training.replay.events import Events
from portkin_training.replay.matrices import chances_of_rows, matrix_of_rows

Ints = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Answers:
    """What is predicted at each event: `matrix` int32 (m, k), codes, likeliest first, -1 where there is none, the
    chance of each, `chances` float32 (m, k), 0 there, and `row` int64 (n,), which row answers each event."""

    matrix: NDArray[np.int32]
    chances: NDArray[np.float32]
    row: Ints


def answers_by_source(
    learnt: LearntFromSources, rows: Mapping[Proto, Rows], events: Events, k: int
) -> tuple[Answers, AskedHistory]:
    """The `k` likeliest ports at each event that is acted upon, and what was asked at these.

    A source that probed one port gets the table's row, as from `SourceModel.rank`. The first `CODES` rows of the
    answers are the table's, and events that are not acted upon have the row of their code.
    """
    acted = np.flatnonzero(events.act)
    history = History(np.maximum.accumulate(events.ts)[acted], events.group[acted], events.code[acted].astype(np.int64))
    order = np.argsort(history.group, kind="stable")
    asked = AskedHistory.of(history)
    several = asked.probed > 1
    place = np.cumsum(several) - 1
    matrix = np.full((CODES + np.count_nonzero(several), k), -1, np.int32)
    chances = np.zeros(matrix.shape, np.float32)
    matrix[:CODES], chances[:CODES] = matrix_of_rows(rows, k), chances_of_rows(rows, k)
    known = source_rows(rows, learnt.drawn)
    for proto, probe, questions in asked.questions(several):
        if proto not in known:
            continue
        had = candidates(known[proto], questions)
        chance = learnt.chances(had.features)
        best = np.lexsort((had.port, -chance, had.question))
        best = best[in_answers(had.question[best], had.fresh[best], max(k, DEFAULT_K))]
        question = had.question[best]
        rank = np.arange(len(best)) - np.searchsorted(question, question)
        best, question, rank = best[rank < k], question[rank < k], rank[rank < k]
        at = CODES + place[probe[question]]
        matrix[at, rank] = had.port[best] + PORTS * PROTOS.index(proto)
        chances[at, rank] = chance[best]
    row = events.code.astype(np.int64)
    row[acted[order[several]]] = CODES + place[several]
    return Answers(matrix, chances, row), asked


def in_answers(question: Ints, fresh: NDArray[np.bool_], most: int) -> NDArray[np.bool_]:
    """Which candidates, by `question` (r,), ascending, and by chance, stand in answers of `most` ports, bool (r,):
    `source_model.in_answer` of many questions at once."""
    began = question.searchsorted(question)

    def number(which: NDArray[np.bool_]) -> Ints:
        """How many candidates of the same question, up to each, are of these."""
        upto = which.cumsum()
        found: Ints = upto - np.where(began > 0, upto[began - 1], 0)
        return found

    first = np.arange(len(question)) - began < most // 2
    late = fresh & ~first
    kept = first | (late & (number(late) <= most - most // 2))
    left = most - number(kept)[question.searchsorted(question, side="right") - 1]
    found: NDArray[np.bool_] = kept | (~kept & (number(~kept) <= left))
    return found
