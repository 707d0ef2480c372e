"""Where the nodes of a drawn graph lie: no two boxes overlap, at any width of the page. All lengths are inches.

Networkx places nodes as points; what is written in them takes room. So each connected part is laid out by its
distances, its boxes are pushed apart, and the parts are set like words in lines, the largest first.
"""

from __future__ import annotations

from collections.abc import Mapping

import networkx as nx
import numpy as np
from numpy.typing import NDArray

Points = NDArray[np.float64]

GAP = 0.22
"""The least distance between two boxes."""
_ROOM, _LITTLE_ROOM = 1.5, 0.7
"""Square inches that a node takes with the lines around it: in a part of many nodes, and of few."""
_MANY = 8
_ROUNDS = 200


def layout(graph: nx.Graph, sizes: Mapping[str, tuple[float, float]], width: float) -> tuple[dict[str, Points], float]:
    """The centre (2,) of each node's box, x and y in inches, and the height of the page.

    ``sizes`` are widths and heights of the boxes; ``width`` is that of the page, and at least that of the widest box.
    """
    shelves: list[dict[str, Points]] = [{}]
    left = top = lowest = 0.0
    for part in sorted(nx.connected_components(graph), key=lambda part: (-len(part), min(part))):
        names = sorted(part)
        boxes = np.array([sizes[name] for name in names])
        points = separated(_points(graph.subgraph(names), names, width), boxes, width)
        low, high = (points - boxes / 2).min(0), (points + boxes / 2).max(0)
        if left and left + high[0] - low[0] > width:
            left, top = 0.0, lowest
            shelves.append({})
        shelves[-1].update(zip(names, points - low + (left, top), strict=True))
        left += high[0] - low[0] + 2 * GAP
        lowest = max(lowest, top + high[1] - low[1] + 2 * GAP)
    places: dict[str, Points] = {}
    for shelf in filter(None, shelves):
        begin = min(place[0] - sizes[name][0] / 2 for name, place in shelf.items())
        end = max(place[0] + sizes[name][0] / 2 for name, place in shelf.items())
        # In the middle of the page, and upwards, as axes count.
        places.update({name: np.array([x + (width - begin - end) / 2, lowest - y]) for name, (x, y) in shelf.items()})
    return places, lowest


def separated(points: Points, boxes: Points, width: float) -> Points:
    """The centres (n, 2), moved apart until boxes of these sizes (n, 2) keep their distance, within the width.

    Boxes that overlap push each other along the axis that needs less. Where the page is too narrow for that to end,
    those that still overlap move down, one after the other, to where there is room.
    """
    points = points.copy()
    need = (boxes[:, None] + boxes[None]) / 2 + GAP
    low, high = boxes[:, 0] / 2, np.maximum(width - boxes[:, 0] / 2, boxes[:, 0] / 2)
    for _ in range(_ROUNDS):
        points[:, 0] = np.clip(points[:, 0], low, high)
        apart = points[:, None] - points[None]
        over = need - np.abs(apart)
        meet = (over > 1e-9).all(2) & ~np.eye(len(points), dtype=bool)
        if not meet.any():
            return points
        # Of two at the same place the later one goes right and down.
        order = np.sign(np.arange(len(points))[:, None] - np.arange(len(points))[None])
        sign = np.where(apart == 0, order[..., None], np.sign(apart))
        upright = over[..., 1] < over[..., 0]
        for axis, chosen in ((0, meet & ~upright), (1, meet & upright)):
            pushed = np.where(chosen, sign[..., axis] * over[..., axis] / 2, 0.0)
            points[:, axis] += pushed.sum(1) / np.maximum(chosen.sum(1), 1)
    points[:, 0] = np.clip(points[:, 0], low, high)
    placed: list[int] = []
    for at in np.argsort(points[:, 1], kind="stable").tolist():
        while True:
            over = need[at, placed] - np.abs(points[at] - points[placed])
            under = [other for other, by in zip(placed, over, strict=True) if (by > 1e-9).all()]
            if not under:
                break
            points[at, 1] = max(points[other, 1] + need[at, other, 1] for other in under)
        placed.append(at)
    return points


def _points(part: nx.Graph, names: list[str], width: float) -> Points:
    """A connected part, drawn so that lengths on paper are like lengths in the graph, and stretched to its room."""
    if len(names) <= 2:
        return np.array([[n * 1.6, 0.0] for n in range(len(names))])
    drawn = nx.Graph()
    drawn.add_nodes_from(names)
    drawn.add_edges_from(sorted(tuple(sorted(edge)) for edge in part.edges))
    found = nx.kamada_kawai_layout(drawn, weight=None)
    points = np.array([found[name] for name in names])
    points -= points.mean(0)
    points = points @ np.linalg.svd(points, full_matrices=False)[2].T  # the longest way lies from left to right
    area = (_ROOM if len(names) >= _MANY else _LITTLE_ROOM) * len(names)
    wide = min(width, np.sqrt(area * 1.5))
    span = np.maximum(np.ptp(points, axis=0), 1e-9)
    stretched: Points = (points - points.min(0)) / span * (wide, area / wide)
    return stretched
