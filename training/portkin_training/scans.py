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

Everything is an Ibis expression over the probes dataset: grouping, a semi-join and one `lag` per scan,
which DuckDB runs out of core on one machine and Spark on many. Nothing here depends on the session's time
zone.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import Any

import ibis
import ibis.expr.types as ir
import numpy as np
from numpy.typing import NDArray

from portkin.ports import PROTOS, Proto

PROTO_NUMBERS: dict[Proto, int] = {"tcp": 6, "udp": 17}
"""IANA protocol numbers, as the probes dataset holds them."""
SCAN = ("proto", "day", "src_hi", "src_lo", "dst_hi", "dst_lo")
"""The columns that name one scan."""
SECONDS_A_DAY = 86400


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
    """The probes of the wanted protocols with ``day``, the number of whole days since 1970-01-01 UTC."""
    wanted = probes.filter(probes.proto.isin([PROTO_NUMBERS[proto] for proto in options.protos]))
    # Seconds between two instants: a cast to a date, or to a time without a zone, goes by the session's time zone.
    seconds = wanted.ts.delta(ibis.timestamp("1970-01-01 00:00:00", timezone="UTC"), unit="second")
    return wanted.mutate(day=(seconds / SECONDS_A_DAY).floor().cast("int32"))


def scan_sizes(probes: ir.Table, options: ScanOptions) -> ir.Table:
    """One row per scan: the columns of `SCAN`, ``probes``, ``ports`` (different ones) and ``kept``."""
    dated = with_day(probes, options)
    # In two steps: counting distinct ports in one would keep a set of its own for each of millions of scans.
    reached = dated.group_by(*SCAN, "dport").agg(probes=dated.count())
    sizes = reached.group_by(SCAN).agg(probes=reached.probes.sum(), ports=reached.count())
    return sizes.mutate(kept=sizes.ports.between(options.min_ports, options.max_ports))


def kept_probes(probes: ir.Table, options: ScanOptions) -> ir.Table:
    """The probes of the kept scans, with ``day``."""
    sizes = scan_sizes(probes, options)
    return with_day(probes, options).semi_join(sizes.filter(sizes.kept), SCAN)


def moves(probes: ir.Table, options: ScanOptions) -> ir.Table:
    """One row per transition: the columns of `SCAN`, ``ts``, ``seq``, ``source_port``, ``target_port``."""
    kept = kept_probes(probes, options)
    scan = ibis.window(group_by=SCAN, order_by=("ts", "seq", "dport"))  # dport: for two datasets that overlap
    followed = kept.select(*SCAN, "ts", "seq", source_port=kept.dport.lag().over(scan), target_port=kept.dport)
    return followed.filter(followed.source_port != followed.target_port)  # a scan's first row is null here


def transition_counts(probes: ir.Table, options: ScanOptions) -> ir.Table:
    """omega(e_ij) of paper 1, III-D: ``proto``, ``source_port``, ``target_port``, ``count``, ordered."""
    moved = moves(probes, options)
    edge = ("proto", "source_port", "target_port")
    return moved.group_by(edge).agg(count=moved.count()).order_by(edge)


def count_transitions(probes: ir.Table, options: ScanOptions) -> dict[Proto, Transitions]:
    """Run `transition_counts` and bring the edges, at most 65,536 squared per protocol, into memory."""
    found = transition_counts(probes, options).to_pyarrow()
    proto, source, target, count = (found[name].to_numpy() for name in found.column_names)
    return {
        name: Transitions(source[at].astype(np.uint16), target[at].astype(np.uint16), count[at].astype(np.int64))
        for name, at in _by_proto(proto, options.protos)
    }


def count_scans(
    probes: ir.Table, options: ScanOptions, transitions: dict[Proto, Transitions]
) -> dict[Proto, ScanCounts]:
    """What the filter saw and kept, for the manifest of what is built from it."""
    sizes = scan_sizes(probes, options)
    seen = sizes.group_by("proto").agg(
        probes=sizes.probes.sum(),
        probes_kept=sizes.probes.sum(where=sizes.kept).fill_null(0),
        scans=sizes.count(),
        scans_kept=sizes.kept.sum(),
    )
    rows: dict[int, dict[str, Any]] = {row["proto"]: row for row in seen.to_pyarrow().to_pylist()}
    nothing = {"probes": 0, "probes_kept": 0, "scans": 0, "scans_kept": 0}
    counts = {}
    for proto in options.protos:
        row = rows.get(PROTO_NUMBERS[proto], nothing)
        edges = transitions[proto].count
        counts[proto] = ScanCounts(
            **{name: int(row[name]) for name in nothing}, transitions=int(edges.sum()), edges=len(edges)
        )
    return counts


def _by_proto(numbers: NDArray[Any], protos: Iterable[Proto]) -> Iterable[tuple[Proto, NDArray[np.bool_]]]:
    return ((proto, numbers == PROTO_NUMBERS[proto]) for proto in protos)
