"""The three ways to a study: replay a table, learn and test on one recording, or replay labelled traces."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from portkin.errors import InputError
from portkin.table import Table
from portkin_training.history import History
from portkin_training.ingest.contacts import Contacts
from portkin_training.ingest.reading import Reading
from portkin_training.probes import open_probes
from portkin_training.replay import detection
from portkin_training.replay.baselines import BASELINES, Matrix
from portkin_training.replay.blocking import Replay, Sweep, replay
from portkin_training.replay.decisions import Decider, Decision, DecisionConfig
from portkin_training.replay.evaluate import held_out
from portkin_training.replay.events import By, Events, Grouper
from portkin_training.replay.inputs import is_capture, read_contacts, refuse_nothing
from portkin_training.replay.mawi import Labels, Matcher, read_labels
from portkin_training.replay.oracle import hindsight
from portkin_training.replay.predictors import matrix_of
from portkin_training.replay.study import Study, scans_of
from portkin_training.replay.suricata import RulesConfig, detect_by_rules
from portkin_training.replay.traces import Duplicates, Trace
from portkin_training.scans import ScanOptions

UNLEARNT = ("MySelf", "Euclidean")
"""Baselines that need no training probes."""
LONGEST_FOR_ORACLE = 2_000_000
"""Probes for which the hindsight oracle is still computed."""
NOTHING = History(np.empty(0, np.int64), np.empty(0, np.int64), np.empty(0, np.int64))


@dataclass(frozen=True)
class Options:
    """How to replay."""

    sweep: Sweep
    detector: detection.Name = "probe"
    by: By = "source"
    over: str = "days"
    decisions: bool = False
    levels: frozenset[str] = frozenset(("anomalous", "suspicious"))
    dedupe: bool = False


@dataclass
class Account:
    """What was read, what was wrong with it, and the decisions where they were asked for."""

    readings: list[Reading] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    decisions: list[Decision] = field(default_factory=list)


Watch = Callable[[str], None]


def _predictors(table: Table, learn: Sequence[Path], k: int) -> dict[str, Matrix]:
    """The table and the baselines; those that learn do so from the datasets `learn`, if any."""
    from portkin_training.history import read_history

    history = read_history(open_probes(*learn)) if learn else NOTHING
    wide = np.full((len(matrix := matrix_of(table)), max(k, table.k)), -1, np.int32)
    wide[:, : table.k] = matrix
    names = BASELINES if learn else UNLEARNT
    return {table.method: wide} | {name: BASELINES[name](history, max(1, k)) for name in names}


def _settings(inputs: Sequence[Path], options: Options, **more: object) -> dict[str, object]:
    return {
        "input": ", ".join(path.name for path in inputs),
        "detector": options.detector,
        "blocked by": options.by,
        "intervals over": options.over,
        **more,
    }


def _limit(events: Events, options: Options) -> float | None:
    k, window = options.sweep.headline
    ts, group, code = scans_of(events)
    return hindsight(History(ts, group, code), k, window) if 0 < len(ts) <= LONGEST_FOR_ORACLE and k else None


def study_table(
    inputs: Sequence[Path],
    table: Table,
    options: Options,
    account: Account,
    *,
    learn: Sequence[Path] = (),
    labels: Sequence[Path] = (),
) -> Study:
    """Replay a table over recordings held in memory, under any detector; labels, if any, say what is a scan."""
    parts = []
    for path in inputs:
        reading = Reading(str(path))
        account.readings.append(reading)
        parts.append(read_contacts(path, reading))
        account.problems += reading.problems
    refuse_nothing(account.readings)
    contacts = Contacts.concat(parts)
    order = np.argsort(contacts.ts, kind="stable") if len(parts) > 1 else slice(None)
    contacts = contacts[order]
    truth = _judged(contacts, labels, options, account) if labels else None
    k, window = options.sweep.headline
    if options.detector == "probe" and not options.decisions:
        detected = detection.all_probes(contacts)
    elif options.detector == "suricata":
        detected = detect_by_rules(contacts, table, RulesConfig(seconds=max(1, round(window))))
    else:
        decider = Decider(DecisionConfig(k=k, block_interval=window), table)
        detected = detection.detect(contacts, detection.configure(options.detector), decider)
        decider.close()
        account.decisions = decider.decisions
    events = detection.events_of(detected, Grouper(options.by), options.over, truth)  # type: ignore[arg-type]
    counts = {
        name: replay(events, matrix, options.sweep)
        for name, matrix in _predictors(table, learn, options.sweep.ks[-1]).items()
    }
    notes = []
    late = int(np.count_nonzero(np.diff(contacts.ts) < 0))
    if late:
        notes.append(f"{late:,} stamps lay before an earlier one and count as that moment.")
    if truth is None and options.detector != "probe":
        notes.append("Without labels the detector is believed: what it calls no probe stands in for benign traffic.")
    return Study(
        _settings(inputs, options, table=table.id, labels=", ".join(path.name for path in labels) or "none"),
        counts,
        _limit(events, options),
        tuple(notes),
    )


def _judged(contacts: Contacts, labels: Sequence[Path], options: Options, account: Account) -> np.ndarray:
    read = [read_labels(path) for path in labels]
    for part in read:
        account.problems += part.problems
    matcher = Matcher((label for part in read for label in part.labels), options.levels)
    return matcher.truth(contacts.ts, contacts.src, contacts.dst, contacts.sport, contacts.dport)


def study_held_out(
    inputs: Sequence[Path],
    methods: Sequence[str],
    options: Options,
    watch: Watch = lambda name: None,
) -> Study:
    """Learn the methods and every baseline from the first 80 % of probes datasets, and replay the rest."""
    if any(not path.is_dir() for path in inputs):
        raise InputError("what is learnt from must be probes datasets: make one with `portkin ingest`")
    found = held_out(
        open_probes(*inputs), methods, ScanOptions(), options.sweep, over=options.over, by=options.by, told=watch
    )
    k, window = options.sweep.headline
    oracle = hindsight(found.history, k, window) if k and len(found.history) <= LONGEST_FOR_ORACLE else None
    said = _settings(inputs, options, learnt="the first 80 % of the probes", tested="the rest, from nothing blocked")
    return Study(said, found.counts, oracle)


def labels_for(captures: Sequence[Path], labels: Sequence[Path]) -> dict[Path, Path]:
    """The labels of each capture. A folder, or several files, are searched for the one whose name begins with the
    capture's date (the eight digits its own name begins with)."""
    files = [
        file
        for path in labels
        for file in (sorted([*path.glob("*.csv"), *path.glob("*.xml")]) if path.is_dir() else [path])
    ]
    if len(files) == 1 and len(captures) == 1:
        return {captures[0]: files[0]}
    found = {}
    for capture in captures:
        date = re.match(r"\d{8}", capture.name)
        fitting = [file for file in files if date and file.name.startswith(date.group())]
        if not fitting:
            raise InputError(
                f"{capture}: no labels for it among {len(files)} file(s); their names must begin with the date of the "
                f"capture, as 20150902_anomalous_suspicious.csv goes with 201509021400.dump.gz"
            )
        found[capture] = fitting[0]
    return found


