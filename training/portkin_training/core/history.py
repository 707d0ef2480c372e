"""Histories: what each source probed after what, as arrays of port codes (`core.port_codes`)."""

from __future__ import annotations

import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import pairwise
from typing import NamedTuple

import ibis
import ibis.expr.types as ir
import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from portkin.net.ports import PORTS
from portkin.timeseries.bins import DAY
from portkin_training.core.groups import By, Grouper
from portkin_training.core.port_codes import CODES, codes_of
from portkin_training.core.probes import SCHEMA
from portkin_training.core.time_bins import bin_number

Ints = NDArray[np.int64]

APART = 30 * 86_400_000_000
"""Microseconds without a probe that part one recording from the next."""
AT_ONCE = 2_000_000
"""Probes of which the sources are taken at once: about a third of a gigabyte of memory."""
TOGETHER = 8
"""So many parts are taken out of a dataset in one reading: half a gigabyte that the engine holds or spills."""


class Steps(NamedTuple):
    """From one port to another of the same protocol, in one group; all int64 (m,)."""

    group: Ints
    before: Ints
    after: Ints
    gap: Ints  # microseconds


@dataclass(frozen=True, eq=False)
class History:
    """Probes in time order: `ts` int64 us, `group` int64, `code` int64, all (n,). A group is a source, or a source
    at one destination."""

    ts: Ints
    group: Ints
    code: Ints

    def __len__(self) -> int:
        return len(self.ts)

    def __getitem__(self, rows: slice | NDArray[np.bool_]) -> History:
        return History(self.ts[rows], self.group[rows], self.code[rows])

    def spans(self, share: float) -> list[tuple[int, int]]:
        """Where the first `share` of the probes lies, as stamps [start, end); one span for each of the recordings
        that lie `APART` or more from the next, so that each of them contributes the same share."""
        if not len(self):
            return []
        starts = np.concatenate([[0], np.flatnonzero(np.diff(self.ts) >= APART) + 1, [len(self)]]).tolist()
        cuts = [start + min(int((end - start) * share), end - start - 1) for start, end in pairwise(starts)]
        return [(int(self.ts[start]), int(self.ts[cut])) for start, cut in zip(starts, cuts, strict=False)]

    def divided(self, share: float) -> tuple[History, History]:
        """The first `share` of the probes of each recording, and the rest (see `spans`); probes of one stamp stay
        together, in the rest."""
        first = np.zeros(len(self), bool)
        for start, end in self.spans(share):
            first[np.searchsorted(self.ts, start) : np.searchsorted(self.ts, end)] = True
        return self[first], self[~first]

    def by_group(self) -> History:
        """The same probes, those of a group together, in order of time."""
        if (self.group[1:] >= self.group[:-1]).all():
            return self
        order = np.argsort(self.group, kind="stable")
        return History(self.ts[order], self.group[order], self.code[order])

    def inside(self, spans: Sequence[tuple[int, int]]) -> NDArray[np.bool_]:
        """Which probes lie in the spans [start, end), microseconds since 1970: bool (n,)."""
        found = np.zeros(len(self), bool)
        for start, end in spans:
            found |= (self.ts >= start) & (self.ts < end)
        return found

    def visits(self) -> tuple[Ints, Ints]:
        """Each (group, code) that occurs, once: two int64 (v,), by group and code."""
        both = np.unique(self.group * CODES + self.code)
        return both // CODES, both % CODES

    def steps(self, *, new: bool = False) -> Steps:
        """Successive probes of one group that go to another port of the same protocol; with `new`, those alone
        that reach a port the group has not probed before."""
        grouped = self.by_group()
        group, code, ts = grouped.group, grouped.code, grouped.ts
        wanted = (group[1:] == group[:-1]) & (code[1:] != code[:-1]) & (code[1:] // PORTS == code[:-1] // PORTS)
        if new:
            first = np.zeros(len(code), bool)
            first[np.unique(group * CODES + code, return_index=True)[1]] = True
            wanted &= first[1:]
        at = np.flatnonzero(wanted) + 1
        return Steps(group[at], code[at - 1], code[at], ts[at] - ts[at - 1])


def read_history(probes: ir.Table, *, by: By = "source") -> History:
    """The history of a probes dataset, in the order of (ts, seq)."""
    ends = ("src_hi", "src_lo") if by == "source" else ("src_hi", "src_lo", "dst_hi", "dst_lo")
    found = probes.order_by("ts", "seq").select("ts", *ends, "dport", "proto").to_pyarrow()
    halves = [found[name].to_numpy() for name in ends]
    src = np.column_stack(halves[:2])
    group = Grouper(by).number(src, np.column_stack(halves[2:]) if halves[2:] else src)
    return History(stamps(found["ts"]), group, _codes(found))


def stamps(column: pa.ChunkedArray) -> Ints:
    """Times of a query's answer as microseconds since 1970, int64 (n,)."""
    found: Ints = column.cast(SCHEMA.field("ts").type).cast("int64").to_numpy()
    return found


def _codes(found: pa.Table) -> Ints:
    return codes_of(found["dport"].to_numpy(), found["proto"].to_numpy()).astype(np.int64)


def histories_by_source(probes: ir.Table, *, at_once: int = AT_ONCE) -> Iterator[History]:
    """The history of a probes dataset, grouped by source, some whole sources at a time: about `at_once` probes, so
    that memory does not grow with the dataset. A group is numbered within its part."""
    parts = -(-probes.count().to_pyarrow().as_py() // at_once)
    # Of as few as fit into one reading, a second one costs little and halves what is held.
    together = TOGETHER if parts > TOGETHER else -(-parts // 2)
    for first in range(0, parts, together or 1):
        if parts == 1:
            yield _by_source(probes)
            continue
        last = min(first + together, parts) - 1
        some = probes.select("src_hi", "src_lo", "ts", "seq", "dport", "proto", part=_portion(probes, parts))
        with _held(some.filter(some.part.between(first, last))) as held:
            for part in range(first, last + 1):
                yield _by_source(held.filter(held.part == part))


@contextmanager
def _held(probes: ir.Table) -> Iterator[ir.Table]:
    """These probes as DuckDB holds, or spills, them: a dataset is not read again for each question. Spark reads again,
    on many machines."""
    backend = probes.get_backend()
    if backend.name != "duckdb":
        yield probes
        return
    name = f"held_{uuid.uuid4().hex}"
    try:
        yield backend.create_table(name, obj=probes, temp=True)
    finally:
        backend.con.execute(f"DROP TABLE IF EXISTS {name}")


def _by_source(probes: ir.Table) -> History:
    """All of these probes, grouped by source."""
    found = probes.order_by("src_hi", "src_lo", "ts", "seq").select("ts", "src_hi", "src_lo", "dport", "proto")
    table = found.to_pyarrow()
    high, low = table["src_hi"].to_numpy(), table["src_lo"].to_numpy()
    other = (high[1:] != high[:-1]) | (low[1:] != low[:-1])
    group = np.concatenate([[0], np.cumsum(other)])[: len(table)]
    return History(stamps(table["ts"]), group.astype(np.int64), _codes(table))


def of_every_source(probes: ir.Table, every: int) -> ir.Table:
    """The probes of one in `every` sources, the same ones each time."""
    return probes.filter(_portion(probes, every) == 0) if every > 1 else probes


def _portion(probes: ir.Table, parts: int) -> ir.IntegerValue:
    # Engines differ in the sign of a remainder. Scanners are alike in the high bits of their addresses.
    return (probes.src_lo % parts + parts) % parts


def spans_of(probes: ir.Table, share: float) -> list[tuple[int, int]]:
    """`History.spans` of a probes dataset, of which no more than a day's times lie in memory."""
    day = bin_number(probes, DAY)
    days = probes.group_by(day=day).agg(n=probes.count(), first=probes.ts.min(), last=probes.ts.max())
    found = days.order_by("day").to_pyarrow()
    number, count = (found[name].to_numpy() for name in ("day", "n"))
    first, last = (stamps(found[name]) for name in ("first", "last"))
    if not len(number):
        return []
    starts = np.concatenate([[0], np.flatnonzero(first[1:] - last[:-1] >= APART) + 1, [len(number)]]).tolist()
    spans = []
    for start, end in pairwise(starts):
        upto = np.cumsum(count[start:end])
        cut = min(int(int(upto[-1]) * share), int(upto[-1]) - 1)
        at = int(np.searchsorted(upto, cut, side="right"))
        times = stamps(probes.filter(day == int(number[start + at])).select("ts").to_pyarrow()["ts"])
        place = cut - int(upto[at] - count[start + at])
        spans.append((int(first[start]), int(np.partition(times, place)[place])))
    return spans


def within(probes: ir.Table, spans: Sequence[tuple[int, int]]) -> ir.Table:
    """The probes of these spans [start, end), microseconds since 1970."""
    return probes.filter(_inside(probes, spans)) if spans else probes.limit(0)


def outside(probes: ir.Table, spans: Sequence[tuple[int, int]]) -> ir.Table:
    """The probes of none of these spans [start, end), microseconds since 1970."""
    return probes.filter(~_inside(probes, spans)) if spans else probes


def _inside(probes: ir.Table, spans: Sequence[tuple[int, int]]) -> ir.BooleanValue:
    stamp = [
        [ibis.literal(datetime.fromtimestamp(end / 1e6, UTC), type=probes.ts.type()) for end in span] for span in spans
    ]
    found: ir.BooleanValue = ibis.or_(*((probes.ts >= start) & (probes.ts < end) for start, end in stamp))
    return found
