"""A table as a graph: the picture of paper 1's Fig. 9."""

from __future__ import annotations

import textwrap
from dataclasses import dataclass
from pathlib import Path

import matplotlib
import networkx as nx
import numpy as np

matplotlib.use("Agg")  # a file is drawn, whatever display there is

import matplotlib.pyplot as plt
from matplotlib.axes import Axes

from portkin.bundles.table import Rows, Table
from portkin.files import replacing
from portkin.net.ports import Port, Proto, service_name
from portkin_training.tables.graph_layout import GAP, Points, layout

FIG9_PAIRS = 60
"""How many pairs paper 1 draws."""
WIDTH = 10.0
"""Inches: of a page on a screen. A phone shows 4."""
_NEAR = 16
"""Ports no further apart are next to each other: a scan in a row gets from one to the other, whatever they are."""
_CHANCES = ("kin",)
"""Methods whose distance is -log of a chance."""
_MARGIN = 0.35
_POINT = 1 / 72
_FONT, _SMALL = 9.0, 6.5


@dataclass(frozen=True)
class Pair:
    """Two ports that lie near each other."""

    one: int
    other: int
    weight: float
    """By which pairs are ranked: the more the nearer."""
    label: str


def closest_pairs(rows: Rows, n: int) -> list[tuple[int, int, float]]:
    """The ``n`` pairs of ports with the smallest dissimilarities, smallest first, as (port, port, distance).

    The dissimilarity of a pair is the smaller of its two directions, and the pair is in the order of that one
    (the lower port first where both are equal). Ties go to the lower ports.
    """
    places, ranks = np.nonzero(np.isfinite(rows.distances))
    one = rows.ports[places].astype(np.int64)
    other = rows.neighbors[places, ranks].astype(np.int64)
    far = rows.distances[places, ranks]
    low, high = np.minimum(one, other), np.maximum(one, other)
    order = np.lexsort((one, high, low, far))
    _, first = np.unique((low << 16 | high)[order], return_index=True)
    chosen = order[np.sort(first)[:n]]
    return list(zip(one[chosen].tolist(), other[chosen].tolist(), far[chosen].tolist(), strict=True))


def likely_pairs(rows: Rows, n: int) -> list[tuple[int, int, float, float]]:
    """The ``n`` pairs between which most scanners are expected to step, as (port, port, weight, chance), most first.

    Chance alone favours ports that hardly anybody probes: where two of three sources went on to the next port, it is
    high, and means little. A table holds no counts; but the rows of all ports name the ports that many sources reach
    from anywhere. So the weight of a step from p to q is its chance times one more than the number of ports, other
    than those next to p, that p is a neighbor of; the weight of a pair is that of both its directions, its chance the
    larger one, and it is in the order of that (the lower port first where both are equal). Ties go to the lower ports.
    """
    places, ranks = np.nonzero(np.isfinite(rows.distances))
    one = rows.ports[places].astype(np.int64)
    other = rows.neighbors[places, ranks].astype(np.int64)
    chance = np.exp(-rows.distances[places, ranks].astype(np.float64))
    leads = np.bincount(other[np.abs(one - other) > _NEAR], minlength=65_536)
    keys, at = np.unique(np.minimum(one, other) << 16 | np.maximum(one, other), return_inverse=True)
    weights = np.bincount(at, (1 + leads[one]) * chance, len(keys)).round(9)  # sums differ in their last digits
    # Of the two directions of a pair, the likelier.
    order = np.lexsort((one, -chance, at))
    best = order[np.unique(at[order], return_index=True)[1]]
    chosen = best[np.argsort(-weights, kind="stable")[:n]]
    weight = weights[at[chosen]]
    return list(
        zip(one[chosen].tolist(), other[chosen].tolist(), weight.tolist(), chance[chosen].tolist(), strict=True)
    )


def pairs_of(table: Table, proto: Proto, n: int) -> list[Pair]:
    """The pairs to draw: the paper's, by the smallest dissimilarity, unless the table holds chances."""
    if proto not in table.rows:
        return []
    if table.method in _CHANCES:
        likely = likely_pairs(table.rows[proto], n)
        return [Pair(one, other, np.log(weight), _percent(chance)) for one, other, weight, chance in likely]
    return [Pair(one, other, -far, f"{far:.3g}") for one, other, far in closest_pairs(table.rows[proto], n)]


