"""MAWILab labels, read from the files as they are published.

A CSV of v1.1 names ten columns, each name but the first behind a space, and holds nine values a row: that of
`heuristic` is missing, so the row is read by position. Files of eight columns with a heuristic, as in circulation,
are read by name. An empty field, or `None`, stands for anything. The rows of one anomalyID are filters of which any
may match. The same in admd XML: an <anomaly> with the `type` of the label, the `value` of its numbers and taxonomy,
<from> and <to>, and in its <slice> one <filter> for each row.
"""

from __future__ import annotations

import csv
import ipaddress
import re
import xml.etree.ElementTree as ElementTree  # expat (since 2.4) refuses entities that grow out of hand
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from portkin.errors import InputError
from portkin.net.addresses import number_of
from portkin_training.replay.mawi.scan_labels import is_scan

ANYTHING = ("", "none", "*")
_NEVER_ENDS = np.iinfo(np.int64).max


@dataclass(frozen=True)
class Label:
    """One filter of one anomaly; None stands for anything. Timestamps in microseconds, both included."""

    anomaly: str
    src: int | None
    sport: int | None
    dst: int | None
    dport: int | None
    taxonomy: str
    heuristic: int | None
    level: str  # anomalous, suspicious, notice or benign
    first: int = 0
    last: int = _NEVER_ENDS

    @property
    def scan(self) -> bool:
        """Whether this anomaly is a scan over TCP or UDP ports."""
        return is_scan(self.taxonomy, self.heuristic)


@dataclass(frozen=True)
class Labels:
    """The labels of one file, and what in it made no sense (the line is left out)."""

    path: Path
    labels: tuple[Label, ...]
    problems: tuple[str, ...]


def read_labels(path: Path) -> Labels:
    """Read a CSV or XML file of labels.

    Raises:
        InputError: it cannot be read, or is neither.
    """
    try:
        text = path.read_text(encoding="utf-8", errors="replace")
    except OSError as error:
        raise InputError(f"{path}: {error.strerror}; name a MAWILab file, .csv or .xml") from error
    if text.lstrip("\ufeff \t\r\n").startswith("<"):
        return _read_xml(path, text)
    return _read_csv(path, text)


_LONGEST_LINE = 100_000
V1_1 = [
    "anomalyID",
    "srcIP",
    "srcPort",
    "dstIP",
    "dstPort",
    "taxonomy",
    "heuristic",
    "distance",
    "nbDetectors",
    "label",
]


def _read_csv(path: Path, text: str) -> Labels:
    # A quotation mark that stands alone must not swallow the lines after it, nor a line without an end stop the rest.
    lines = (line[:_LONGEST_LINE] for line in text.splitlines())
    rows = csv.reader(lines, skipinitialspace=True, quoting=csv.QUOTE_NONE)
    names = [name.strip().lstrip("\ufeff") for name in next(rows, [])]
    needed = {"anomalyID", "srcIP", "srcPort", "dstIP", "dstPort", "taxonomy", "label"}
    if not needed <= set(names):
        raise InputError(
            f"{path}: line 1 lacks {', '.join(sorted(needed - set(names)))}; "
            f"MAWILab's files begin with {','.join(V1_1)}"
        )
    without = [name for name in names if name != "heuristic"]
    labels, problems = [], []
    for line, row in enumerate(rows, start=2):
        row = [field.strip().strip('"') for field in row]
        if not any(row):
            continue
        if len(row) == len(names):
            named = dict(zip(names, row, strict=True))
        elif len(row) == len(without):
            named = dict(zip(without, row, strict=True))
        else:
            problems.append(
                f"{path}: line {line}: {len(row)} fields where {len(names)} or {len(without)} belong; left out"
            )
            continue
        try:
            labels.append(
                Label(
                    anomaly=named["anomalyID"].strip(),
                    src=_address(named["srcIP"]),
                    sport=_port(named["srcPort"]),
                    dst=_address(named["dstIP"]),
                    dport=_port(named["dstPort"]),
                    taxonomy=named["taxonomy"].strip(),
                    heuristic=_number(named.get("heuristic", "")),
                    level=_level(named["label"]),
                )
            )
        except ValueError as error:
            problems.append(f"{path}: line {line}: {error}; left out")
    return Labels(path, tuple(labels), tuple(problems))


def _read_xml(path: Path, text: str) -> Labels:
    try:
        root = ElementTree.fromstring(text)  # noqa: S314  (see the import)
    except ElementTree.ParseError as error:
        raise InputError(f"{path}: line {error.position[0]}: no whole XML ({error}); fetch the file again") from error
    labels, problems, count = [], [], 0
    for anomaly in root.iter():
        if _local(anomaly.tag) != "anomaly":
            continue
        name, count = str(count), count + 1
        taxonomy, heuristic = _value(anomaly.get("value", ""))
        ends = {_local(part.tag): part for part in anomaly.iter()}
        for part in anomaly.iter():
            if _local(part.tag) != "filter":
                continue
            try:
                labels.append(
                    Label(
                        anomaly=name,
                        src=_address(part.get("src_ip", "")),
                        sport=_port(part.get("src_port", "")),
                        dst=_address(part.get("dst_ip", "")),
                        dport=_port(part.get("dst_port", "")),
                        taxonomy=taxonomy,
                        heuristic=heuristic,
                        level=_level(anomaly.get("type", "")),
                        first=_stamp(ends.get("from"), 0),
                        last=_stamp(ends.get("to"), _NEVER_ENDS),
                    )
                )
            except ValueError as error:
                problems.append(f"{path}: anomaly {name}: {error}; left out")
    if not count:
        raise InputError(f"{path}: holds no <anomaly>; an admd file of MAWILab is needed")
    return Labels(path, tuple(labels), tuple(problems))


def _local(tag: str) -> str:
    return tag.rpartition("}")[2].rpartition(":")[2]


def _value(text: str) -> tuple[str, int | None]:
    """The taxonomy and heuristic of `value="Dn,Da,C0,V,C1"`: two distances, the code, detectors, taxonomy. The word
    is the taxonomy; the code is the number before the last but one, where there are five parts."""
    parts = [part.strip() for part in text.split(",")]
    words = [part for part in parts if re.match(r"[A-Za-z]", part)]
    heuristic = _number(parts[2]) if len(parts) == 5 else None
    return (words[-1] if words else ""), heuristic


def _stamp(element: ElementTree.Element | None, otherwise: int) -> int:
    if element is None or not element.get("sec"):
        return otherwise
    stamp = int(element.get("sec", "0")) * 1_000_000 + int(element.get("usec") or 0)
    if not 0 <= stamp <= _NEVER_ENDS:
        raise ValueError(f"{element.get('sec')!r} s is no time")
    return stamp


def _address(text: str) -> int | None:
    text = text.strip()
    if text.lower() in ANYTHING:
        return None
    try:
        return number_of(text)
    except (ValueError, ipaddress.AddressValueError):
        raise ValueError(f"{text!r} is no address") from None


def _port(text: str) -> int | None:
    text = text.strip()
    if text.lower() in ANYTHING:
        return None
    if not text.isdecimal() or int(text) > 65535:
        raise ValueError(f"{text!r} is no port")
    return int(text)


def _number(text: str) -> int | None:
    text = text.strip()
    return int(text) if text.isdecimal() and len(text) < 10 else None


def _level(text: str) -> str:
    level = text.strip().lower()
    if level not in ("anomalous", "suspicious", "notice", "benign"):
        raise ValueError(f"{text.strip()!r} is no label of MAWILab (anomalous, suspicious, notice, benign)")
    return level
