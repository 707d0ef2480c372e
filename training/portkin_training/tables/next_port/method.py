"""Tables by next-port chances, the method "kin": what is left out is chosen on a later part of the training probes,
then all of them are counted."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict

import ibis.expr.types as ir
import numpy as np
from numpy.typing import NDArray

from portkin.bundles.table import Rows
from portkin.net.ports import PORTS, PROTOS, Proto
from portkin_training.core.history import History, read_history, within
from portkin_training.core.port_codes import CODES
from portkin_training.core.protocols import PROTO_NUMBERS
from portkin_training.replay.baselines import BASELINES, euclidean
from portkin_training.replay.blocking import Sweep, replay
from portkin_training.replay.events import Events, darknet_events
from portkin_training.replay.metrics import columns
from portkin_training.replay.predictors import matrix_of_rows
from portkin_training.tables.next_port.chances import Ranking, learn_weights, rank
from portkin_training.tables.next_port.counts import HORIZON, PortStatistics, learn
from portkin_training.tables.next_port.pruning import Pruning, prunings
from portkin_training.tables.protocol_rows import ProtocolRows
from portkin_training.tables.scans import ScanOptions
from portkin_training.tables.shortest_path.method import shortest_path

LATER = 0.8
"""The share of the probes after which the choice is tried out."""
NEARLY = 0.97
"""Of the new ports predicted, what fuller rows and more useful blocks may cost."""
MARGIN = 1.05
"""How many times as useful as the paper's blocks must be where the choice is made, to be as useful elsewhere."""
LEVELS = (3, 10)
"""The K for which the choice is made, together."""
_DIGITS = 2
"""Decimals of -log P: more are not known, and would make the table larger."""
TRIAL_PROBES = 500_000
"""Probes the choice is tried out on, at most."""


def recall_and_usefulness(events: Events, matrix: NDArray[np.int32], ks: tuple[int, ...]) -> NDArray[np.float64]:
    """New-port recall and usefulness at each K, (K, 2), with blocks of `HORIZON` seconds; nan where undefined."""
    counts = replay(events, matrix, Sweep(ks, (HORIZON,), (ks[0], HORIZON)))
    found = []
    for k in ks:
        named = columns(counts, k, HORIZON)
        with np.errstate(invalid="ignore"):  # 0 / 0
            found.append(
                [
                    named["new_blocked"].sum() / named["new"].sum(),
                    named["useful"].sum() / named["blocks"].sum(),
                ]
            )
    return np.array(found)


def choose(
    ranking: Ranking, later: History, paper: NDArray[np.int32], rivals: Sequence[NDArray[np.int32]] = ()
) -> Pruning:
    """Of all `prunings`, one by which `ranking` does best on the later part, with `LEVELS` ports.

    At each level it has to predict `NEARLY` as many new ports as the best of `paper`, the nearest numbers and the
    `rivals`, or `NEARLY` as many as can be where that is less. Of the prunings that do, and whose blocks are at least
    `MARGIN` times as useful as those of `paper`, at each level, those are taken that leave most in every row; of these,
    one predicts most, summed over the levels, and of all that predict `NEARLY` as many it is the one with the most
    useful blocks. Where no blocks are that useful, the pruning whose blocks come closest: what is predicted goes first,
    since useful blocks alone are had by predicting next to nothing.

    `paper` and `rivals` are int32 (CODES, >= max K); they and `ranking` are
    learnt from what came before. Everything is kept where nothing new is reached.
    """
    events = darknet_events(later[:TRIAL_PROBES])
    ks = tuple(k for k in LEVELS if k <= ranking.codes.shape[1]) or (ranking.codes.shape[1],)
    if np.isnan(recall_and_usefulness(events, ranking.matrix(), ks)).any():
        return Pruning()
    theirs = np.array([recall_and_usefulness(events, near, ks) for near in (paper, euclidean(later, ks[-1]), *rivals)])
    tried = list(prunings())
    found = np.array([recall_and_usefulness(events, pruning(ranking).matrix(), ks) for pruning in tried])
    recall = found[:, :, 0]
    with np.errstate(divide="ignore", invalid="ignore"):  # where none of the paper's blocks is useful, any is more so
        useful = np.nan_to_num(found[:, :, 1] / theirs[0, :, 1], nan=1.0, posinf=np.inf).min(axis=1)
    enough = (recall >= NEARLY * np.minimum(theirs[:, :, 0].max(axis=0), recall.max(axis=0))).all(axis=1)
    good = enough & (useful >= MARGIN)
    if not good.any():
        return tried[int(np.argmax(np.where(enough, useful, -1.0)))]
    least = np.array([pruning.least for pruning in tried])
    good &= least == least[good].max()
    total = recall.sum(axis=1)
    best = good & (total >= NEARLY * total[good].max())
    return tried[int(np.argmax(np.where(best, useful, -1.0)))]


