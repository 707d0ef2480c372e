"""Held-out figures: methods and baselines learn from the first part of the probes and are replayed on the rest."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import ibis.expr.types as ir
import numpy as np

from portkin_training.core.groups import By
from portkin_training.core.history import History, read_history, within
from portkin_training.core.protocols import PROTO_NUMBERS
from portkin_training.replay.baselines import BASELINES, Matrix
from portkin_training.replay.blocking import ReplayCounts, Sweep, replay
from portkin_training.replay.events import Over, darknet_events, units_of
from portkin_training.replay.metrics import ReplayFigures, difference, figures, json_number
from portkin_training.replay.oracle import hindsight
from portkin_training.replay.predictors import matrix_of_rows
from portkin_training.tables.methods import METHODS
from portkin_training.tables.scans import ScanOptions

TRAINING = 0.8
"""The share of the probes that is learnt from."""
KS, WINDOW = (3, 10), 20_000.0
"""For which K, and for how many seconds of blocking, a table carries its figures."""


@dataclass(frozen=True)
class HeldOut:
    """Replays of the same held-out probes, by predictor; the methods first, then the baselines."""

    history: History
    counts: dict[str, ReplayCounts]

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
    over: Over = "days",
    by: By = "source",
    watch: Callable[[str], None] = lambda name: None,
) -> HeldOut:
    """Learn every method and baseline from the first `share` of the probes, and replay the rest.

    The rest starts with nothing blocked and nobody known. `watch` is called with each name before its turn.
    """
    wanted = probes.filter(probes.proto.isin([PROTO_NUMBERS[proto] for proto in options.protos]))
    history = read_history(wanted)
    earlier, later = history.divided(share)
    tested = later if by == "source" else read_history(wanted, by=by).divided(share)[1]
    training = within(wanted, history.spans(share))
    k = max(*KS, sweep.ks[-1])  # so that a table does not depend on what is asked of it
    events = replace(darknet_events(tested), unit=units_of(tested.ts, tested.group, over))
    counts = {}
    for name in (*methods, *BASELINES):
        watch(name)
        matrix: Matrix
        if name in METHODS:
            built = METHODS[name](training, options, k)
            matrix = matrix_of_rows({proto: part.rows for proto, part in built.items()}, k)
        else:
            matrix = BASELINES[name](earlier, k)
        counts[name] = replay(events, matrix, sweep)
    return HeldOut(tested, counts)


def figures_for_manifest(found: HeldOut, ks: Sequence[int] = KS, window: float = WINDOW) -> dict[str, Any]:
    """What a manifest says of it: per K, each predictor's figures, the limit, and how far the first method leads."""
    first, *others = found.counts
    entry: dict[str, Any] = {"training_share": TRAINING, "window": window, "probes": len(found.history)}
    for k in ks:
        at = found.figures(k, window)
        recall = {name: part.new_port_recall.value for name, part in at.items()}
        best = max(others, key=lambda name: np.nan_to_num(recall[name]))
        lead = difference(found.counts[first], found.counts[best], k, window, "new_port_recall")
        entry[f"k={k}"] = {
            "new_ports": at[first].new,
            "ceiling": at[first].as_dict()["ceiling"],
            "hindsight_oracle": json_number(hindsight(found.history, k, window)),
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


def held_out_figures(probes: ir.Table, method: str, options: ScanOptions) -> dict[str, Any]:
    """What the manifest of a table by `method` says of held-out probes: this method first, then the others."""
    sweep = Sweep((0, *KS), (WINDOW,), (KS[0], WINDOW))
    methods = (method, *(name for name in METHODS if name != method))
    return figures_for_manifest(held_out(probes, methods, options, sweep))
