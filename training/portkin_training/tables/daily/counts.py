"""Tables from counts of days: each day is counted by itself, once, and a table is made from the sum.

A day's counts never change while its probes do not, so a day that is added to a dataset is all that is read of it.
With a half-life, a day that is older by that much counts half; after `FORGOTTEN` half-lives it counts empty_day.

Scans lie within a day anyway, so a table by shortest-path from days without a half-life is the one from all probes
at once. Kin follows a source through the whole recording; from days, a source is another one every day: what it
probed yesterday is new again, and no step leads over midnight.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import date
from typing import NamedTuple

import ibis
import ibis.expr.types as ir
import numpy as np

from portkin.net.ports import Proto
from portkin_training.core.history import History, read_history
from portkin_training.core.port_codes import CODES
from portkin_training.core.time_bins import DAY_US
from portkin_training.replay.predictors import matrix_of_rows
from portkin_training.tables.next_port.chances import (
    EARLIER,
    KeyedCounts,
    Outcomes,
    PortCounts,
    Pruning,
    count_ports,
    outcomes,
    rank,
    statistics_of,
    weigh,
)
from portkin_training.tables.next_port.method import LATER, LEVELS, MOST, choose, tables
from portkin_training.tables.protocol_rows import ProtocolRows
from portkin_training.tables.scans import AT_ONCE, ScanOptions, Scans, Sum, added, count_days, portions, with_day
from portkin_training.tables.shortest_path.graph import quartiles
from portkin_training.tables.shortest_path.method import shortest_path_rows

FORGOTTEN = 10
"""After so many half-lives a day counts empty_day (it would count a thousandth)."""
TAPE = 100_000
"""Probes of a day that are kept, its first, to try out on them what a table is to leave out."""
WHOLE = 1 << 16
"""Into so many parts a transition is divided where days fade: paths are summed in whole numbers, so that ties are."""


class NextPortDay(NamedTuple):
    """What `kin` needs of one day."""

    count_ports: PortCounts
    outcomes: Outcomes
    tape: History
    probes: tuple[int, int]  # TCP, UDP


class DayCounts(NamedTuple):
    """What was counted of one day."""

    scans: Scans
    kin: NextPortDay


@dataclass(frozen=True)
class Day:
    """A day that was counted; its parts are read when asked for, so that not all days lie in memory."""

    date: date
    probes: int
    scans: Callable[[], Scans]
    kin: Callable[[], NextPortDay]


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
    return NextPortDay(count_ports(history), outcomes(history), history[:TAPE], tuple(probes))


def empty_day(options: ScanOptions) -> DayCounts:
    """The counts of a day without probes."""
    return DayCounts(added([], options.protos), next_port_day(History(*(np.empty(0, np.int64) for _ in range(3)))))


def weights_of(days: Sequence[Day], half_life: float) -> list[float]:
    """How much each day counts beside the last one, 0 where it is forgotten."""
    if not days:
        return []
    ages = [(days[-1].date - day.date).days / half_life for day in days]
    return [0.5**age if age <= FORGOTTEN else 0.0 for age in ages]


def lasting(days: Sequence[Day], half_life: float) -> list[tuple[Day, float]]:
    """The days that count anything, with how much."""
    return [(day, weight) for day, weight in zip(days, weights_of(days, half_life), strict=True) if weight]


def scans_of(days: Sequence[Day], options: ScanOptions, half_life: float) -> Scans:
    """The transitions of all days; where days fade, in parts of 1 / `WHOLE`."""
    weighted = ((day.scans(), weight) for day, weight in lasting(days, half_life))
    return added(weighted, options.protos, whole=parts_of(half_life))


def parts_of(half_life: float) -> int:
    """Into how many parts a transition is divided."""
    return 1 if math.isinf(half_life) else WHOLE


def shortest_path(days: Sequence[Day], options: ScanOptions, k: int, half_life: float) -> dict[Proto, ProtocolRows]:
    """As `tables.shortest_path`, from days."""
    scans, parts = scans_of(days, options, half_life), parts_of(half_life)
    built = {}
    for proto, edges in scans.transitions.items():
        q1, q3 = (quartile / parts for quartile in quartiles(edges.count))
        rows = shortest_path_rows(edges, k, parts=parts)
        built[proto] = ProtocolRows(rows, {**asdict(scans.counts[proto]), "q1": q1, "q3": q3, "unit": q3 - q1 or 1.0})
    return built


def kin(days: Sequence[Day], options: ScanOptions, k: int, half_life: float) -> dict[Proto, ProtocolRows]:
    """As `kin_table.kin`, from days: weights and rule are learnt on the latest days, from those before them."""
    weights = _weights(days, half_life)
    rule = _rule(days, options, k, half_life)
    probes = np.sum([(0, 0), *(day.kin().probes for day, _ in lasting(days, half_life))], axis=0)
    return tables(statistics_of(tallied(days, half_life)), weights, rule, options, k, probes.tolist())


METHODS = {"shortest-path": shortest_path, "kin": kin}


def divided(days: Sequence[Day], share: float) -> tuple[Sequence[Day], Sequence[Day]]:
    """The days before that in which the `share` of all probes is reached, and the rest."""
    total = np.cumsum([day.probes for day in days])
    first = int(np.searchsorted(total, share * total[-1], side="right")) if len(days) else 0
    return days[:first], days[first:]


def _weights(days: Sequence[Day], half_life: float) -> np.ndarray:
    earlier, later = divided(days, EARLIER)
    if not earlier:
        return weigh(statistics_of(tallied([], half_life)), added_outcomes([]))
    return weigh(statistics_of(tallied(earlier, half_life)), added_outcomes(day.kin().outcomes for day in later))


def _rule(days: Sequence[Day], options: ScanOptions, k: int, half_life: float) -> Pruning:
    earlier, later = divided(days, LATER)
    tape = joined(later)
    if not (earlier and len(tape)):
        return Pruning()
    paper = shortest_path(earlier, options, max(k, *LEVELS), half_life)
    tried = rank(statistics_of(tallied(earlier, half_life)), _weights(earlier, half_life), np.unique(tape.code), k)
    nearest = matrix_of_rows({proto: part.rows for proto, part in paper.items()}, max(k, *LEVELS))
    return choose(tried, tape, nearest)


def joined(days: Iterable[Day]) -> History:
    """The tapes of days one after the other, `MOST` probes at most; every day has sources of its own."""
    parts, groups, rows = [History(*(np.empty(0, np.int64) for _ in range(3)))], 0, 0
    for day in days:
        tape = day.kin().tape
        parts.append(replace(tape, group=tape.group + groups))
        groups += int(tape.group.max(initial=-1)) + 1
        rows += len(tape)
        if rows >= MOST:
            break
    columns = (np.concatenate([getattr(part, name) for part in parts]) for name in ("ts", "group", "code"))
    return History(*columns)[:MOST]


def tallied(days: Sequence[Day], half_life: float) -> PortCounts:
    """The tallies of days, each times its weight, from the first to the last."""
    visits, onward, draws, sources = (np.zeros(size) for size in (CODES, CODES, CODES, 2))
    pairs, paces = Sum(), Sum()
    for day, weight in lasting(days, half_life):
        one = day.kin().tally
        visits += one.visits * weight
        onward += one.onward * weight
        draws += one.draws * weight
        sources += one.sources * weight
        pairs.add(one.pairs.keys, one.pairs.values * weight)
        paces.add(one.paces.keys, one.paces.values * weight)
    return PortCounts(visits, onward, draws, KeyedCounts(*pairs.total()), KeyedCounts(*paces.total()), sources)


def added_outcomes(parts: Iterable[Outcomes]) -> Outcomes:
    """The outcomes of days together."""
    trials, successes = np.zeros(CODES), Sum()
    for part in parts:
        trials += part.trials
        successes.add(part.successes.keys, part.successes.values)
    return Outcomes(trials, KeyedCounts(*successes.total()))


def probes_of_days(probes: ir.Table, days: Sequence[date]) -> ir.Table:
    """The probes of these days alone: of a dataset, no other partition is read."""
    return probes.filter(probes.day.isin([ibis.literal(day) for day in days]))
