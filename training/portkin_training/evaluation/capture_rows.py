"""Labelled captures read apart, each by a task of its own, and replayed together.

Who gets blocked is a source, and sources know nothing of each other. So a replay needs of a capture the rows of those
sources alone that a scan is seen of, from the first one on, and of all others how many benign packets there were. That
is little, and what takes time, to decode packets and to match labels, needs no other capture. Where every block has
ended before the next capture begins, what is left out cannot meet one: the counts are those of reading one capture
after the other.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from portkin_training.core.groups import By, Grouper
from portkin_training.core.port_codes import CODES
from portkin_training.ingest.reading import Reading
from portkin_training.replay.events import BENIGN, SCAN, Events
from portkin_training.replay.mawi.labels import Label
from portkin_training.replay.mawi.matcher import Matcher
from portkin_training.replay.mawi.traces import Duplicates, Trace, opens_of

Ints = NDArray[np.int64]


@dataclass(frozen=True)
class Asked:
    """How captures are read: what is blocked as one, which labels count, whether duplicates are dropped."""

    by: By
    levels: frozenset[str]
    dedupe: bool

    def trace(self, capture: Path, name: str, labels: Sequence[Label]) -> Trace:
        """A labelled capture to be read so; `name` is what the user calls it."""
        matcher, duplicates = Matcher(labels, self.levels), Duplicates() if self.dedupe else None
        return Trace(capture, matcher, Reading(name), duplicates)


@dataclass(frozen=True)
class CaptureRows:
    """What a replay needs of one capture.

    Attributes:
        place: which of the captures it is.
        src, dst: the addresses of its groups, int64 halves (g, 2) each.
        events: the rows that are replayed; their groups are numbers of those addresses, and stamps never run backwards.
        benign: benign packets among the rows that are not, and how many of them open a connection.
        ports: those packets by port, int64 (CODES,).
        rows: how many there were of both.
        span: the first and the last stamp, by a clock that never runs backwards; None where there were no rows.
        late: rows whose stamp lay before that of an earlier one.
        duplicates: segments that were dropped.
        reading: what became of its packets.
    """

    place: int
    src: Ints
    dst: Ints
    events: Events
    benign: tuple[int, int]
    ports: Ints
    rows: int
    span: tuple[int, int] | None
    late: int
    duplicates: int
    reading: Reading


def read_rows(place: int, capture: Path, name: str, labels: Sequence[Label], asked: Asked) -> CaptureRows:
    """What a replay needs of one labelled capture; `place` is its number among them, `name` what the user calls it."""
    trace = asked.trace(capture, name, labels)
    grouper, scans = Grouper(asked.by), np.zeros(0, bool)
    kept: list[Events] = []
    addresses: list[tuple[Ints, Ints]] = []
    ports = np.zeros(CODES, np.int64)
    rows = late = opened = 0
    first, clock = None, np.iinfo(np.int64).min
    for packets, truth, code in trace.judged():
        known = grouper.count
        group = grouper.number(packets.src, packets.dst)
        fresh = np.unique(group[group >= known], return_index=True)[1]
        at = np.flatnonzero(group >= known)[fresh]
        addresses.append((packets.src[at], packets.dst[at]))
        scans = np.concatenate([scans, np.zeros(grouper.count - known, bool)])
        now = np.maximum(np.maximum.accumulate(packets.ts), clock)
        late += int(np.count_nonzero(packets.ts < np.concatenate([[clock], now[:-1]])))
        first, clock = int(now[0]) if first is None else first, now[-1]
        # From the first scan of each source on.
        begins = np.where(scans, 0, len(group))
        is_scan = np.flatnonzero(truth == SCAN)
        np.minimum.at(begins, group[is_scan], is_scan)
        scans[group[is_scan]] = True
        wanted = np.arange(len(group)) >= begins[group]
        opens = opens_of(packets)
        others = ~wanted & (truth == BENIGN)
        ports += np.bincount(code[others], minlength=CODES)
        opened += int(np.count_nonzero(opens & others))
        rows += len(group)
        kept.append(
            Events(
                ts=now[wanted], group=group[wanted], code=code[wanted], act=truth[wanted] == SCAN, truth=truth[wanted],
                opens=opens[wanted], unit=np.full(np.count_nonzero(wanted), place, np.int32),
            )
        )  # fmt: skip
    trace.reading.position = int  # that of a file that is closed, and cannot be sent
    src, dst = (np.concatenate([np.empty((0, 2), np.int64), *(pair[end] for pair in addresses)]) for end in (0, 1))
    return CaptureRows(
        place=place, src=src, dst=dst, events=Events.concat(kept), benign=(int(ports.sum()), opened), ports=ports,
        rows=rows, span=None if first is None else (first, int(clock)), late=late,
        duplicates=trace.duplicates.found if trace.duplicates else 0, reading=trace.reading,
    )  # fmt: skip


def are_apart(captures: Sequence[CaptureRows], longest: int) -> bool:
    """Whether each capture begins `longest` microseconds or more after all before it have ended."""
    ended = None
    for capture in captures:
        if capture.span is None:
            continue
        if ended is not None and capture.span[0] - ended < longest:
            return False
        ended = capture.span[1]
    return True
