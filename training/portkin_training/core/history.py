"""Histories: what each source probed after what, as arrays of port codes (`core.port_codes`)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import pairwise
from typing import NamedTuple

import ibis
import ibis.expr.types as ir
import numpy as np
from numpy.typing import NDArray

from portkin.net.ports import PORTS
from portkin_training.core.groups import By, Grouper
from portkin_training.core.port_codes import CODES, codes_of
from portkin_training.core.probes import SCHEMA

Ints = NDArray[np.int64]

APART = 30 * 86_400_000_000
"""Microseconds without a probe that part one recording from the next."""


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

    def visits(self) -> tuple[Ints, Ints]:
        """Each (group, code) that occurs, once: two int64 (v,), by group and code."""
        both = np.unique(self.group * CODES + self.code)
        return both // CODES, both % CODES

    def steps(self, *, new: bool = False) -> Steps:
        """Successive probes of one group that go to another port of the same protocol; with `new`, those alone
        that reach a port the group has not probed before."""
        order = np.argsort(self.group, kind="stable")
        group, code, ts = self.group[order], self.code[order], self.ts[order]
        wanted = (group[1:] == group[:-1]) & (code[1:] != code[:-1]) & (code[1:] // PORTS == code[:-1] // PORTS)
        if new:
            first = np.zeros(len(code), bool)
            first[np.unique(group * CODES + code, return_index=True)[1]] = True
            wanted &= first[1:]
        at = np.flatnonzero(wanted) + 1
        return Steps(group[at], code[at - 1], code[at], ts[at] - ts[at - 1])


def read_history(probes: ir.Table, *, by: By = "source") -> History:
    """The history of a probes dataset, in the order of (ts, seq)."""
    columns = ("ts", "src_hi", "src_lo", "dst_hi", "dst_lo", "dport", "proto")
    found = probes.order_by("ts", "seq").select(*columns).to_pyarrow()
    column = {name: found[name].to_numpy() for name in found.column_names if name != "ts"}
    ts = found["ts"].cast(SCHEMA.field("ts").type).cast("int64").to_numpy()
    src = np.column_stack((column["src_hi"], column["src_lo"]))
    dst = np.column_stack((column["dst_hi"], column["dst_lo"]))
    group = Grouper(by).number(src, dst)
    return History(ts, group, codes_of(column["dport"], column["proto"]).astype(np.int64))


def within(probes: ir.Table, spans: Sequence[tuple[int, int]]) -> ir.Table:
    """The probes of these spans [start, end), microseconds since 1970."""
    if not spans:
        return probes.limit(0)
    stamp = [
        [ibis.literal(datetime.fromtimestamp(end / 1e6, UTC), type=probes.ts.type()) for end in span] for span in spans
    ]
    return probes.filter(ibis.or_(*((probes.ts >= start) & (probes.ts < end) for start, end in stamp)))
