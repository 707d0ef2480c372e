"""Counts of days: each day is counted by itself, once.

A day's counts never change while its probes do not, so a day that is added to a dataset is all that is read of it.

Scans lie within a day anyway, so a table by shortest-path from days without a half-life is the one from all probes
at once. Next-port chances follow a source through the whole recording; from days, a source is another one every day:
what it probed yesterday is new again, and no step leads over midnight.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import date
from typing import NamedTuple

import ibis
import ibis.expr.types as ir
import numpy as np

from portkin_training.core.history import History, read_history
from portkin_training.core.port_codes import CODES
from portkin_training.core.time_bins import DAY_US
from portkin_training.tables.next_port.counts import Outcomes, PortCounts, count_ports, outcomes
from portkin_training.tables.scans import AT_ONCE, ScanOptions, Scans, added, count_days, portions, with_day

SAMPLE = 100_000
"""Probes of a day that are kept, its first: the chances of a table are calibrated on them, and it is tried on them."""


class NextPortDay(NamedTuple):
    """What next-port chances need of one day."""

    ports: PortCounts
    outcomes: Outcomes
    sample: History
    probes: tuple[int, int]  # TCP, UDP


class DayCounts(NamedTuple):
    """What was counted of one day."""

    scans: Scans
    next_port: NextPortDay


@dataclass(frozen=True)
class Day:
    """A day that was counted; its parts are read when asked for, so that not all days lie in memory."""

    date: date
    probes: int
    scans: Callable[[], Scans]
    next_port: Callable[[], NextPortDay]


def count_each(probes: ir.Table, options: ScanOptions, *, at_once: int = AT_ONCE) -> Iterator[tuple[date, DayCounts]]:
    """The counts of each day of the probes (with ``day``), the earliest first."""
    dated = with_day(probes, options)
    for part in portions(dated, at_once, always=True):
        history = read_history(part)
        day = history.ts // DAY_US
        for when, scans in count_days(part, options, at_once=at_once):
            yield when, DayCounts(scans, next_port_day(history[day == np.datetime64(when).astype(int)]))


def next_port_day(history: History) -> NextPortDay:
    """The counts of one day's history, grouped by source."""
    # Groups were numbered over a portion of days: numbered as they appear in it, a day is the same in any portion.
    _, first, at = np.unique(history.group, return_index=True, return_inverse=True)
    history = replace(history, group=np.argsort(np.argsort(first))[at])
    probes = np.bincount(history.code // (CODES // 2), minlength=2).tolist()
    return NextPortDay(count_ports(history), outcomes(history), history[:SAMPLE], tuple(probes))


def empty_day(options: ScanOptions) -> DayCounts:
    """The counts of a day without probes."""
    return DayCounts(added([], options.protos), next_port_day(History(*(np.empty(0, np.int64) for _ in range(3)))))


def probes_of_days(probes: ir.Table, days: Sequence[date]) -> ir.Table:
    """The probes of these days alone: of a dataset, no other partition is read."""
    return probes.filter(probes.day.isin([ibis.literal(day) for day in days]))
