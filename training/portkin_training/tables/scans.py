"""Scans: which probes belong to a scan worth learning from, and which port was probed after which.

A scan is what one source sent to one destination over one protocol on one day (UTC). Paper 1 (Evrard et
al., IM 2019, III-C) discards what reached more than 30 or fewer than 3 ports, "on a daily basis": the first
is a sweep over ports that says nothing of their kinship, the second a sweep over hosts. It counts the ports
of a destination; here they are counted per source and destination, because the sequence that is learnt from
(III-D) is theirs, and because many sources together pass 30 ports a day on any darknet address today.

A transition i -> j is a probe of port j that follows a probe of port i in the same scan, in the order of
(ts, seq). Repetitions i -> i are not counted: no shortest path between two ports uses them, and as the most
frequent event of all (IV-B) they would alone decide the maximum against which the weights are swapped
(III-E).

Everything is an Ibis expression over the probes dataset: grouping, a semi-join and one `lag` per scan. A scan
lies within a day, so days are counted apart, a few million probes at once, and added up: memory does not grow with
the dataset, and a day that was counted need not be counted again.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from datetime import date
from typing import Any

import ibis
import ibis.expr.types as ir
import numpy as np
import pyarrow.compute as pc
from numpy.typing import NDArray

from portkin.net.ports import PROTOS, Proto
from portkin.timeseries.bins import DAY
from portkin_training.core.protocols import PROTO_NAMES, PROTO_NUMBERS
from portkin_training.core.time_bins import bin_number
from portkin_training.tables.sums import Sum

SCAN = ("proto", "day", "src_hi", "src_lo", "dst_hi", "dst_lo")
"""The columns that name one scan."""
AT_ONCE = 4_000_000
"""Probes counted at once on one machine: under a gigabyte of memory."""
DAY_COUNTS = {
    "day": "date", "proto": "int8", "what": "string", "source_port": "int32", "target_port": "int32", "count": "int64",
}  # fmt: skip
"""The columns of `day_counts`."""
ADDITIVE = ("probes", "probes_kept", "scans", "scans_kept", "transitions")
"""The counts of days that add up."""


@dataclass(frozen=True)
class ScanOptions:
    """Which scans are kept: those of ``min_ports`` to ``max_ports`` different ports (paper 1, III-C)."""

    min_ports: int = 3
    max_ports: int = 30
    protos: tuple[Proto, ...] = PROTOS

    def __post_init__(self) -> None:
        """Raise ValueError for bounds that no scan can meet."""
        if not 1 <= self.min_ports <= self.max_ports:
            raise ValueError(f"min_ports {self.min_ports} and max_ports {self.max_ports}: 1 <= min <= max is needed")


@dataclass(frozen=True, eq=False)
class Transitions:
    """How often a probe of ``source`` was followed by one of ``target``: uint16, uint16, int64, all (m,).

    Each pair appears once, ordered by (source, target); source and target differ.
    """

    source: NDArray[np.uint16]
    target: NDArray[np.uint16]
    count: NDArray[np.int64]


@dataclass(frozen=True)
class ScanCounts:
    """What the filter saw and kept for one protocol."""

    probes: int
    probes_kept: int
    scans: int
    scans_kept: int
    transitions: int  # with the repetitions of a port left out
    edges: int

    def to_json(self) -> dict[str, int]:
        """The counts by name."""
        return asdict(self)


def with_day(probes: ir.Table, options: ScanOptions) -> ir.Table:
    """The probes of the wanted protocols with ``day``, their date (UTC)."""
    wanted = probes.filter(probes.proto.isin([PROTO_NUMBERS[proto] for proto in options.protos]))
    needed = (*SCAN[2:], "ts", "seq", "dport", "proto")
    if "day" in wanted.columns:  # a dataset is partitioned by it
        return wanted.select("day", *needed)
    days = bin_number(wanted, DAY).cast("int32")
    return wanted.select(*needed, day=ibis.date("1970-01-01") + days.as_interval("D"))


def scan_sizes(probes: ir.Table, options: ScanOptions) -> ir.Table:
    """One row per scan: the columns of `SCAN`, ``probes``, ``ports`` (different ones) and ``kept``."""
    dated = with_day(probes, options)
    # In two steps: counting distinct ports in one would keep a set of its own for each of millions of scans.
    reached = dated.group_by(*SCAN, "dport").agg(probes=dated.count())
    sizes = reached.group_by(SCAN).agg(probes=reached.probes.sum(), ports=reached.count())
    return sizes.mutate(kept=sizes.ports.between(options.min_ports, options.max_ports))


def moves(probes: ir.Table, options: ScanOptions, sizes: ir.Table) -> ir.Table:
    """One row per transition: the columns of `SCAN`, ``ts``, ``seq``, ``source_port``, ``target_port``."""
    kept = with_day(probes, options).semi_join(sizes.filter(sizes.kept), SCAN)
    scan = ibis.window(group_by=SCAN, order_by=("ts", "seq", "dport"))  # dport: for two datasets that overlap
    followed = kept.select(*SCAN, "ts", "seq", source_port=kept.dport.lag().over(scan), target_port=kept.dport)
    return followed.filter(followed.source_port != followed.target_port)  # a scan's first row is null here


def transition_counts(probes: ir.Table, options: ScanOptions, sizes: ir.Table) -> ir.Table:
    """omega(e_ij) of paper 1, III-D, of each day: ``day``, ``proto``, ``source_port``, ``target_port``, ``count``."""
    moved = moves(probes, options, sizes)
    edge = ("day", "proto", "source_port", "target_port")
    return moved.group_by(edge).agg(count=moved.count())


def scan_totals(sizes: ir.Table) -> ir.Table:
    """What was seen and kept of each day: ``day``, ``proto`` and the first four fields of `ScanCounts`."""
    return sizes.group_by("day", "proto").agg(
        probes=sizes.probes.sum(),
        probes_kept=sizes.probes.sum(where=sizes.kept).fill_null(0),
        scans=sizes.count(),
        scans_kept=sizes.kept.sum(),
    )


def day_counts(probes: ir.Table, options: ScanOptions) -> ir.Table:
    """`transition_counts` and `scan_totals` in one query, which groups the probes into scans once.

    Rows of ``day``, ``proto``, ``what``, ``source_port``, ``target_port``, ``count``; `what` is "transitions", or a
    field of `ScanCounts` with ports of -1.
    """
    sizes = scan_sizes(probes, options)
    edges = transition_counts(probes, options, sizes)
    totals = scan_totals(sizes)
    parts = [edges.mutate(what=ibis.literal("transitions"))]
    for name in ADDITIVE[:4]:
        labels = {"what": ibis.literal(name), "source_port": ibis.literal(-1), "target_port": ibis.literal(-1)}
        parts.append(totals.mutate(**labels, count=totals[name]))
    # A union wants the same types, and whether a column may be null is part of them.
    parts = [part.select(*DAY_COUNTS).cast(DAY_COUNTS) for part in parts]
    return ibis.union(*parts)


@dataclass(frozen=True, eq=False)
class Scans:
    """What was counted: the transitions of each protocol, and what the filter saw."""

    transitions: dict[Proto, Transitions]
    counts: dict[Proto, ScanCounts]


def count_days(probes: ir.Table, options: ScanOptions, *, at_once: int = AT_ONCE) -> Iterator[tuple[date, Scans]]:
    """Count each day of the probes that has any of the wanted protocols, the earliest first.

    `at_once`: on one machine, days are taken together while they have no more probes than this.
    """
    for part in portions(with_day(probes, options), at_once):
        found = day_counts(part, options).to_pyarrow()
        total = pc.less(found["source_port"], 0)
        seen: dict[date, dict[Proto, dict[str, int]]] = {}
        for row in found.filter(total).to_pylist():
            seen.setdefault(row["day"], {}).setdefault(PROTO_NAMES[row["proto"]], {})[row["what"]] = row["count"]
        edges = found.filter(pc.invert(total)).drop_columns("what")
        edge = {name: edges[name].to_numpy() for name in edges.column_names}
        for day in sorted(seen):
            here = edge["day"].astype("datetime64[D]") == np.datetime64(day)
            transitions = {
                proto: _transitions(*(edge[name][here & its] for name in ("source_port", "target_port", "count")))
                for proto, its in _by_proto(edge["proto"], options.protos)
            }
            yield day, Scans(transitions, _counts(seen[day], transitions, options.protos))


def portions(dated: ir.Table, at_once: int, *, always: bool = False) -> Iterator[ir.Table]:
    """Probes with ``day`` in portions of whole days, in their order, of about `at_once` probes.

    Unless `always`, on one machine alone: what has a cluster is faster with all days in one query.
    """
    if not always and dated.get_backend().name != "duckdb":
        yield dated
        return
    found = dated.group_by("day").agg(n=dated.count()).order_by("day").to_pyarrow().to_pylist()
    days: list[date] = []
    rows = 0
    for row in found:
        if days and rows + row["n"] > at_once:
            yield _between(dated, days)
            days, rows = [], 0
        days.append(row["day"])
        rows += row["n"]
    if days:
        yield _between(dated, days)


def _between(dated: ir.Table, days: Sequence[date]) -> ir.Table:
    return dated.filter(dated.day.between(ibis.literal(days[0]), ibis.literal(days[-1])))


def added(days: Iterable[tuple[Scans, float]], protos: tuple[Proto, ...], *, whole: int = 1) -> Scans:
    """The counts of many days, each times its weight, in the order given.

    Counts are whole numbers: the transitions in parts of 1 / `whole`, rounded; a pair of which less than half a part
    is left is forgotten. `ScanCounts` are those of the days as they were, but for the edges.
    """
    sums = {proto: Sum() for proto in protos}
    seen = {proto: dict.fromkeys(ADDITIVE, 0) for proto in protos}
    for scans, weight in days:
        for proto in protos:
            its = scans.transitions[proto]
            sums[proto].add(its.source.astype(np.int64) << 16 | its.target, its.count.astype(np.float64) * weight)
            for name in ADDITIVE:
                seen[proto][name] += getattr(scans.counts[proto], name)
    transitions = {}
    for proto in protos:
        keys, values = sums[proto].total()
        count = np.rint(values * whole).astype(np.int64)
        left = count > 0
        transitions[proto] = Transitions(
            (keys[left] >> 16).astype(np.uint16), (keys[left] & 0xFFFF).astype(np.uint16), count[left]
        )
    counts = {proto: ScanCounts(**seen[proto], edges=len(transitions[proto].count)) for proto in protos}
    return Scans(transitions, counts)


def count_scans(probes: ir.Table, options: ScanOptions, *, at_once: int = AT_ONCE) -> Scans:
    """What `count_days` finds, all days together: at most 65,536 squared edges per protocol."""
    return added(((scans, 1.0) for _, scans in count_days(probes, options, at_once=at_once)), options.protos)


def _transitions(source: NDArray[Any], target: NDArray[Any], count: NDArray[Any]) -> Transitions:
    order = np.lexsort((target, source))
    return Transitions(source[order].astype(np.uint16), target[order].astype(np.uint16), count[order].astype(np.int64))


def _counts(
    seen: dict[Proto, dict[str, int]], transitions: dict[Proto, Transitions], protos: Iterable[Proto]
) -> dict[Proto, ScanCounts]:
    nothing = dict.fromkeys(("probes", "probes_kept", "scans", "scans_kept"), 0)
    return {
        proto: ScanCounts(
            **seen.get(proto, nothing),
            transitions=int(transitions[proto].count.sum()),
            edges=len(transitions[proto].count),
        )
        for proto in protos
    }


def _by_proto(numbers: NDArray[Any], protos: Iterable[Proto]) -> Iterable[tuple[Proto, NDArray[np.bool_]]]:
    return ((proto, numbers == PROTO_NUMBERS[proto]) for proto in protos)
