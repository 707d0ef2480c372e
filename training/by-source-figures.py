#!/usr/bin/env python
"""Measures kin and its predictions by source on two recordings, beside Euclidean and the paper, for docs/replay.md.

  training/by-source-figures.py FOLDER-OF-RECORDINGS [ROW...]

Each recording is learnt from its first 80, 65 and 50 % and tried on the rest, and each is tried on the other. Prints
Markdown: recall at the blocks that Euclidean and the paper issue (of the other / the table / by source / the hindsight
oracle), what by source finds beside the two bounds of the bar, then the chances. ROW numbers, from 0, choose some.
"""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from portkin.cli import portkin
from portkin_training.core.dataset import open_probes
from portkin_training.core.history import read_history, within
from portkin_training.evaluation.by_source import TIMES
from portkin_training.evaluation.held_out import SWEEP, HeldOut, asked_of, tried
from portkin_training.replay.baselines import BASELINES
from portkin_training.replay.events import darknet_events
from portkin_training.replay.frontier import BY_SOURCE, ORACLE, recall_at
from portkin_training.tables.methods import METHODS
from portkin_training.tables.next_port.by_source import learn_from_sources
from portkin_training.tables.scans import ScanOptions

RECORDINGS = {
    "AWS": ("aws-honeypots-2013.csv.gz", "-c ts=datetime -c dst=host --names -c sport=spt -c dport=dpt"),
    "T-Pot": ("tpot-p0f-syn-2020.csv.gz", "-c ts=ts_utc --proto tcp"),
}
FEW = 20
AHEAD, OF_ORACLE = 1.35, 0.85
"""The bar: so many times what the other finds, or such a share of what the oracle finds, where that is less. Tried on
another recording, as much as the other."""
PEERS = {"Euclidean": (3, 10), "shortest-path": (3, 10)}


@dataclass(frozen=True)
class Row:
    """What is learnt from, how much of it, and what it is tried on: the rest, or another recording."""

    learnt: str
    share: float
    tried: str

    @property
    def name(self) -> str:
        """As the table of the docs calls it."""
        if self.learnt != self.tried:
            return f"{self.learnt}, tried on {self.tried}"
        return f"{self.learnt}, first {self.share:.0%}".replace("%", " %")


ROWS = (
    *(Row(name, share, name) for name in RECORDINGS for share in (0.8, 0.65, 0.5)),
    Row("AWS", 1.0, "T-Pot"),
    Row("T-Pot", 1.0, "AWS"),
)


def measured(row: Row, datasets: Mapping[str, Path]) -> HeldOut:
    """Kin, by source too, the paper and Euclidean."""
    options, probes = ScanOptions(), open_probes(datasets[row.learnt])
    history = read_history(probes)
    learnt, earlier, tested = probes, history, history
    if row.learnt == row.tried:
        earlier, tested = history.divided(row.share)
        learnt = within(probes, history.spans(row.share))
    else:
        tested = read_history(open_probes(datasets[row.tried]))

    def rows(name: str, long: int) -> object:
        return METHODS[name](learnt, options, long, **asked_of(name, tested))

    ways = {name: partial(rows, name) for name in ("kin", "shortest-path")}
    ways["Euclidean"] = partial(BASELINES["Euclidean"], earlier)
    by_source = partial(learn_from_sources, learnt, options)
    return tried(tested, earlier, darknet_events(tested), ways, SWEEP, k=32, by_source=by_source)


def recalls(row: Row, found: HeldOut) -> tuple[list[str], list[str]]:
    """Cells of the two tables of recall: at the blocks of peers, and at multiples of those of MySelf."""
    table, ours, best = (found.frontiers[name] for name in ("kin", BY_SOURCE, ORACLE))
    at_peers, at_times = [row.name], [row.name]
    for peer, ks in PEERS.items():
        for point in found.frontiers[peer]:
            if point.k in ks:
                blocks = point.blocks
                at = [recall_at(points, blocks) for points in (table, ours, best)]
                at_peers.append(" / ".join(f"{share:.3f}" for share in (point.recall, *at)))
    idle = min(point.blocks for point in table)
    at_times += [" / ".join(f"{recall_at(points, at * idle):.3f}" for points in (table, ours)) for at in TIMES]
    return at_peers, at_times


def bars(row: Row, found: HeldOut) -> list[str]:
    """Cells: how many times what each peer finds by source finds, the two bounds as such multiples, and whether the
    lower one is reached."""
    cells, ahead = [row.name], AHEAD if row.learnt == row.tried else 1.0
    for peer, ks in PEERS.items():
        for point in (point for point in found.frontiers[peer] if point.k in ks):
            ours, best = (recall_at(found.frontiers[name], point.blocks) / point.recall for name in (BY_SOURCE, ORACLE))
            reached = "" if ours >= min(ahead, OF_ORACLE * best) else " (missed)"
            cells.append(f"{ours:.3f} of {ahead:g} or {OF_ORACLE * best:.2f}{reached}")
    return cells


def chances(row: Row, found: HeldOut) -> list[str]:
    """Cells of the table of chances, of bins with `FEW` cases or more."""
    curves = (found.reliability, found.reliability_by_source)
    return [row.name, *(", ".join(map(in_bin, (at for at in curve if at["cases"] >= FEW))) for curve in curves)]


def in_bin(at: Mapping[str, float]) -> str:
    """Where a bin of chance begins, observed over stated, and how many cases that is."""
    return f"{at['from']:g}: {at['observed'] / at['stated']:.2f} ({at['cases']:,.0f})"


def markdown(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table."""
    return "\n".join(f"| {' | '.join(cells)} |" for cells in (head, ["---"] * len(head), *rows))


def run(recordings: Path, chosen: Sequence[int]) -> None:
    """Ingest both recordings, and print what is measured."""
    with tempfile.TemporaryDirectory() as work:
        datasets = {}
        for name, (file, columns) in RECORDINGS.items():
            datasets[name] = Path(work) / name
            portkin(
                ["ingest", str(recordings / file), "-o", str(datasets[name]), *columns.split()], standalone_mode=False
            )
        peers, times, curves, reached = [], [], [], []
        for number in chosen:
            found = measured(ROWS[number], datasets)
            at_peers, at_times = recalls(ROWS[number], found)
            peers.append(at_peers)
            times.append(at_times)
            curves.append(chances(ROWS[number], found))
            reached.append(bars(ROWS[number], found))
            print(ROWS[number].name, at_peers, at_times, reached[-1], curves[-1], sep="\n", file=sys.stderr, flush=True)
    head = [f"{peer}, K = {k}" for peer, ks in PEERS.items() for k in ks]
    print(markdown(["learnt from", *head], peers), end="\n\n")
    print(markdown(["learnt from", *head], reached), end="\n\n")
    print(markdown(["learnt from", *(f"{at:g} x" for at in TIMES)], times), end="\n\n")
    print(markdown(["learnt from", "the table", "by source"], curves))


if __name__ == "__main__":
    run(Path(sys.argv[1]), [int(number) for number in sys.argv[2:]] or range(len(ROWS)))
