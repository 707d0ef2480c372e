"""Replay labelled captures packet by packet, in memory that does not grow with them (paper 1, VI-D)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from portkin.bundles.table import Table
from portkin_training.core.engine import DUCKDB, Engine
from portkin_training.core.fan_out import fan_out
from portkin_training.core.groups import Grouper
from portkin_training.core.places import Place
from portkin_training.evaluation.capture_rows import Asked, CaptureRows, are_apart, read_rows
from portkin_training.evaluation.compared_with import predictors_of
from portkin_training.evaluation.inputs import usable
from portkin_training.evaluation.label_files import (
    count_scans,
    date_of,
    labels_for,
    nothing_labelled,
    read_label_files,
)
from portkin_training.evaluation.options import InputReport, ReplayOptions, Watch, out_of_order, settings_of
from portkin_training.evaluation.results import ReplayResults
from portkin_training.ingest.inputs import refuse_nothing
from portkin_training.replay.blocking import Replay
from portkin_training.replay.mawi.labels import Label


def replay_labelled_captures(
    captures: Sequence[Path],
    labels: Sequence[Path],
    table: Table,
    options: ReplayOptions,
    report: InputReport,
    *,
    learn: Sequence[Place] = (),
    watch: Watch = lambda name: None,
    jobs: int = 1,
    engine: Engine = DUCKDB,
) -> ReplayResults:
    """Stream labelled captures through the replay, packet by packet, in bounded memory (paper 1, VI-D).

    With several `jobs`, or where the engine is Spark, captures are read side by side, one by a task, and what they
    come to is replayed together: the same figures. Captures that lie closer together than a block may last are
    replayed one after the other all the same.
    """
    k = options.sweep.ks[-1]
    runs: Mapping[str, Replay] = {
        name: Replay(matrix, options.sweep)
        for name, matrix in predictors_of(table, learn, k, options).items()
        if name != "MySelf"
    }
    # In order of time, which their names tell: a packet that comes after later ones counts as now.
    captures = sorted(captures, key=lambda path: path.name) if all(map(date_of, captures)) else captures
    labelled = {capture: read_label_files(files, report) for capture, files in labels_for(captures, labels).items()}
    every = [label for read in labelled.values() for label in read]
    played = None
    if len(labelled) > 1 and (jobs > 1 or engine.name == "spark"):
        played = _side_by_side(labelled, runs, options, report, watch, jobs, engine)
    rows, duplicates, late = played or _one_by_one(labelled, runs, options, report, watch)
    refuse_nothing(report.readings, usable(report.readings, rows))
    counts = {name: run.counts() for name, run in runs.items()}
    first, *others = counts
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


Played = tuple[int, int, int]
"""Rows, duplicates that were dropped, and late rows."""
Labelled = Mapping[Path, Sequence[Label]]
"""Captures in their order, each with its labels."""


def _one_by_one(
    labelled: Labelled, runs: Mapping[str, Replay], options: ReplayOptions, report: InputReport, watch: Watch
) -> Played:
    """Replay one capture after the other, chunk by chunk."""
    asked, grouper = Asked(options.by, options.levels, options.dedupe), Grouper(options.by)
    duplicates = rows = 0
    for unit, (capture, read) in enumerate(labelled.items()):
        watch(capture.name)
        trace = asked.trace(capture, str(capture), read)
        report.readings.append(trace.reading)
        for events in trace.events(grouper, unit):
            rows += len(events)
            for run in runs.values():
                run.feed(events)
        report.problems += trace.reading.problems
        duplicates += trace.duplicates.found if trace.duplicates else 0
    return rows, duplicates, next(iter(runs.values())).late


def _side_by_side(
    labelled: Labelled, runs: Mapping[str, Replay], options: ReplayOptions, report: InputReport, watch: Watch,
    jobs: int, engine: Engine,
) -> Played | None:  # fmt: skip
    """Read the captures side by side, and replay what they come to; None where they lie too close together for that."""
    asked = Asked(options.by, options.levels, options.dedupe)
    points = [
        (unit, capture.resolve(), str(capture), read, asked) for unit, (capture, read) in enumerate(labelled.items())
    ]
    found: dict[int, CaptureRows] = {}
    for one in fan_out(read_rows, points, jobs=jobs, engine=engine):
        found[one.place] = one
        watch(f"{len(found)} of {len(points)} captures read")
    captures = [found[unit] for unit in range(len(points))]
    if not are_apart(captures, int(options.sweep.windows_us[-1])):
        watch("one after the other: they lie closer together than a block may last")
        return None
    grouper = Grouper(options.by)
    for one in captures:
        report.readings.append(one.reading)
        report.problems += one.reading.problems
        if not one.rows:
            continue
        numbers = grouper.number(one.src, one.dst)
        events = replace(one.events, group=numbers[one.events.group])
        for run in runs.values():
            run.feed(events)
            run.add_benign(one.place, *one.benign, one.ports)
    return sum(one.rows for one in captures), sum(one.duplicates for one in captures), sum(one.late for one in captures)
