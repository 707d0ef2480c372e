"""A table as a graph: the picture of paper 1's Fig. 9, and the networkx graph behind it and behind GraphML."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import matplotlib
import networkx as nx
import numpy as np

matplotlib.use("Agg")  # a file is drawn, whatever display there is

import matplotlib.pyplot as plt
from matplotlib.axes import Axes
from numpy.typing import NDArray

from portkin.bundles.table import Rows, Table
from portkin.files import replacing
from portkin.net.ports import Port, Proto, service_name

FIG9_PAIRS = 60
"""How many of the smallest dissimilarities paper 1 draws."""


def as_digraph(table: Table) -> nx.DiGraph:
    """All of a table: a node per port (``80/tcp``), an edge to each of its nearest ports.

    Nodes carry ``number``, ``proto`` and, where the system names one, ``service``; edges ``distance`` and
    ``rank`` (1 is the nearest).
    """
    graph = nx.DiGraph(table=table.id, method=table.method)
    for proto, rows in table.rows.items():
        places, ranks = np.nonzero(np.isfinite(rows.distances))
        near, nearest, far = rows.ports[places], rows.neighbors[places, ranks], rows.distances[places, ranks]
        for number in np.union1d(rows.ports, nearest).tolist():
            _add_port(graph, Port(number, proto))
        for one, other, distance, rank in zip(
            near.tolist(), nearest.tolist(), far.tolist(), ranks.tolist(), strict=True
        ):
            graph.add_edge(f"{one}/{proto}", f"{other}/{proto}", distance=distance, rank=rank + 1)
    return graph


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


def plot_closest(table: Table, path: Path, *, proto: Proto = "tcp", pairs: int = FIG9_PAIRS) -> int:
    """Draw the closest pairs of a protocol into ``path`` (its suffix says the format); returns how many.

    The file is the same, byte for byte, whenever the table is: the layout has a seed, and no date is written.
    """
    closest = closest_pairs(table.rows[proto], pairs) if proto in table.rows else []
    graph = nx.Graph()
    for one, other, distance in closest:
        _add_port(graph, Port(one, proto))
        _add_port(graph, Port(other, proto))
        graph.add_edge(f"{one}/{proto}", f"{other}/{proto}", distance=distance)
    with plt.rc_context({"svg.hashsalt": table.id, "font.size": 9}):
        figure, axes = plt.subplots(figsize=(14, 10), layout="constrained")
        _draw(graph, axes)
        axes.set_title(
            f"The {len(closest)} smallest dissimilarities between {proto.upper()} ports "
            f"({table.method}, table {table.id})"
        )
        axes.set_axis_off()
        dated = path.suffix.lower() in (".svg", ".pdf")
        with replacing(path) as written:
            figure.savefig(
                written,
                metadata={("Date" if path.suffix.lower() == ".svg" else "CreationDate"): None} if dated else None,
            )
        plt.close(figure)
    return len(closest)


def _add_port(graph: nx.Graph, port: Port) -> None:
    service = service_name(port)
    graph.add_node(str(port), number=port.number, proto=port.proto, **({"service": service} if service else {}))


def _draw(graph: nx.Graph, axes: Axes) -> None:
    if not graph:
        axes.text(0.5, 0.5, "no two ports of this protocol are in the table", ha="center")
        return
    places = _layout(graph)
    far = np.array([distance for _, _, distance in graph.edges(data="distance")])
    # As in the paper, the closer the pair the bolder its line.
    widths = 0.8 + 3.2 * (far.max() - far) / (np.ptp(far) or 1.0)
    nx.draw_networkx_edges(graph, places, ax=axes, width=widths.tolist(), edge_color="#8d9aa8")
    for place, distance in zip(_label_places(graph, places), far, strict=True):
        axes.text(
            place[0], place[1], f"{distance:.3g}", ha="center", va="center", fontsize=7, color="#3c4853",
            bbox={"boxstyle": "round,pad=0.1", "facecolor": "white", "edgecolor": "none", "alpha": 0.9},
        )  # fmt: skip
    for name, data in graph.nodes.items():
        text = f"{data['number']}\n{data['service']}" if "service" in data else str(data["number"])
        axes.text(
            places[name][0], places[name][1], text, ha="center", va="center", fontsize=9, linespacing=0.95,
            bbox={"boxstyle": "round,pad=0.25", "facecolor": "#e8f1fa", "edgecolor": "#2b6ca3"},
        )  # fmt: skip
    axes.set(xlim=(0, 1), ylim=(0, 1))


def _layout(graph: nx.Graph) -> dict[str, NDArray[np.float64]]:
    """Places for the nodes in the unit square: the largest connected part above, the others in a row below."""
    parts = sorted(nx.connected_components(graph), key=lambda part: (-len(part), min(part)))
    sizes = np.sqrt([len(part) for part in parts])
    below = sizes[1] / (sizes[0] + sizes[1]) if len(parts) > 1 else 0.0
    edges = np.concatenate([[0.0], np.cumsum(sizes[1:])]) / max(sizes[1:].sum(), 1.0)
    boxes = [((0.0, below), (1.0, 1.0))]
    boxes += [((left, 0.0), (right, below)) for left, right in pairwise(edges)]
    places: dict[str, NDArray[np.float64]] = {}
    for part, (low, high) in zip(parts, boxes, strict=True):
        drawn = nx.Graph(graph.subgraph(sorted(part)).edges)
        names, found = zip(*nx.kamada_kawai_layout(drawn, weight=None).items(), strict=True)
        places.update(zip(names, _fitted(np.array(found), np.array(low), np.array(high)), strict=True))
    return places


def _fitted(points: NDArray[np.float64], low: NDArray[np.float64], high: NDArray[np.float64]) -> NDArray[np.float64]:
    """The points (n, 2), turned so that they spread most from left to right, and stretched to fill the box."""
    centered = points - points.mean(0)
    turned = centered @ np.linalg.svd(centered, full_matrices=False)[2].T
    span = np.ptp(turned, axis=0)
    flat = span < 1e-6  # points on one line: stay in the middle
    share = np.where(flat, 0.5, (turned - turned.min(0)) / np.where(flat, 1.0, span))
    margin = 0.08
    fitted: NDArray[np.float64] = low + (high - low) * (margin + (1 - 2 * margin) * share)
    return fitted


def _label_places(graph: nx.Graph, places: dict[str, NDArray[np.float64]]) -> list[NDArray[np.float64]]:
    """A place for the label of each edge: along it, as far from the nodes and the labels so far as there is."""
    taken = list(places.values())
    chosen = []
    for one, other in graph.edges:
        along = [places[one] + share * (places[other] - places[one]) for share in np.linspace(0.3, 0.7, 9)]
        room = [min(float(np.linalg.norm(place - by)) for by in taken) for place in along]
        chosen.append(along[int(np.argmax(room))])
        taken.append(chosen[-1])
    return chosen
