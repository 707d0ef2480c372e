"""Held-out figures: methods and baselines learn from the first part of the probes and are replayed on the rest."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from functools import partial
from typing import Any

import ibis.expr.types as ir
import numpy as np

from portkin.bundles.table import Rows
from portkin.bundles.table_format import DEFAULT_K
from portkin.net.ports import Proto
from portkin_training.core.groups import By
from portkin_training.core.history import History, of_every_source, read_history, within
from portkin_training.core.protocols import PROTO_NUMBERS
from portkin_training.evaluation.by_source import by_source_for_manifest, replay_by_source
from portkin_training.evaluation.reliability import reliability_of
from portkin_training.replay.baselines import BASELINES, Matrix
from portkin_training.replay.blocking import ReplayCounts, Sweep, replay
from portkin_training.replay.events import Events, Over, darknet_events, units_of
from portkin_training.replay.frontier import (
    BY_SOURCE,
    ORACLE,
    Point,
    at_equal_blocks,
    by_chance,
    by_number,
    cut_matrix,
    found_anything,
    recommended,
)
from portkin_training.replay.frontier import KS as FRONTIER_KS
from portkin_training.replay.matrices import chances_of_rows, matrix_of_rows
from portkin_training.replay.metrics import ReplayFigures, difference, figures, json_number
from portkin_training.replay.oracle import LONGEST, Hindsight
from portkin_training.tables.methods import METHODS, WITH_CHANCES
from portkin_training.tables.next_port.by_source import FromSources, learn_from_sources
from portkin_training.tables.next_port.recorded import Recorded, ends_of_stamps
from portkin_training.tables.protocol_rows import ProtocolRows
from portkin_training.tables.scans import ScanOptions

TRAINING = 0.8
"""The share of the probes that is learnt from."""
KS, WINDOW = (3, 10), 20_000.0
"""For which K, and for how many seconds of blocking, a table carries its figures."""

SWEEP = Sweep((0, *KS), (WINDOW,), (KS[0], WINDOW))
MOST_TRIED = 500_000
"""Probes on which a table is tried: all methods, baselines and the oracle hold them in memory."""
ALLOWED = 0.89
"""The share of the paper's blocks that the default cut-off may issue: what K = 3 issued before tables had chances."""


@dataclass(frozen=True)
class HeldOut:
    """Replays of the same held-out probes, by predictor; the methods first, then the baselines.

    `frontiers` holds the points of each at the sweep's window, and those of the oracle last; `reliability` the curve
    of the first method that has chances, as `calibration.reliability` gives it, and `reliability_by_source` that of
    its predictions by source (`BY_SOURCE` among the predictors), where these were asked for; `hindsight` the best
    tables there could have been, None for more than `LONGEST` probes.
    """

    history: History
    counts: dict[str, ReplayCounts]
    frontiers: dict[str, list[Point]] = field(default_factory=dict)
    reliability: list[dict[str, float]] = field(default_factory=list)
    hindsight: Hindsight | None = None
    reliability_by_source: list[dict[str, float]] = field(default_factory=list)

    def figures(self, k: int, window: float) -> dict[str, ReplayFigures]:
        """The figures of every predictor at one K and one T (seconds)."""
        return {name: figures(counts, k, window) for name, counts in self.counts.items()}


def held_out(
    probes: ir.Table,
    methods: Sequence[str],
    options: ScanOptions,
    sweep: Sweep,
    *,
    share: float = TRAINING,
    k: int = DEFAULT_K,
    min_chance: float = 0.0,
    over: Over = "days",
    by: By = "source",
    by_source: bool = False,
    watch: Callable[[str], None] = lambda name: None,
) -> HeldOut:
    """Learn every method and baseline from the first `share` of the probes, and replay the rest.

    The rest starts with nothing blocked and nobody known. Methods with chances fill rows of `k` for the frontier, and
    are cut by `min_chance` otherwise. With `by_source` the first of them predicts by source as well, where sources are
    blocked and did enough to learn from. `watch` is called with each name before its turn.
    """
    wanted = probes.filter(probes.proto.isin([PROTO_NUMBERS[proto] for proto in options.protos]))
    history = read_history(wanted)
    earlier, later = history.divided(share)
    tested = later if by == "source" else read_history(wanted, by=by).divided(share)[1]
    training = within(wanted, history.spans(share))
    events = replace(darknet_events(tested), unit=units_of(tested.ts, tested.group, over))
    ways: dict[str, Way] = {
        name: partial(METHODS[name], training, options, **asked_of(name, tested)) for name in methods
    }
    ways |= {name: partial(BASELINES[name], earlier) for name in BASELINES}
    sources = partial(learn_from_sources, training, options) if by_source and by == "source" else None
    return tried(tested, earlier, events, ways, sweep, k=k, min_chance=min_chance, by_source=sources, watch=watch)


