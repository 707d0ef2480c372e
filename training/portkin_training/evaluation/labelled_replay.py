"""Replay labelled captures packet by packet, in memory that does not grow with them (paper 1, VI-D)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

from portkin.bundles.table import Table
from portkin_training.core.groups import Grouper
from portkin_training.core.places import Place
from portkin_training.evaluation.inputs import usable
from portkin_training.evaluation.label_files import (
    count_scans,
    date_of,
    labels_for,
    nothing_labelled,
    read_label_files,
)
from portkin_training.evaluation.options import (
    InputReport,
    ReplayOptions,
    Watch,
    out_of_order,
    predictors_of,
    settings_of,
)
from portkin_training.evaluation.results import ReplayResults
from portkin_training.ingest.inputs import refuse_nothing
from portkin_training.ingest.reading import Reading
from portkin_training.replay.blocking import Replay
from portkin_training.replay.mawi.labels import Label
from portkin_training.replay.mawi.matcher import Matcher
from portkin_training.replay.mawi.traces import Duplicates, Trace


def replay_labelled_captures(
    captures: Sequence[Path],
    labels: Sequence[Path],
    table: Table,
    options: ReplayOptions,
    report: InputReport,
    *,
    learn: Sequence[Place] = (),
    watch: Watch = lambda name: None,
) -> ReplayResults:
    """Stream labelled captures through the replay, packet by packet, in bounded memory (paper 1, VI-D)."""
    k = options.sweep.ks[-1]
    runs: Mapping[str, Replay] = {
        name: Replay(matrix, options.sweep)
        for name, matrix in predictors_of(table, learn, k, options).items()
        if name != "MySelf"
    }
    grouper = Grouper(options.by)
    every: list[Label] = []
    duplicates = rows = 0
    # In order of time, which their names tell: a packet that comes after later ones counts as now.
    captures = sorted(captures, key=lambda path: path.name) if all(map(date_of, captures)) else captures
    for unit, (capture, files) in enumerate(labels_for(captures, labels).items()):
        watch(capture.name)
        read = read_label_files(files, report)
        every += read
        trace = Trace(
            capture,
            Matcher(read, options.levels),
            Reading(str(capture)),
            Duplicates() if options.dedupe else None,
        )
        report.readings.append(trace.reading)
        for events in trace.events(grouper, unit):
            rows += len(events)
            for run in runs.values():
                run.feed(events)
        report.problems += trace.reading.problems
        duplicates += trace.duplicates.found if trace.duplicates else 0
    refuse_nothing(report.readings, usable(report.readings, rows))
    counts = {name: run.counts() for name, run in runs.items()}
    first, *others = counts
    late = next(iter(runs.values())).late
    levels = Counter(label.level for label in every)
    settings = settings_of(
        captures,
        options,
        table=table.id,
        labels=f"{len(every)} filters ({', '.join(f'{n} {level}' for level, n in sorted(levels.items()))}), "
        f"{count_scans(every, options)} of them scans; {' and '.join(sorted(options.levels))} count",
        duplicates=f"{duplicates:,} dropped" if options.dedupe else "kept",
    )
    notes = ["TPR and FPR are of packets, as in the paper; packets of other anomalies count for neither."]
    if late:
        notes.append(out_of_order(late, rows))
    if not counts[first].plain[:, 0].any():
        notes.append(nothing_labelled(every, options))
    return ReplayResults(
        settings | {"intervals over": "traces"},
        {first: counts[first], "MySelf": counts[first], **{name: counts[name] for name in others}},
        None,
        tuple(notes),
        {unit: path.name for unit, path in enumerate(captures)},
    )