def plot_closest(
    table: Table, path: Path, *, proto: Proto = "tcp", pairs: int = FIG9_PAIRS, width: float = WIDTH
) -> int:
    """Draw the closest pairs of a protocol into ``path`` (its suffix says the format); returns how many.

    ``width`` is in inches; the page is as high as the ports need. The file is the same, byte for byte, whenever the
    table is: the layout has no chance in it, and no date is written.
    """
    drawn = pairs_of(table, proto, pairs)
    graph = nx.Graph()
    for pair in drawn:
        _add_port(graph, Port(pair.one, proto))
        _add_port(graph, Port(pair.other, proto))
        graph.add_edge(f"{pair.one}/{proto}", f"{pair.other}/{proto}", weight=pair.weight, label=pair.label)
    inner = width - 2 * _MARGIN
    sizes = {name: _size(_text(data), _FONT) for name, data in graph.nodes.items()}
    places, height = layout(graph, sizes, inner)
    with plt.rc_context({"svg.hashsalt": table.id, "font.size": _FONT, "font.family": "DejaVu Sans"}):
        figure = plt.figure(figsize=(width, height + 1.0))
        axes = figure.add_axes((_MARGIN / width, 0.2 / (height + 1.0), inner / width, height / (height + 1.0) or 0.1))
        axes.set(xlim=(0, inner), ylim=(0, height or 1.0))
        axes.set_axis_off()
        _draw(graph, sizes, places, axes)
        figure.text(0.5, 1 - 0.12 / (height + 1.0), _title(table, proto, len(drawn), inner), ha="center", va="top")
        dated = path.suffix.lower() in (".svg", ".pdf")
        with replacing(path) as written:
            figure.savefig(
                written,
                dpi=150,
                metadata={("Date" if path.suffix.lower() == ".svg" else "CreationDate"): None} if dated else None,
            )
        plt.close(figure)
    return len(drawn)


def _title(table: Table, proto: Proto, n: int, width: float) -> str:
    """What is drawn, in lines that fit."""
    what = (
        f"The {n} pairs of {proto.upper()} ports that most scanners probe one after the other, and the chance in the "
        "likelier order"
        if table.method in _CHANCES
        else f"The {n} smallest dissimilarities between {proto.upper()} ports"
    )
    return textwrap.fill(f"{what} ({table.method}, table {table.id})", int(width / (0.55 * _FONT * _POINT)))


def _percent(chance: float) -> str:
    return f"{chance:.0%}" if chance >= 0.00995 else f"{chance:.1%}"  # below, two digits would say 1.0 %


def _add_port(graph: nx.Graph, port: Port) -> None:
    service = service_name(port)
    graph.add_node(str(port), number=port.number, proto=port.proto, **({"service": service} if service else {}))


def _text(data: dict[str, object]) -> str:
    return f"{data['number']}\n{data['service']}" if "service" in data else str(data["number"])


def _size(text: str, font: float) -> tuple[float, float]:
    """About how wide and high a text and its box are, in inches: letters are 0.62 of the font's size wide."""
    lines = text.split("\n")
    return (0.62 * max(map(len, lines)) + 0.7) * font * _POINT, (1.15 * len(lines) + 0.7) * font * _POINT


def _draw(graph: nx.Graph, sizes: dict[str, tuple[float, float]], places: dict[str, Points], axes: Axes) -> None:
    if not graph:
        axes.text(0.5, 0.5, "no two ports of this protocol are in the table", ha="center", transform=axes.transAxes)
        return
    weights = np.array([weight for _, _, weight in graph.edges(data="weight")])
    # As in the paper, the closer the pair the bolder its line.
    widths = 0.6 + 3.2 * (weights - weights.min()) / (np.ptp(weights) or 1.0)
    for (one, other), width in zip(graph.edges, widths.tolist(), strict=True):
        axes.plot(*zip(places[one], places[other], strict=True), lw=width, color="#8d9aa8", zorder=1)
    for text, place in _labels(graph, sizes, places):
        axes.text(
            place[0], place[1], text, ha="center", va="center", fontsize=_SMALL, color="#3c4853", zorder=2,
            bbox={"boxstyle": "round,pad=0.1", "facecolor": "white", "edgecolor": "none", "alpha": 0.9},
        )  # fmt: skip
    for name, data in graph.nodes.items():
        axes.text(
            places[name][0], places[name][1], _text(data), ha="center", va="center", linespacing=0.95, zorder=3,
            bbox={"boxstyle": "round,pad=0.25", "facecolor": "#e8f1fa", "edgecolor": "#2b6ca3"},
        )  # fmt: skip


def _labels(
    graph: nx.Graph, sizes: dict[str, tuple[float, float]], places: dict[str, Points]
) -> list[tuple[str, Points]]:
    """The labels of edges, and where they lie: along the edge, over no port and no other label.

    The boldest come first; a label for which there is no room is left out, since one that hides another says less.
    """
    centers = [*places.values()]
    boxes = [sizes[name] for name in places]
    chosen = []
    for one, other, data in sorted(graph.edges(data=True), key=lambda edge: (-edge[2]["weight"], edge[:2])):
        box = _size(data["label"], _SMALL)
        need = (np.array(boxes) + box) / 2
        along = [places[one] + share * (places[other] - places[one]) for share in _SHARES]
        # How far beyond what is needed the nearest box lies, in the direction that has more room.
        room = [float(((np.abs(np.array(centers) - place) - need).max(1)).min()) for place in along]
        best = int(np.argmax(np.minimum(room, GAP)))
        if room[best] >= 0:
            chosen.append((str(data["label"]), along[best]))
            centers.append(along[best])
            boxes.append(box)
    return chosen


_SHARES = sorted(np.linspace(0.15, 0.85, 29), key=lambda share: abs(share - 0.5))
"""Places along an edge to try, the middle first."""
