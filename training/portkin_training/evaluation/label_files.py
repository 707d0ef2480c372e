"""Which label files belong to which capture, and what they say of contacts."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TypeVar

import numpy as np

from portkin.errors import InputError
from portkin_training.core.places import Place, name_of
from portkin_training.evaluation.options import InputReport, ReplayOptions
from portkin_training.ingest.contacts import Contacts
from portkin_training.replay.mawi.labels import Label, read_labels
from portkin_training.replay.mawi.matcher import Matcher

P = TypeVar("P", bound=Place)


def labels_for(captures: Sequence[P], labels: Sequence[Path]) -> dict[P, list[Path]]:
    """The label files of each capture: all those whose names begin with its date (eight digits). A folder stands for
    the files in it. What has no date in its name goes with whatever cannot be meant for another.

    Raises InputError for a capture without labels.
    """
    files = [
        file
        for path in labels
        for file in (sorted([*path.glob("*.csv"), *path.glob("*.xml")]) if path.is_dir() else [path])
    ]
    dates = {date_of(file) for file in files}
    found = {}
    for capture in captures:
        if date := date_of(capture):
            fitting = [file for file in files if date_of(file) in ({date, None} if len(captures) == 1 else {date})]
        else:
            fitting = files if len(dates) == 1 else []
        if not fitting:
            raise InputError(
                f"{capture}: no labels for it among {len(files)} file(s); their names must begin with the date of the "
                f"capture, as 20150902_anomalous_suspicious.csv goes with 201509021400.dump.gz"
            )
        found[capture] = fitting
    return found


def date_of(place: Place) -> str | None:
    """The date that a file name begins with, eight digits; None where it begins otherwise."""
    found = re.match(r"\d{8}", name_of(place))
    return found.group() if found else None


def read_label_files(files: Sequence[Path], report: InputReport) -> list[Label]:
    """The labels of all these files; what makes no sense is reported."""
    read = [read_labels(file) for file in files]
    report.problems += [problem for part in read for problem in part.problems]
    return [label for part in read for label in part.labels]


def count_scans(labels: Sequence[Label], options: ReplayOptions) -> int:
    """How many of the labels count as scans."""
    return sum(label.scan and label.level in options.levels for label in labels)


def nothing_labelled(labels: Sequence[Label], options: ReplayOptions) -> str:
    """What to say where no label that means a scan covers anything."""
    return (
        "Nothing here is covered by a label that means a scan "
        f"({count_scans(labels, options)} of {len(labels)} filters read do): do they belong to this recording?"
    )


def truth_of_contacts(
    parts: Mapping[Place, Contacts], labels: Sequence[Path], options: ReplayOptions, report: InputReport
) -> tuple[np.ndarray, list[Label]]:
    """What the contacts of each recording are by its own labels, uint8 (n,), recording after recording; and all
    labels."""
    truth, every = [], []
    for path, files in labels_for(list(parts), labels).items():
        part, read = parts[path], read_label_files(files, report)
        matcher = Matcher(read, options.levels)
        truth.append(matcher.truth(part.ts, part.src, part.dst, part.sport, part.dport))
        every += read
    return np.concatenate(truth), every
