"""Replay a table over recordings held in memory, under any detector; labels, if any, say what is a scan."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from portkin.bundles.table import Table
from portkin.errors import listed
from portkin.net.ports import PORTS, Port
from portkin_training.core.dataset import is_dataset, manifest_digest
from portkin_training.core.groups import Grouper
from portkin_training.core.places import Place
from portkin_training.evaluation.by_source import BySource, after_the_first, replay_by_source
from portkin_training.evaluation.compared_with import frontiers_of, oracle_of, predictors_of
from portkin_training.evaluation.inputs import knows_answers, read_contacts, usable
from portkin_training.evaluation.label_files import nothing_labelled, truth_of_contacts
from portkin_training.evaluation.options import InputReport, ReplayOptions, extent_of, out_of_order, settings_of
from portkin_training.evaluation.results import ReplayResults
from portkin_training.evaluation.sentences import SAME_PROBES
from portkin_training.ingest.contacts import Contacts
from portkin_training.ingest.inputs import refuse_nothing
from portkin_training.ingest.reading import Reading
from portkin_training.replay.blocking import replay
from portkin_training.replay.events import SCAN, Events
from portkin_training.replay.events_of_contacts import events_of
from portkin_training.replay.frontier import KS
from portkin_training.replay.mawi.labels import Label
from portkin_training.replay.oracle import LONGEST
from portkin_training.twin.decisions import DecisionConfig, ProbeDecider
from portkin_training.twin.judged_contacts import all_probes, configure, detect
from portkin_training.twin.suricata_rules import RulesConfig, detect_by_rules, ports_of_table


def replay_table(
    inputs: Sequence[Place],
    table: Table,
    options: ReplayOptions,
    report: InputReport,
    *,
    learn: Sequence[Place] = (),
    labels: Sequence[Path] = (),
) -> ReplayResults:
    """Replay a table over recordings held in memory, under any detector; labels, if any, say what is a scan."""
    parts = []
    for path in inputs:
        reading = Reading(str(path))
        report.readings.append(reading)
        parts.append(read_contacts(path, reading, options.captures, answers=options.detector != "probe"))
        report.problems += reading.problems
    contacts = Contacts.concat(parts)
    refuse_nothing(report.readings, usable(report.readings, len(contacts)))
    order = np.argsort(contacts.ts, kind="stable") if len(parts) > 1 else slice(None)
    contacts = contacts[order]
    read: list[Label] = []
    truth = None
    if labels:
        truth, read = truth_of_contacts(dict(zip(inputs, parts, strict=True)), labels, options, report)
        truth = truth[order]
    k, window = options.sweep.headline
    if options.detector == "probe" and not options.decisions:
        detected = all_probes(contacts)
    elif options.detector == "suricata":
        config = options.rules.config if options.rules else RulesConfig(seconds=max(1, round(window)))
        detected = detect_by_rules(contacts, _protected(table, options), config)
    else:
        decider = ProbeDecider(DecisionConfig(k=k, min_chance=options.min_chance, block_interval=window), table)
        detected = detect(contacts, configure(options.detector), decider)
        decider.close()
        report.decisions = decider.decisions
    if truth is not None and options.detector == "probe":  # the labels say which sources are scanners
        detected = replace(detected, acted=detected.acted & (truth == SCAN))
    events = events_of(detected, Grouper(options.by), options.over, truth)
    if options.protection is not None:  # a probe of another port blocks nothing
        events = replace(events, act=events.act & options.protection.ports[events.code])
    most = max(options.sweep.ks[-1], KS[-1] if options.frontier else 0)
    predictors = predictors_of(table, learn, most, options)
    counts = {name: replay(events, matrix, options.sweep) for name, matrix in predictors.items()}
    frontiers = frontiers_of(events, table, predictors, options) if options.frontier else {}
    by_source = _by_source(events, table, options)
    if by_source is not None:
        counts = after_the_first(counts, by_source.counts)
        frontiers = after_the_first(frontiers, by_source.frontier) if frontiers else {}
    notes = []
    late = int(np.count_nonzero(contacts.ts < np.maximum.accumulate(contacts.ts)))
    if late:
        notes.append(out_of_order(late, len(contacts)))
    if truth is not None and not (truth == SCAN).any():
        notes.append(nothing_labelled(read, options))
    if any(_learnt_from(table, path) for path in inputs):
        notes.append(SAME_PROBES)
    if truth is None and options.detector != "probe":
        notes.append("Without labels the detector is believed: what it calls no probe stands in for benign traffic.")
    if options.detector != "probe" and (mute := [str(path) for path in inputs if not knows_answers(path)]):
        notes.append(
            f"{listed(mute)}: does not say which contacts were answered, or has none of those. Each counts as failed: "
            f"which clients are taken for scanners, and how much benign traffic is blocked, cannot be known from it."
        )
    seen = events.group[events.truth == SCAN]
    return ReplayResults(
        settings_of(
            inputs,
            options,
            **({} if options.rules else {"table": table.id}),
            labels=", ".join(path.name for path in labels) or "none",
            **extent_of(contacts.ts, len(np.unique(seen)) if options.by == "source" else None),
        ),
        counts,
        oracle_of(events, options),
        tuple(notes),
        frontiers=frontiers,
        reliability=() if options.rules else table.manifest.about.get("held_out", {}).get("reliability", ()),
        reliability_by_source=() if by_source is None else table.manifest.about["by_source"].get("reliability", ()),
        reliability_on="the probes held out when the table was built",
    )


def _by_source(events: Events, table: Table, options: ReplayOptions) -> BySource | None:
    """Predictions by source; None where the table has no model of them, what is blocked is no source, or there are more
    events than are held in memory with an answer each."""
    model = table.source_model
    if model is None or options.rules is not None or options.by != "source" or not 0 < len(events) <= LONGEST:
        return None
    return replay_by_source(
        model.learnt, table.rows, events, options.sweep, k=table.k, min_chance=options.min_chance,
        protected=None if options.protection is None else options.protection.ports,
    )  # fmt: skip


def _protected(table: Table, options: ReplayOptions) -> list[Port]:
    """The ports that rules protect: those of the table, of these the protected ones, or those of a file of rules."""
    if options.protection is None:
        return ports_of_table(table)
    protected = options.protection.ports
    ports = [Port(int(code) % PORTS, "udp" if code >= PORTS else "tcp") for code in np.flatnonzero(protected)]
    known = set(ports_of_table(table))
    return ports if options.rules else [port for port in ports if port in known]


def _learnt_from(table: Table, place: Place) -> bool:
    """Whether the table was learnt from this dataset."""
    made = {part.get("manifest_sha256") for part in table.manifest.about.get("inputs", ())}
    return is_dataset(place) and manifest_digest(place) in made
