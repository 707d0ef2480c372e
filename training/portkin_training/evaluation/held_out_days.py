"""Held-out figures of a table from the counts of days: the earlier days are learnt from, the later ones replayed."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

from portkin_training.evaluation.held_out import SWEEP, TRAINING, Way, asked_of, everything_for_manifest, tried
from portkin_training.replay.baselines import euclidean
from portkin_training.replay.events import darknet_events
from portkin_training.tables.daily.counts import Day
from portkin_training.tables.daily.methods import METHODS, divided, ends_of_days, joined_samples
from portkin_training.tables.scans import ScanOptions


def held_out_days_figures(
    days: Sequence[Day], method: str, options: ScanOptions, k: int, half_life: float, usefulness: float | None = None
) -> dict[str, Any]:
    """As `held_out.held_out_figures`, of days: those before `held_out.TRAINING` of all probes are learnt from, and the
    samples of the rest are replayed, each day with sources of its own. Nothing where there is no later day.

    Of the baselines those take part that need no probes to learn from: the days hold counts.
    """
    earlier, later = divided(days, TRAINING)
    tested = joined_samples(later)
    if not earlier or not len(tested):
        return {}
    methods = (method, *(name for name in METHODS if name != method))

    def learn(name: str, long: int) -> Any:
        return METHODS[name](earlier, options, long, half_life, **asked_of(name, tested))

    ways: dict[str, Way] = {name: partial(learn, name) for name in methods}
    ways["Euclidean"] = partial(euclidean, tested[:0])
    found = tried(tested, joined_samples(earlier), darknet_events(tested), ways, SWEEP, k=k, ends=ends_of_days)
    dates = {"learnt_to": str(earlier[-1].date), "tried_from": str(later[0].date), "tried_to": str(later[-1].date)}
    return everything_for_manifest(found, usefulness) | dates