def study_traces(
    captures: Sequence[Path],
    labels: Sequence[Path],
    table: Table,
    options: Options,
    account: Account,
    *,
    learn: Sequence[Path] = (),
    watch: Watch = lambda name: None,
) -> Study:
    """Stream labelled captures through the replay, packet by packet, in bounded memory (paper 1, VI-D)."""
    k = options.sweep.ks[-1]
    runs: Mapping[str, Replay] = {
        name: Replay(matrix, options.sweep) for name, matrix in _predictors(table, learn, k).items() if name != "MySelf"
    }
    grouper = Grouper(options.by)
    levels: Counter[str] = Counter()
    duplicates = scans = 0
    for unit, (capture, file) in enumerate(labels_for(captures, labels).items()):
        watch(capture.name)
        read: Labels = read_labels(file)
        account.problems += read.problems
        levels.update(label.level for label in read.labels)
        scans += sum(label.scan and label.level in options.levels for label in read.labels)
        trace = Trace(
            capture,
            Matcher(read.labels, options.levels),
            Reading(str(capture)),
            Duplicates() if options.dedupe else None,
        )
        account.readings.append(trace.reading)
        for events in trace.events(grouper, unit):
            for run in runs.values():
                run.feed(events)
        account.problems += trace.reading.problems
        duplicates += trace.duplicates.found if trace.duplicates else 0
    refuse_nothing(account.readings)
    counts = {name: run.counts() for name, run in runs.items()}
    first, *others = counts
    late = next(iter(runs.values())).late
    settings = _settings(
        captures,
        options,
        table=table.id,
        labels=f"{sum(levels.values())} filters ({', '.join(f'{n} {level}' for level, n in sorted(levels.items()))}), "
        f"{scans} of them scans; {' and '.join(sorted(options.levels))} count",
        duplicates=f"{duplicates:,} dropped" if options.dedupe else "kept",
    )
    notes = ["TPR and FPR are of packets, as in the paper; packets of other anomalies count for neither."]
    if late:
        notes.append(f"{late:,} stamps lay before an earlier one and count as that moment.")
    return Study(
        settings | {"intervals over": "traces"},
        {first: counts[first], "MySelf": counts[first], **{name: counts[name] for name in others}},
        None,
        tuple(notes),
        {unit: path.name for unit, path in enumerate(captures)},
    )


def all_captures(inputs: Sequence[Path]) -> bool:
    """Whether every input is a capture."""
    return all(is_capture(path) for path in inputs)
