"""Tables by next-port chances, the method "kin": all that is known is ranked, nothing is cut, and every entry has its
chance."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

import ibis.expr.types as ir
import numpy as np
from numpy.typing import NDArray

from portkin.bundles.table import Rows
from portkin.net.ports import PORTS, PROTOS, Proto
from portkin_training.core.history import AT_ONCE, History, histories_by_source, outside, spans_of
from portkin_training.core.port_codes import CODES
from portkin_training.core.protocols import PROTO_NUMBERS
from portkin_training.tables.next_port.calibration import Calibration, Cases, calibrate, how_soon
from portkin_training.tables.next_port.chances import EARLIER, fit_weights
from portkin_training.tables.next_port.counts import (
    Outcomes,
    PortCountsSum,
    PortStatistics,
    count_ports,
    outcomes,
    statistics_of,
    summed_outcomes,
)
from portkin_training.tables.next_port.ranking import Ranking, rank
from portkin_training.tables.next_port.recorded import Recorded, ends_of
from portkin_training.tables.protocol_rows import ProtocolRows
from portkin_training.tables.scans import ScanOptions

ROW = 32
"""Entries of a row that the chances are calibrated on, however many the table holds."""
_DIGITS = 2
"""Decimals of -log P: more are not known, and would make the table larger."""
Learnt = tuple[NDArray[np.float64], Calibration]
"""What a later part of the probes says of counts of the earlier part: weights, and what their odds come to."""


class FromProbes(NamedTuple):
    """What probes say: the counts of their earlier part, which lies in the `spans` [start, end), and of all of them,
    what was `learnt` from the rest, how many there are, TCP and UDP, and the `ends` int64 (e,) of what was recorded."""

    earlier: PortStatistics
    whole: PortCountsSum
    learnt: Learnt
    probes: list[int]
    spans: list[tuple[int, int]]
    ends: NDArray[np.int64]


def next_port(
    probes: ir.Table, options: ScanOptions, k: int, *, ports: NDArray[np.int64] | None = None
) -> dict[Proto, ProtocolRows]:
    """The k most likely next new ports of every port, or of the codes `ports` int64 (n,) alone; distances are -log P, P
    the chance of `calibration`.

    The scan filter of the options is the paper's and serves it alone; here sweeps and single probes are evidence
    too.
    """
    whole, learnt, number = said_by(probes, options)[1:4]  # the earlier part's counts, let go of, are much memory
    return rows_of(statistics_of(whole.total()), learnt, options, k, number, ports=ports)


def said_by(probes: ir.Table, options: ScanOptions) -> FromProbes:
    """What an Ibis table of probes says, from which the rows of a table are made."""
    wanted = probes.filter(probes.proto.isin([PROTO_NUMBERS[proto] for proto in options.protos]))
    spans = spans_of(wanted, EARLIER)
    whole, earlier, later = PortCountsSum(), PortCountsSum(), []
    cases: list[History] = []
    probes_of = np.zeros(2, np.int64)
    for history in histories_by_source(wanted):
        first = history.inside(spans)
        rest = history[~first]
        whole.add(count_ports(history))
        earlier.add(count_ports(history[first]))
        later.append(outcomes(rest))
        probes_of += np.bincount(history.code // PORTS, minlength=2)
        if sum(map(len, cases)) < AT_ONCE:
            cases.append(rest)
    after = summed_outcomes(later)
    again = cases if len(cases) == len(later) else histories_by_source(outside(wanted, spans))
    ends = ends_of(wanted)
    known = statistics_of(earlier.total())
    learnt = learn_from(known, after, np.flatnonzero(after.trials), cases, again, ends)
    return FromProbes(known, whole, learnt, probes_of.tolist(), spans, ends)


def learn_from(
    known: PortStatistics,
    later: Outcomes,
    ports: NDArray[np.int64],
    some: Sequence[History],
    cases: Iterable[History],
    ends: NDArray[np.int64],
) -> Learnt:
    """The weights by which what is known predicts what came later, and the calibration of the chances that they give
    on later `cases`, by sources; `ports` int64 (n,) are those of the cases, `some` of which say how soon chances come
    true, and the `ends` int64 (e,) until when they were recorded."""
    weights = fit_weights(known, later)
    ranking = rank(known, weights, ports, ROW)
    recorded = Recorded(ends, how_soon(some, ranking.ports, ranking.codes, ends))
    return weights, calibrate(ranking.odds, Cases.of_all(cases, ranking.ports, ranking.codes, recorded=recorded))


def rows_of(
    known: PortStatistics,
    learnt: Learnt,
    options: ScanOptions,
    k: int,
    probes: Sequence[int],
    *,
    ports: NDArray[np.int64] | None = None,
) -> dict[Proto, ProtocolRows]:
    """The rows that `next_port` makes of what it learnt, of the codes `ports` int64 (n,) or of all; `probes` says of
    how many, TCP and UDP."""
    weights, calibration = learnt
    built = {}
    for proto, every in _ports(options, known.visits):
        of = every[0] // PORTS
        asked = every if ports is None else ports[ports // PORTS == of]
        counts = {
            "probes": int(probes[of]),
            "visits": round(float(known.visits[every].sum())),
            "pairs": int(np.count_nonzero(known.pairs.keys // CODES // PORTS == of)),
            "weights": [round(float(weight), 6) for weight in weights],
            "calibration": calibration.points.round(4).tolist(),
        }
        built[proto] = ProtocolRows(_bundle_rows(rank(known, weights, asked, k), calibration), counts)
    return built


def _ports(options: ScanOptions, visits: NDArray[np.float64]) -> Iterator[tuple[Proto, NDArray[np.int64]]]:
    """The codes of each protocol; a single one where nobody probed anything."""
    for shift, proto in zip((0, PORTS), PROTOS, strict=True):
        if proto in options.protos:
            yield proto, np.arange(shift, shift + (PORTS if visits.any() else 1))


def _bundle_rows(ranking: Ranking, calibration: Calibration) -> Rows:
    """As a bundle stores it: the ports that were probed or have anything to say."""
    here = (ranking.codes >= 0).any(axis=1) | ranking.probed
    codes, chance = ranking.codes[here], calibration.chances(ranking.odds[here])
    filled = codes >= 0
    with np.errstate(divide="ignore"):
        distances = np.where(filled, -np.log(np.where(filled, chance, 1.0)).round(_DIGITS), np.inf)
    return Rows(
        (ranking.ports[here] % PORTS).astype(np.uint16),
        np.where(filled, codes % PORTS, 0).astype(np.uint16),
        np.abs(distances).astype(np.float32),
    )
