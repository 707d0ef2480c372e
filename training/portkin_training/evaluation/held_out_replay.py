"""Learn and test on one recording: methods and baselines learn from its first part and are replayed on the rest."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from portkin.errors import InputError
from portkin_training.core.dataset import is_dataset, open_probes
from portkin_training.core.engine import DUCKDB, Engine
from portkin_training.core.places import Place
from portkin_training.evaluation.held_out import held_out
from portkin_training.evaluation.options import ReplayOptions, Watch, extent_of, settings_of
from portkin_training.evaluation.results import ReplayResults
from portkin_training.tables.scans import ScanOptions


def replay_held_out(
    inputs: Sequence[Place],
    methods: Sequence[str],
    options: ReplayOptions,
    watch: Watch = lambda name: None,
    *,
    engine: Engine = DUCKDB,
) -> ReplayResults:
    """Learn the methods and every baseline from the first 80 % of probes datasets, and replay the rest.

    Raises InputError where an input is no probes dataset.
    """
    if not all(map(is_dataset, inputs)):
        raise InputError("what is learnt from must be probes datasets: make one with `portkin ingest`")
    found = held_out(
        open_probes(*inputs, engine=engine),
        methods,
        ScanOptions(),
        options.sweep,
        over=options.over,
        by=options.by,
        min_chance=options.min_chance,
        by_source=True,
        watch=watch,
    )
    k, _ = options.sweep.headline
    oracle = found.hindsight.recall(k) if k and found.hindsight is not None else None
    settings = settings_of(
        inputs, options, learnt="the first 80 % of the probes", tested="the rest, from nothing blocked"
    )
    if len(found.history):
        stamps, groups = found.history.ts, np.unique(found.history.group)
        settings |= extent_of(stamps, len(groups) if options.by == "source" else None)
    return ReplayResults(
        settings,
        found.counts,
        oracle,
        frontiers=found.frontiers,
        reliability=tuple(found.reliability),
        reliability_by_source=tuple(found.reliability_by_source),
    )
