"""The three ways to a study: replay a table, learn and test on one recording, or replay labelled traces."""

from __future__ import annotations

import hashlib
import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from portkin.bundles.manifest import MANIFEST
from portkin.bundles.table import Table
from portkin.errors import InputError
from portkin_training.core.groups import By, Grouper
from portkin_training.core.history import History
from portkin_training.core.probes import open_probes
from portkin_training.evaluation.held_out import held_out
from portkin_training.evaluation.inputs import is_capture, read_contacts, refuse_nothing
from portkin_training.evaluation.study import Study
from portkin_training.ingest.contacts import Contacts
from portkin_training.ingest.reading import Reading
from portkin_training.replay.baselines import BASELINES, Matrix
from portkin_training.replay.blocking import Replay, Sweep, replay
from portkin_training.replay.detection import events_of
from portkin_training.replay.events import SCAN, Events, probes_of
from portkin_training.replay.mawi.labels import Label, Matcher, read_labels
from portkin_training.replay.mawi.traces import Duplicates, Trace
from portkin_training.replay.oracle import hindsight
from portkin_training.replay.predictors import matrix_of_rows
from portkin_training.tables.scans import ScanOptions
from portkin_training.twin.decisions import Decider, Decision, DecisionConfig
from portkin_training.twin.detection import DetectorName, all_probes, configure, detect
from portkin_training.twin.suricata_rules import RulesConfig, detect_by_rules

UNLEARNT = ("MySelf", "Euclidean")
"""Baselines that need no training probes."""
LONGEST_FOR_ORACLE = 2_000_000
"""Probes for which the hindsight oracle is still computed."""
NOTHING = History(np.empty(0, np.int64), np.empty(0, np.int64), np.empty(0, np.int64))


@dataclass(frozen=True)
class Options:
    """How to replay."""

    sweep: Sweep
    detector: DetectorName = "probe"
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
    from portkin_training.core.history import read_history

    history = read_history(open_probes(*learn)) if learn else NOTHING
    names = BASELINES if learn else UNLEARNT
    return {table.method: matrix_of_rows(table.rows, max(k, table.k))} | {
        name: BASELINES[name](history, max(1, k)) for name in names
    }


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
    probes = probes_of(events)
    return hindsight(probes, k, window) if 0 < len(probes) <= LONGEST_FOR_ORACLE and k else None


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
    contacts = Contacts.concat(parts)
    refuse_nothing(account.readings, len(contacts))
    order = np.argsort(contacts.ts, kind="stable") if len(parts) > 1 else slice(None)
    contacts = contacts[order]
    read: list[Label] = []
    truth = None
    if labels:
        truth, read = _judged(dict(zip(inputs, parts, strict=True)), labels, options, account)
        truth = truth[order]
    k, window = options.sweep.headline
    if options.detector == "probe" and not options.decisions:
        detected = all_probes(contacts)
    elif options.detector == "suricata":
        detected = detect_by_rules(contacts, table, RulesConfig(seconds=max(1, round(window))))
    else:
        decider = Decider(DecisionConfig(k=k, block_interval=window), table)
        detected = detect(contacts, configure(options.detector), decider)
        decider.close()
        account.decisions = decider.decisions
    if truth is not None and options.detector == "probe":  # the labels say who is known for a scanner
        detected = replace(detected, acted=detected.acted & (truth == SCAN))
    events = events_of(detected, Grouper(options.by), options.over, truth)  # type: ignore[arg-type]
    counts = {
        name: replay(events, matrix, options.sweep)
        for name, matrix in _predictors(table, learn, options.sweep.ks[-1]).items()
    }
    notes = []
    late = int(np.count_nonzero(contacts.ts < np.maximum.accumulate(contacts.ts)))
    if late:
        notes.append(_out_of_time(late, len(contacts)))
    if truth is not None and not (truth == SCAN).any():
        notes.append(_unlabelled(read, options))
    if any(_learnt_from(table, path) for path in inputs):
        notes.append(
            "The table was learnt from these very probes: what it foretells of them says nothing about others. "
            "--held-out tries the method on probes it has not seen."
        )
    if truth is None and options.detector != "probe":
        notes.append("Without labels the detector is believed: what it calls no probe stands in for benign traffic.")
    return Study(
        _settings(inputs, options, table=table.id, labels=", ".join(path.name for path in labels) or "none"),
        counts,
        _limit(events, options),
        tuple(notes),
    )


