"""Predictors compared at an equal number of blocks: recall and usefulness against the blocks that were issued.

Recall at an equal K favors the predictor that blocks more. A predictor with chances is cut at one chance after the
other, any other at one K after the other; between two points a site can mix, so recall there is interpolated linearly.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from portkin_training.core.port_codes import CODES
from portkin_training.replay.blocking import Sweep, replay
from portkin_training.replay.events import Events
from portkin_training.replay.metrics import columns, json_number

KS = tuple(range(17))
"""The K at which predictors without chances are tried; 0 blocks the probed port alone."""
CUTS = 24
"""How many cut-offs a predictor with chances is tried at, at most."""
Matrix = NDArray[np.int32]
Floats = NDArray[np.floating[Any]]
Ints = NDArray[np.int64]


@dataclass(frozen=True)
class Point:
    """What a predictor does at one setting: `k` nearest ports at most, each of a chance of `min_chance` or more.

    `recall` is the new-port recall, nan where no new port was reached; `usefulness` nan where nothing was blocked.
    """

    k: int
    min_chance: float
    blocks: int
    recall: float
    usefulness: float

    def as_dict(self) -> dict[str, Any]:
        """For JSON; an undefined ratio is null."""
        return asdict(self) | {"recall": json_number(self.recall), "usefulness": json_number(self.usefulness)}


def by_number(
    events: Events, matrix: Matrix, window: float, ks: Sequence[int] = KS, *, answers: Ints | None = None
) -> list[Point]:
    """A point for each K, ascending; `matrix` int32 (CODES, >= max K) and `answers` int64 (n,), as `replay.blocking`
    reads them."""
    counts = replay(events, matrix, Sweep(tuple(ks), (window,), (ks[0], window)), answers)
    found = []
    for k in ks:
        named = {name: float(column.sum()) for name, column in columns(counts, k, window).items()}
        found.append(
            Point(
                k, 0.0, int(named["blocks"]), _share(named["new_blocked"], named["new"]),
                _share(named["useful"], named["blocks"]),
            )
        )  # fmt: skip
    return found


def by_chance(
    events: Events,
    matrix: Matrix,
    chances: Floats,
    window: float,
    cutoffs: Sequence[float] | None = None,
    *,
    answers: Ints | None = None,
) -> list[Point]:
    """A point for each cut-off, from all that is cut down to nothing that is.

    `matrix` int32 (CODES, K) and `chances` float (CODES, K), descending along a row; more rows where `answers` int64
    (n,) says which of them each event has. Without `cutoffs` they are chosen so that the blocks grow evenly.
    """
    found = []
    # The other rows are never looked at, but for those after which a source goes on.
    asked = np.unique(events.code if answers is None else np.concatenate([events.code, answers]))
    cut = np.full_like(matrix, -1)
    if cutoffs is None:
        cutoffs = usual_cutoffs(events, matrix, chances, answers=answers)
    for cutoff in sorted(cutoffs, reverse=True):
        cut[asked] = cut_matrix(matrix[asked], chances[asked], cutoff)
        longest = int(np.max(np.flatnonzero((cut[asked] >= 0).any(axis=0)), initial=-1)) + 1  # the rest would cost time
        (point,) = by_number(events, cut, window, (longest,), answers=answers)
        found.append(Point(matrix.shape[1], cutoff, point.blocks, point.recall, point.usefulness))
    return found


def cut_matrix(matrix: Matrix, chances: Floats, cutoff: float) -> Matrix:
    """The entries that reach the cut-off: int32, of the shape of both, -1 elsewhere."""
    return np.where(chances >= cutoff, matrix, np.int32(-1))


def usual_cutoffs(
    events: Events, matrix: Matrix, chances: Floats, most: int = CUTS, *, answers: Ints | None = None
) -> list[float]:
    """Cut-offs, ascending, at which the number of entries that are asked for by these events grows by equal factors;
    1 as well, which cuts everything short of certainty. `matrix` and `chances` are (CODES, K), or have the rows that
    `answers` int64 (n,) names."""
    row = (events.code if answers is None else answers)[events.act]
    # At the first probe of each port by each group.
    _, first = np.unique(events.group[events.act] * CODES + events.code[events.act], return_index=True)
    asked = np.bincount(row[first], minlength=len(matrix))
    rows = np.flatnonzero(asked)
    here = matrix[rows] >= 0
    chance, weight = chances[rows][here], np.broadcast_to(asked[rows, None], here.shape)[here]
    order = np.argsort(-chance, kind="stable")
    reached = np.cumsum(weight[order])
    if not len(reached):
        return [1.0]
    wanted = np.geomspace(max(reached[-1] / 1000, 1), reached[-1], most - 1)
    at = np.minimum(np.searchsorted(reached, wanted), len(reached) - 1)
    # A little below the entries that they stand for, so that no rounding of a chance takes these out.
    cutoffs = chance[order][at] * (1 - 1e-5)
    return sorted({*(float(f"{cutoff:.6g}") for cutoff in cutoffs), 1.0})


def recall_at(points: Sequence[Point], blocks: float) -> float:
    """Recall at a number of blocks: by a straight line between the points on either side; at the ends, theirs."""
    ordered = sorted(points, key=lambda point: point.blocks)
    return float(np.interp(blocks, [point.blocks for point in ordered], [point.recall for point in ordered]))


def found_anything(points: Sequence[Point]) -> bool:
    """Whether there was a new port to find, so that a cut-off can be chosen."""
    return any(point.recall == point.recall for point in points)


def most_useful(points: Sequence[Point]) -> Point:
    """The point with the most useful blocks that predicts anything; of equals, the one that finds more."""
    some = [point for point in points if point.min_chance < 1] or list(points)
    return max(some, key=lambda point: (point.usefulness, point.recall))


def recommended(points: Sequence[Point], *, usefulness: float | None = None, blocks: float | None = None) -> Point:
    """Of a frontier by chance, the point that finds most of those at least as useful, or with at most so many blocks;
    where no point is, the most useful one, or the one with the fewest blocks."""
    if usefulness is not None:
        enough = [point for point in points if point.usefulness >= usefulness]
        otherwise = most_useful(points)
    else:
        enough = [point for point in points if blocks is None or point.blocks <= blocks]
        otherwise = min(points, key=lambda point: point.blocks)
    return max(enough, key=lambda point: (np.nan_to_num(point.recall), -point.blocks), default=otherwise)


def at_equal_blocks(frontiers: Mapping[str, Sequence[Point]], ks: Sequence[int] = (3, 10)) -> list[dict[str, Any]]:
    """What the first predictor finds with the blocks that each of the others issues with these K; those that predict
    nothing at any K are left out.

    ``limit`` is the recall of the hindsight oracle at as many blocks, ``by_source`` that of predictions by source,
    where the frontiers hold them.
    """
    first, *others = frontiers
    found = []
    for name in others:
        idle = min(point.blocks for point in frontiers[name])
        for point in frontiers[name]:
            if name in (ORACLE, BY_SOURCE) or point.min_chance or point.k not in ks or point.blocks == idle:
                continue
            ours = recall_at(frontiers[first], point.blocks)
            limit = recall_at(frontiers[ORACLE], point.blocks) if ORACLE in frontiers else float("nan")
            by_source = (
                {"by_source": json_number(recall_at(frontiers[BY_SOURCE], point.blocks))}
                if BY_SOURCE in frontiers
                else {}
            )
            found.append(
                {
                    "over": name,
                    "k": point.k,
                    "blocks": point.blocks,
                    "recall": json_number(ours),
                    **by_source,
                    "theirs": json_number(point.recall),
                    "ratio": json_number(_share(ours, point.recall)),
                    "limit": json_number(limit),
                }
            )
    return found


BY_SOURCE = "kin by source"
"""What the frontier of predictions by source (`by_source`) is called."""
ORACLE = "hindsight oracle"
"""What the frontier of `oracle.Hindsight.ranking` is called."""


def _share(part: float, of: float) -> float:
    return part / of if of else float("nan")
