"""Predictions by source on held-out probes: their frontier, what their chances are worth, and whether they ship."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from portkin.bundles.source_model import LearntFromSources
from portkin.bundles.table import Rows
from portkin.net.ports import Proto
from portkin_training.evaluation.reliability import reliability_by_source
from portkin_training.replay.blocking import ReplayCounts, Sweep, replay
from portkin_training.replay.by_source import answers_by_source
from portkin_training.replay.events import Events
from portkin_training.replay.frontier import BY_SOURCE, Point, by_chance, cut_matrix, recall_at
from portkin_training.tables.next_port.calibration import EVIDENCE
from portkin_training.tables.next_port.recorded import Recorded

TIMES = (1.1, 1.25, 1.5, 2.0, 3.0)
"""Multiples of the blocks that MySelf issues, at which a table and its model of sources are compared."""
WORTH = 1.05
"""How much more the model has to find than the table, on average over these blocks, to ship: less may be luck."""
OFF = 1.5
"""How far what the chances state may lie from what came true, as a factor, to ship: a cut-off is a chance."""


@dataclass(frozen=True, eq=False)
class BySource:
    """A replay of predictions by source; `reliability` as `calibration.reliability` gives it."""

    counts: ReplayCounts
    frontier: list[Point]
    reliability: list[dict[str, float]]


def replay_by_source(
    learnt: LearntFromSources,
    rows: Mapping[Proto, Rows],
    events: Events,
    sweep: Sweep,
    *,
    k: int,
    min_chance: float = 0.0,
    recorded: Recorded | None = None,
    protected: np.ndarray | None = None,
) -> BySource:
    """Replay events with an answer for each of them, `k` ports at most for the frontier; of ports that are
    `protected`, bool (CODES,), alone. Without `recorded` all of the horizon was to be seen."""
    window = sweep.headline[1]
    answers, asked = answers_by_source(learnt, rows, events, max(k, sweep.ks[-1]))
    matrix, chances = answers.matrix, answers.chances
    if protected is not None:
        matrix = np.where((matrix >= 0) & protected[matrix], matrix, np.int32(-1))
    counts = replay(events, cut_matrix(matrix, chances, min_chance), sweep, answers.row)
    frontier = by_chance(events, matrix[:, :k], chances[:, :k], window, answers=answers.row)
    return BySource(counts, frontier, reliability_by_source(answers, asked, window, recorded))


def comparison(frontiers: Mapping[str, Sequence[Point]]) -> list[dict[str, float]]:
    """What the first predictor, the table, and predictions by source find at `TIMES` the blocks of MySelf."""
    first = next(iter(frontiers))
    idle = min(point.blocks for point in frontiers[first])
    return [
        {
            "blocks": round(times * idle),
            "table": round(recall_at(frontiers[first], times * idle), 4),
            "by_source": round(recall_at(frontiers[BY_SOURCE], times * idle), 4),
        }
        for times in TIMES
    ]


def finds_more(compared: Sequence[Mapping[str, float]]) -> bool:
    """Whether predictions by source find `WORTH` times what the table finds, over all of the blocks compared."""
    table, ours = (sum(float(np.nan_to_num(at[name])) for at in compared) for name in ("table", "by_source"))
    return ours > 0 and ours >= WORTH * table


def chances_hold(stated: float, observed: float) -> bool:
    """Whether chances may be acted upon, which stated that so many sources would come true of which so many did: with
    `EVIDENCE` that did, and neither `OFF` times the other."""
    return observed >= EVIDENCE and stated <= OFF * observed and observed <= OFF * stated


def recommends_less(cutoff: Mapping[str, Any], of_table: Mapping[str, Any]) -> bool:
    """Whether by its recommended cut-off the model does less than its table, as `held_out.cutoff_for_manifest` puts
    both: it finds less, or misses what was asked for, which the table reaches."""
    if not of_table["reached"]:
        return False
    ours, theirs = (float(np.nan_to_num(chosen["expected"]["recall"] or 0.0)) for chosen in (cutoff, of_table))
    return not cutoff["reached"] or ours < theirs


def by_source_for_manifest(
    frontiers: Mapping[str, Sequence[Point]],
    curve: Sequence[Mapping[str, float]],
    cutoff: Mapping[str, Any],
    of_table: Mapping[str, Any],
) -> dict[str, Any]:
    """What a manifest says of predictions by source on held-out probes, and whether they ship: where they find more, by
    the recommended `cutoff` no less than by the one `of_table`, and what they state comes true."""
    compared = comparison(frontiers)
    stated, observed = (round(sum(at["cases"] * at[name] for at in curve), 2) for name in ("stated", "observed"))
    more, hold = finds_more(compared), chances_hold(stated, observed)
    less = recommends_less(cutoff, of_table)
    return {
        "ships": more and hold and not less,
        "finds_more": more,
        "recommends_less": less,
        "chances": {"stated": stated, "observed": observed, "hold": hold},
        "equal_blocks": compared,
        "reliability": list(curve),
        "cutoff": dict(cutoff),
    }


def after_the_first(one: Mapping[str, Any], what: Any) -> dict[str, Any]:
    """A mapping by predictor, with what predictions by source have behind that of the first, their table."""
    first, *others = one
    return {first: one[first], BY_SOURCE: what, **{name: one[name] for name in others}}