def _learnt_from(table: Table, path: Path) -> bool:
    """Whether a dataset is one that the table was made of."""
    made = {part.get("manifest_sha256") for part in table.manifest.about.get("inputs", ())}
    return path.is_dir() and hashlib.sha256((path / MANIFEST).read_bytes()).hexdigest() in made


def _judged(
    parts: Mapping[Path, Contacts], labels: Sequence[Path], options: Options, account: Account
) -> tuple[np.ndarray, list[Label]]:
    """What the contacts of each recording are by its own labels, one after the other; and all the labels."""
    truth, every = [], []
    for path, files in labels_for(list(parts), labels).items():
        part, read = parts[path], _read_labels(files, account)
        matcher = Matcher(read, options.levels)
        truth.append(matcher.truth(part.ts, part.src, part.dst, part.sport, part.dport))
        every += read
    return np.concatenate(truth), every


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


def labels_for(captures: Sequence[Path], labels: Sequence[Path]) -> dict[Path, list[Path]]:
    """The label files of each capture: all those whose names begin with its date (eight digits). A folder stands for
    the files in it. What has no date in its name goes with whatever cannot be meant for another."""
    files = [
        file
        for path in labels
        for file in (sorted([*path.glob("*.csv"), *path.glob("*.xml")]) if path.is_dir() else [path])
    ]
    dates = {_date(file) for file in files}
    found = {}
    for capture in captures:
        if date := _date(capture):
            fitting = [file for file in files if _date(file) in ({date, None} if len(captures) == 1 else {date})]
        else:
            fitting = files if len(dates) == 1 else []
        if not fitting:
            raise InputError(
                f"{capture}: no labels for it among {len(files)} file(s); their names must begin with the date of the "
                f"capture, as 20150902_anomalous_suspicious.csv goes with 201509021400.dump.gz"
            )
        found[capture] = fitting
    return found


def _date(path: Path) -> str | None:
    found = re.match(r"\d{8}", path.name)
    return found.group() if found else None


def _read_labels(files: Sequence[Path], account: Account) -> list[Label]:
    read = [read_labels(file) for file in files]
    account.problems += [problem for part in read for problem in part.problems]
    return [label for part in read for label in part.labels]


def _scans(labels: Sequence[Label], options: Options) -> int:
    """How many of the labels count as scans."""
    return sum(label.scan and label.level in options.levels for label in labels)


def _unlabelled(labels: Sequence[Label], options: Options) -> str:
    """What to say where no label that means a scan covers anything."""
    return (
        f"Nothing here is covered by a label that means a scan ({_scans(labels, options)} of {len(labels)} filters "
        "read do): are they of this recording, and of its time?"
    )


def _out_of_time(late: int, rows: int) -> str:
    """What to say of rows whose stamps lay before an earlier one."""
    said = f"{late:,} of {rows:,} stamps lay before an earlier one and count as that moment."
    return said if late < rows / 100 else f"{said} With so many, the figures mean nothing: mend the stamps."


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
    every: list[Label] = []
    duplicates = rows = 0
    # In order of time, which their names tell: a packet that comes after later ones counts as now.
    captures = sorted(captures, key=lambda path: path.name) if all(map(_date, captures)) else captures
    for unit, (capture, files) in enumerate(labels_for(captures, labels).items()):
        watch(capture.name)
        read = _read_labels(files, account)
        every += read
        trace = Trace(
            capture,
            Matcher(read, options.levels),
            Reading(str(capture)),
            Duplicates() if options.dedupe else None,
        )
        account.readings.append(trace.reading)
        for events in trace.events(grouper, unit):
            rows += len(events)
            for run in runs.values():
                run.feed(events)
        account.problems += trace.reading.problems
        duplicates += trace.duplicates.found if trace.duplicates else 0
    refuse_nothing(account.readings)
    counts = {name: run.counts() for name, run in runs.items()}
    first, *others = counts
    late = next(iter(runs.values())).late
    levels = Counter(label.level for label in every)
    settings = _settings(
        captures,
        options,
        table=table.id,
        labels=f"{len(every)} filters ({', '.join(f'{n} {level}' for level, n in sorted(levels.items()))}), "
        f"{_scans(every, options)} of them scans; {' and '.join(sorted(options.levels))} count",
        duplicates=f"{duplicates:,} dropped" if options.dedupe else "kept",
    )
    notes = ["TPR and FPR are of packets, as in the paper; packets of other anomalies count for neither."]
    if late:
        notes.append(_out_of_time(late, rows))
    if not counts[first].plain[:, 0].any():
        notes.append(_unlabelled(every, options))
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
