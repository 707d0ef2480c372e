"""A model of sources: what a source comes to next, by what it did before, learnt from a later part of the probes.

The table is counted from the first part of the probes, and the model learns from the rest what its rows are worth: for
each port that a source came to as its second or a later one, of each candidate, whether the source came to it within
the horizon. Those rows are of the first part's counts, but their chances are by the calibration that the table ships
with: a model that met other chances than it will be asked by takes them for more or for less than they are.

A source weighs as the root of its ports. What the log odds of the trees come to is read off odds given by trees that
were learnt from other sources, so that no source vouches for itself, and each source counts once. It is one number, by
which all of them are too low or too high: the hundred sources that often are all there is would support two or three
steps of a regression, and trees are fitted to chances. Log odds are multiplied by `LASTS` before: what sets ports
apart in the weeks that were learnt from sets them apart less in those that come.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import NamedTuple

import ibis.expr.types as ir
import numpy as np
from numba import njit
from numpy.typing import NDArray

from portkin.bundles.source_features import candidates
from portkin.bundles.source_model import LearntFromSources
from portkin.bundles.table import Rows
from portkin.net.ports import PORTS, PROTOS, Proto
from portkin_training.core.history import History, histories_by_source, outside, within
from portkin_training.core.port_codes import CODES
from portkin_training.core.protocols import PROTO_NUMBERS
from portkin_training.core.questions import AskedHistory, source_rows
from portkin_training.tables.next_port.boosting import BoostingOptions, boosted
from portkin_training.tables.next_port.calibration import EVIDENCE, Cases, shifted
from portkin_training.tables.next_port.counts import HORIZON, Floats, Ints
from portkin_training.tables.next_port.method import ROW, rows_of, said_by
from portkin_training.tables.next_port.recorded import Delays, Recorded, time_left
from portkin_training.tables.scans import ScanOptions

OF_A_SOURCE = 48
"""Ports of a source that the model learns from, at most, spread over all that it came to."""
ASKED = 12_000
"""Ports that the model learns from in all, at most: about a million candidates, 100 megabytes."""
PARTS = 4
"""Parts that sources are divided into for the calibration."""
LASTS = 0.85
"""How much of the differences in log odds is still there in the time after."""
OPTIONS = BoostingOptions()


@dataclass(frozen=True, eq=False)
class Examples:
    """Candidates that sources had: `features` float32 (f, r), after which share of the horizon each came true, `delay`
    (r,), 1 where it did not, the stamp of the question, `ts` int64 (r,), which `source` had it, int64 (r,), how many
    ports of that source there were, `of` (r,), and how many of these each stands for, `stands` (r,)."""

    features: NDArray[np.float32]
    delay: Floats
    ts: Ints
    source: Ints
    of: Ints
    stands: Floats

    @property
    def came(self) -> NDArray[np.bool_]:
        """Whether each came true, bool (r,)."""
        return self.delay < 1

    def how_soon(self, ends: Ints) -> Floats:
        """`Recorded.within`, (p + 1,), of what was recorded up to these `ends`, (e,)."""
        delays, came = Delays(), self.came
        weight = (self.stands / self.of)[came]
        delays.add(self.delay[came], time_left(ends, self.ts[came]), weight)
        return delays.within()

    def once(self, recorded: Recorded) -> Cases:
        """As cases, a source counting once."""
        weight = self.stands / self.of
        return Cases(weight * recorded.share(self.ts), weight * self.came)


class FromSources(NamedTuple):
    """What was learnt from sources, and how soon predictions come true (`Recorded.within`)."""

    learnt: LearntFromSources
    within: Floats


def learn_from_sources(probes: ir.Table, options: ScanOptions) -> FromSources | None:
    """A model of sources from probes, an Ibis table, for a table by `method.next_port` from the same probes.

    None where fewer than `EVIDENCE` sources came to ports that were candidates: a calibration has no step to stand on.
    """
    wanted = probes.filter(probes.proto.isin([PROTO_NUMBERS[proto] for proto in options.protos]))
    said = said_by(wanted, options)
    earlier, later = within(wanted, said.spans), outside(wanted, said.spans)
    ports = np.unique(np.concatenate([np.empty(0, np.int64), *map(_followed, histories_by_source(later))]))
    if not len(ports):
        return None
    counted = rows_of(said.earlier, said.learnt, options, ROW, said.probes, ports=ports)
    rows = {proto: part.rows for proto, part in counted.items()}
    examples = examples_of(histories_by_source(later), rows, drawn_of(earlier))
    if examples is None:
        return None
    recorded = Recorded(said.ends, examples.how_soon(said.ends))
    once = examples.once(recorded)
    if once.successes.sum() < EVIDENCE:
        return None
    weight = examples.stands * examples.of**-0.5
    weight /= weight.mean()
    odds = np.empty(len(weight))
    for part in range(PARTS):
        mine = examples.source % PARTS == part
        trees = boosted(examples.features[:, ~mine], examples.came[~mine], weight[~mine], OPTIONS)
        odds[mine] = trees.odds(examples.features[:, mine])
    calibration = shifted(odds, once, LASTS)
    trees = boosted(examples.features, examples.came, weight, OPTIONS)
    return FromSources(LearntFromSources(trees, calibration.points.round(4), drawn_of(wanted)), recorded.within)


def _followed(history: History) -> Ints:
    """The codes that sources with more than one port probed, sorted."""
    asked = AskedHistory.of(history)
    codes = np.unique(asked.recent[asked.probed > 1])
    return codes[codes >= 0]


def drawn_of(probes: ir.Table) -> dict[Proto, NDArray[np.float32]]:
    """By protocol, the log of the share of sources that came to each port, float32 (65536,)."""
    visits = probes.select("src_hi", "src_lo", "dport", "proto").distinct()
    sources = visits.select("src_hi", "src_lo").distinct().count().to_pyarrow().as_py()
    counted = visits.group_by("dport", "proto").agg(n=visits.count()).to_pyarrow()
    port, number, n = (counted[name].to_numpy() for name in ("dport", "proto", "n"))
    found = {}
    for proto in PROTOS:
        of = np.zeros(PORTS)
        its = number == PROTO_NUMBERS[proto]
        of[port[its]] = n[its]
        found[proto] = np.log((of + 0.5) / max(sources, 1)).round(3).astype(np.float32)
    return found


def examples_of(
    histories: Iterable[History], rows: Mapping[Proto, Rows], drawn: Mapping[Proto, NDArray[np.float32]]
) -> Examples | None:
    """What the candidates of sources came to, of histories that have no source in common, None where there are none;
    `rows` those of the table, `drawn` float32 (65536,) as `drawn_of` gives them."""
    known = source_rows(rows, drawn)
    found: list[Examples] = []
    sources = 0
    left = ASKED
    for history in histories:
        asked = AskedHistory.of(history)
        chosen, of = _chosen(asked)
        at = np.flatnonzero(chosen)
        if len(at) > left:  # the rest of a large recording: as many as there is room for, evenly
            at = at[np.linspace(0, len(at) - 1, left).astype(np.int64)] if left else at[:0]
            chosen = np.zeros(len(chosen), bool)
            chosen[at] = True
        left -= len(at)
        number = np.cumsum(np.concatenate([[False], asked.history.group[1:] != asked.history.group[:-1]]))
        for proto, probe, questions in asked.questions(chosen):
            if proto not in known:
                continue
            had = candidates(known[proto], questions)
            whose = probe[had.question]
            code = had.port + PORTS * PROTOS.index(proto)
            delay = came_after(asked.history, whose, code)
            stands = np.maximum(of[whose] / OF_A_SOURCE, 1.0)
            when = asked.history.ts[whose]
            found.append(Examples(had.features, delay, when, number[whose] + sources, of[whose], stands))
        sources += int(number[-1]) + 1 if len(number) else 0
    if not found:
        return None
    return Examples(
        np.concatenate([part.features for part in found], axis=1),
        *(
            np.concatenate([getattr(part, name) for part in found])
            for name in ("delay", "ts", "source", "of", "stands")
        ),
    )


def _chosen(asked: AskedHistory) -> tuple[NDArray[np.bool_], Ints]:
    """Which probes are learnt from, bool (n,), those by which a source came to its second or a later port, of many of
    them `OF_A_SOURCE`; and how many there are of each probe's source, int64 (n,)."""
    group = asked.history.group
    began = np.concatenate([[True], group[1:] != group[:-1]])[: len(group)]
    source = np.cumsum(began) - 1
    new = asked.new & (asked.probed > 1)
    of = np.bincount(source, new)[source].astype(np.int64) if len(source) else np.empty(0, np.int64)
    place = asked.probed - 2  # the number of the new port among them
    most = np.maximum(of, 1)
    taken = (place * OF_A_SOURCE // most != (place - 1) * OF_A_SOURCE // most) | (of <= OF_A_SOURCE)
    return new & taken, of


def came_after(history: History, probe: Ints, code: Ints, horizon: float = HORIZON) -> Floats:
    """After which share of the horizon, of so many seconds, since each `probe`, int64 (r,), ascending, of a history
    grouped by source, its source came to the port `code` (r,), new to it: (r,), 1 where it did not."""
    found: Floats = _came(history.ts, history.group, history.code, probe, code, round(horizon * 1e6))
    return found


@njit(cache=True, nogil=True)
def _came(ts, group, code, probe, asked, horizon):  # pragma: no cover - compiled
    """`came_after`, the rows of a group lying together."""
    came = np.ones(len(probe))
    first, whose = np.empty(CODES, np.int64), np.full(CODES, -1, np.int64)
    begin, end = 0, 0
    for i in range(len(probe)):
        at = probe[i]
        if at >= end or i == 0:
            begin = at
            while begin > 0 and group[begin - 1] == group[at]:
                begin -= 1
            end = begin
            while end < len(ts) and group[end] == group[at]:
                c = code[end]
                if whose[c] != begin:
                    whose[c], first[c] = begin, end
                end += 1
        c = asked[i]
        if whose[c] == begin and first[c] > at:
            came[i] = min((ts[first[c]] - ts[at]) / horizon, 1.0)
    return came