Way = Callable[[int], Matrix | Mapping[Proto, ProtocolRows]]
"""Learns the so many nearest ports of every port: a baseline's matrix, or the rows of a method."""


def asked_of(method: str, tested: History) -> dict[str, Any]:
    """How a method is asked for the rows alone that a replay of the tested history looks at."""
    return {"ports": np.unique(tested.code)} if method in WITH_CHANCES else {}


def tried(
    tested: History,
    earlier: History,
    events: Events,
    ways: Mapping[str, Way],
    sweep: Sweep,
    *,
    k: int,
    min_chance: float = 0.0,
    by_source: Callable[[], FromSources | None] | None = None,
    ends: Callable[[np.ndarray], np.ndarray] = ends_of_stamps,
    watch: Callable[[str], None] = lambda name: None,
) -> HeldOut:
    """Have each of the `ways`, by name, learn what it knows, and replay the events of the `tested` history.

    Those that are named in `WITH_CHANCES` fill rows of `k`; the others are the methods and baselines to compare with.
    `by_source` learns from sources, for predictions by source with the rows of the first of those. How soon predictions
    come true is read off the `earlier` history; `ends` says from stamps (n,) until when they were recorded, int64 (e,).
    """
    most = max(*KS, FRONTIER_KS[-1], sweep.ks[-1])  # so that a table does not depend on what is asked of it
    window = sweep.headline[1]
    counts: dict[str, ReplayCounts] = {}
    frontiers: dict[str, list[Point]] = {}
    curve: list[dict[str, float]] = []
    curve_by_source: list[dict[str, float]] = []
    for name, learn in ways.items():
        watch(name)
        if name in WITH_CHANCES:
            long = max(k, most)
            rows = _rows(learn(long))
            chances = chances_of_rows(rows, long)
            whole = matrix_of_rows(rows, long)
            matrix = cut_matrix(whole, chances, min_chance)
            frontiers[name] = by_chance(events, whole[:, :k], chances[:, :k], window)
            curve = curve or reliability_of(rows, k, tested, earlier, ends)
        else:
            found = learn(most)
            matrix = found if isinstance(found, np.ndarray) else matrix_of_rows(_rows(found), most)
            frontiers[name] = by_number(events, matrix, window)
        counts[name] = replay(events, matrix, sweep)
        if name in WITH_CHANCES and by_source is not None:
            watch(BY_SOURCE)
            of_sources, by_source = by_source(), None
            if of_sources is not None:
                seen = Recorded(ends(tested.ts), of_sources.within)
                found_by_source = replay_by_source(
                    of_sources.learnt, rows, events, sweep, k=k, min_chance=min_chance, recorded=seen
                )
                counts[BY_SOURCE], frontiers[BY_SOURCE] = found_by_source.counts, found_by_source.frontier
                curve_by_source = found_by_source.reliability
    best = None
    if len(tested) <= LONGEST:
        watch(ORACLE)
        best = Hindsight(tested, window)
        frontiers[ORACLE] = by_chance(events, *best.ranking(), window)
    return HeldOut(tested, counts, frontiers, curve, best, curve_by_source)


def _rows(found: Matrix | Mapping[Proto, ProtocolRows]) -> dict[Proto, Rows]:
    if isinstance(found, np.ndarray):
        raise TypeError("a method gives rows, not a matrix")
    return {proto: part.rows for proto, part in found.items()}


def figures_for_manifest(found: HeldOut, ks: Sequence[int] = KS, window: float = WINDOW) -> dict[str, Any]:
    """What a manifest records of it: per K, each predictor's figures, the limit, and how far the first method leads."""
    first, *others = (name for name in found.counts if name != BY_SOURCE)
    entry: dict[str, Any] = {"training_share": TRAINING, "window": window, "probes": len(found.history)}
    for k in ks:
        at = found.figures(k, window)
        recall = {name: part.new_port_recall.value for name, part in at.items()}
        best = max(others, key=lambda name: np.nan_to_num(recall[name]))
        lead = difference(found.counts[first], found.counts[best], k, window, "new_port_recall")
        entry[f"k={k}"] = {
            "new_ports": at[first].new,
            "ceiling": at[first].as_dict()["ceiling"],
            "hindsight_oracle": None if found.hindsight is None else json_number(found.hindsight.recall(k)),
            "lead": {"over": best, **{part: json_number(x) for part, x in asdict(lead).items()}},
            "predictors": {
                name: {
                    key: value
                    for key, value in part.as_dict().items()
                    if key in ("new_port_recall", "usefulness", "blocking_ratio", "hit_at_k", "mrr", "blocks")
                }
                for name, part in at.items()
            },
        }
    return entry


