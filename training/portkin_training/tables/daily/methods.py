"""Tables from the counts of days: the counts are added up, and each method makes its rows of the sum.

With a half-life, a day that is older by that much counts half; after `FORGOTTEN` half-lives it counts nothing.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, replace

import numpy as np
from numpy.typing import NDArray

from portkin.net.ports import Proto
from portkin_training.core.history import History
from portkin_training.core.time_bins import DAY_US
from portkin_training.tables.daily.counts import Day
from portkin_training.tables.next_port.chances import EARLIER
from portkin_training.tables.next_port.counts import PortCounts, PortCountsSum, statistics_of, summed_outcomes
from portkin_training.tables.next_port.method import Learnt, learn_from, rows_of
from portkin_training.tables.next_port.recorded import ends_of_stamps
from portkin_training.tables.protocol_rows import ProtocolRows
from portkin_training.tables.scans import ScanOptions, Scans, added
from portkin_training.tables.shortest_path.graph import quartiles
from portkin_training.tables.shortest_path.method import shortest_path_rows

FORGOTTEN = 10
"""After so many half-lives a day counts nothing (it would count a thousandth)."""
TRIAL_PROBES = 500_000
"""Probes of the later days that the chances are calibrated on, at most."""
WHOLE = 1 << 16
"""Into so many parts a transition is divided where days fade: paths are summed in whole numbers, so that ties are."""


def weights_of(days: Sequence[Day], half_life: float) -> list[float]:
    """How much each day counts beside the last one, 0 where it is forgotten."""
    if not days:
        return []
    ages = [(days[-1].date - day.date).days / half_life for day in days]
    return [0.5**age if age <= FORGOTTEN else 0.0 for age in ages]


def weighted_days(days: Sequence[Day], half_life: float) -> list[tuple[Day, float]]:
    """The days that are not forgotten, each with its weight."""
    return [(day, weight) for day, weight in zip(days, weights_of(days, half_life), strict=True) if weight]


def scans_of(days: Sequence[Day], options: ScanOptions, half_life: float) -> Scans:
    """The transitions of all days; where days fade, in parts of 1 / `WHOLE`."""
    weighted = ((day.scans(), weight) for day, weight in weighted_days(days, half_life))
    return added(weighted, options.protos, whole=parts_of(half_life))


def parts_of(half_life: float) -> int:
    """Into how many parts a transition is divided."""
    return 1 if math.isinf(half_life) else WHOLE


def shortest_path(days: Sequence[Day], options: ScanOptions, k: int, half_life: float) -> dict[Proto, ProtocolRows]:
    """As `shortest_path.method.shortest_path`, from days."""
    scans, parts = scans_of(days, options, half_life), parts_of(half_life)
    built = {}
    for proto, edges in scans.transitions.items():
        q1, q3 = (quartile / parts for quartile in quartiles(edges.count))
        rows = shortest_path_rows(edges, k, parts=parts)
        built[proto] = ProtocolRows(rows, {**asdict(scans.counts[proto]), "q1": q1, "q3": q3, "unit": q3 - q1 or 1.0})
    return built


def next_port(
    days: Sequence[Day], options: ScanOptions, k: int, half_life: float, *, ports: NDArray[np.int64] | None = None
) -> dict[Proto, ProtocolRows]:
    """As `next_port.method.next_port`, of the same codes `ports` int64 (n,), from days: weights and calibration are
    learnt on the latest days."""
    probes = np.sum([(0, 0), *(day.next_port().probes for day, _ in weighted_days(days, half_life))], axis=0)
    learnt = learn_of_days(days, half_life)
    known = statistics_of(summed_counts(days, half_life))
    return rows_of(known, learnt, options, k, probes.tolist(), ports=ports)


METHODS: dict[str, Callable[..., dict[Proto, ProtocolRows]]] = {"shortest-path": shortest_path, "kin": next_port}


def divided(days: Sequence[Day], share: float) -> tuple[Sequence[Day], Sequence[Day]]:
    """The days before that in which the `share` of all probes is reached, and the rest."""
    total = np.cumsum([day.probes for day in days])
    first = int(np.searchsorted(total, share * total[-1], side="right")) if len(days) else 0
    return days[:first], days[first:]


def learn_of_days(days: Sequence[Day], half_life: float) -> Learnt:
    """The weights by which the earlier days predict the later ones, and the calibration on these."""
    earlier, later = divided(days, EARLIER)
    cases = joined_samples(later if earlier else ())
    return learn_from(
        statistics_of(summed_counts(earlier, half_life)),
        summed_outcomes(day.next_port().outcomes for day in (later if earlier else ())),
        np.unique(cases.code),
        [cases],
        [cases],
        ends_of_days(cases.ts),
    )


def ends_of_days(ts: NDArray[np.int64]) -> NDArray[np.int64]:
    """Until when samples of days were recorded, `Recorded.ends`, of stamps (n,): each day has sources of its own."""
    last = ts[np.flatnonzero(np.diff(ts // DAY_US, append=-1))]
    return np.union1d(last, ends_of_stamps(ts))


def joined_samples(days: Iterable[Day]) -> History:
    """The samples of days one after the other, `TRIAL_PROBES` probes at most; every day has sources of its own."""
    parts, groups, rows = [History(*(np.empty(0, np.int64) for _ in range(3)))], 0, 0
    for day in days:
        sample = day.next_port().sample
        parts.append(replace(sample, group=sample.group + groups))
        groups += int(sample.group.max(initial=-1)) + 1
        rows += len(sample)
        if rows >= TRIAL_PROBES:
            break
    columns = (np.concatenate([getattr(part, name) for part in parts]) for name in ("ts", "group", "code"))
    return History(*columns)[:TRIAL_PROBES]


def summed_counts(days: Sequence[Day], half_life: float) -> PortCounts:
    """The port counts of days, each times its weight, from the first to the last."""
    total = PortCountsSum()
    for day, weight in weighted_days(days, half_life):
        total.add(day.next_port().ports, weight)
    return total.total()