def next_port(probes: ir.Table, options: ScanOptions, k: int) -> dict[Proto, ProtocolRows]:
    """The k most likely next new ports of every port, where the pruning keeps them; distances are -log P.

    The scan filter of the options is the paper's and serves it alone; here sweeps and single probes are evidence
    too.
    """
    wanted = probes.filter(probes.proto.isin([PROTO_NUMBERS[proto] for proto in options.protos]))
    history = read_history(wanted)
    earlier, later = history.divided(LATER)
    pruning = Pruning()
    if len(earlier) and len(later):
        paper = shortest_path(within(wanted, history.spans(LATER)), options, max(k, *LEVELS))
        tried = rank(learn(earlier), learn_weights(earlier), np.unique(later.code), k)
        nearest = matrix_of_rows({proto: part.rows for proto, part in paper.items()}, max(k, *LEVELS))
        rivals = [baseline(earlier, max(LEVELS)) for baseline in BASELINES.values()]
        pruning = choose(tried, later, nearest, rivals)
    probes_of = np.bincount(history.code // PORTS, minlength=2)
    return rows_of(learn(history), learn_weights(history), pruning, options, k, probes_of.tolist())


def rows_of(
    known: PortStatistics,
    weights: NDArray[np.float64],
    pruning: Pruning,
    options: ScanOptions,
    k: int,
    probes: Sequence[int],
) -> dict[Proto, ProtocolRows]:
    """The rows that `next_port` makes of what it learnt; `probes` says of how many, TCP and UDP."""
    built = {}
    for proto, ports in _ports(options, known.visits):
        ranking = pruning(rank(known, weights, ports, k))
        counts = {
            "probes": int(probes[ports[0] // PORTS]),
            "visits": round(float(known.visits[ports].sum())),
            "pairs": int(np.count_nonzero(known.pairs.keys // CODES // PORTS == ports[0] // PORTS)),
            "rule": asdict(pruning),
            "weights": [round(float(weight), 6) for weight in weights],
        }
        built[proto] = ProtocolRows(_bundle_rows(ranking), counts)
    return built


def _ports(options: ScanOptions, visits: NDArray[np.float64]) -> Iterator[tuple[Proto, NDArray[np.int64]]]:
    """The codes of each protocol; a single one where nobody probed anything."""
    for shift, proto in zip((0, PORTS), PROTOS, strict=True):
        if proto in options.protos:
            yield proto, np.arange(shift, shift + (PORTS if visits.any() else 1))


def _bundle_rows(ranking: Ranking) -> Rows:
    """As a bundle stores it: the ports that were probed or have anything to say."""
    here = (ranking.codes >= 0).any(axis=1) | ranking.probed
    codes, chance = ranking.codes[here], ranking.chance[here]
    filled = codes >= 0
    with np.errstate(divide="ignore"):
        distances = np.where(filled, -np.log(np.where(filled, chance, 1.0)).round(_DIGITS), np.inf)
    return Rows(
        (ranking.ports[here] % PORTS).astype(np.uint16),
        np.where(filled, codes % PORTS, 0).astype(np.uint16),
        distances.astype(np.float32),
    )