def held_out_figures(
    probes: ir.Table,
    method: str,
    options: ScanOptions,
    k: int,
    usefulness: float | None = None,
    *,
    by_source: bool = False,
    most: int = MOST_TRIED,
) -> dict[str, Any]:
    """What the manifest of a table of `k` neighbors by `method` says of held-out probes: this method first, then the
    others; where it has chances, the cut-off that `cutoff_for_manifest` chooses as well, under ``cutoff``.

    With `by_source` it says under ``by_source`` what predictions by source found, whether they ship, and their cut-off.
    Of more than `most` probes some sources take part, as many as come to that; ``sources`` says one in how many.
    """
    methods = (method, *(name for name in METHODS if name != method))
    every = max(1, -(-probes.count().to_pyarrow().as_py() // most))
    found = held_out(of_every_source(probes, every), methods, options, SWEEP, k=k, by_source=by_source)
    return everything_for_manifest(found, usefulness) | ({"sources": f"1 of {every}"} if every > 1 else {})


def everything_for_manifest(found: HeldOut, usefulness: float | None) -> dict[str, Any]:
    """All that `held_out_figures` says, of what was found with `SWEEP`."""
    chosen = cutoff_for_manifest(found, usefulness) if next(iter(found.counts)) in WITH_CHANCES else None
    return {
        **figures_for_manifest(found),
        **equal_blocks_for_manifest(found),
        **({} if chosen is None else {"cutoff": chosen}),
        **_by_source_for_manifest(found, usefulness),
    }


def _by_source_for_manifest(found: HeldOut, usefulness: float | None) -> dict[str, Any]:
    points = found.frontiers.get(BY_SOURCE)
    if points is None or not found_anything(points):
        return {}
    ours, of_table = (_cutoff_of(some, found, usefulness) for some in (points, next(iter(found.frontiers.values()))))
    return {"by_source": by_source_for_manifest(found.frontiers, found.reliability_by_source, ours, of_table)}


def equal_blocks_for_manifest(found: HeldOut) -> dict[str, Any]:
    """The frontiers, what the first method finds with the blocks of each of the others, and its reliability."""
    return {
        "equal_blocks": at_equal_blocks(found.frontiers, KS),
        "frontier": {name: [point.as_dict() for point in points] for name, points in found.frontiers.items()},
        **({"reliability": found.reliability} if found.reliability else {}),
    }


def cutoff_for_manifest(found: HeldOut, usefulness: float | None = None) -> dict[str, Any] | None:
    """The cut-off at which the first method finds most, and what is expected of it; None where no new port was reached.

    Its blocks are to be as useful as that or, where nothing is asked for, no more than `ALLOWED` of the
    paper's at K = 3; see `_blocks_allowed`. ``reached`` is false where no cut-off does that: then it is the one that
    comes closest.
    """
    points = next(iter(found.frontiers.values()))
    return _cutoff_of(points, found, usefulness) if found_anything(points) else None


def _cutoff_of(points: Sequence[Point], found: HeldOut, usefulness: float | None) -> dict[str, Any]:
    allowed = None if usefulness is not None else _blocks_allowed(found, min(point.blocks for point in points))
    point = recommended(points, usefulness=usefulness, blocks=allowed)
    reached = point.usefulness >= usefulness if usefulness is not None else allowed is None or point.blocks <= allowed
    return {
        "min_chance": point.min_chance,
        "usefulness_wanted": usefulness,
        "blocks_allowed": allowed,
        "reached": bool(reached),
        "expected": {name: point.as_dict()[name] for name in ("blocks", "recall", "usefulness")},
    }


def _blocks_allowed(found: HeldOut, least: int) -> int | None:
    """`ALLOWED` of what the paper's table issues at K = 3; of what Euclidean issues, where the paper's predicts so
    little that not even the `least` blocks, those of probed ports alone, keep within that. None where neither did."""
    allowed = None
    for name in ("shortest-path", "Euclidean"):
        for point in found.frontiers.get(name, ()):
            if point.k == KS[0]:
                allowed = int(ALLOWED * point.blocks)
        if allowed is not None and allowed >= least:
            break
    return allowed
