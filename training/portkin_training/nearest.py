"""The K nearest ports of every port: d_sp of paper 1 (Evrard et al., IM 2019, III-E), equation (1).

    d_sp(i, j) = l(s) = sum over e_ij in s of omega'(e_ij),   s = sp(n_i, n_j)

A Dijkstra from each port, which settles the frontier's node of least (distance, port number) and stops
after K. So ties go to the lower port number among the ports then in reach; a port reached through another
at no extra length comes after that other.

Two facts keep it short. Only the best K - (settled) frontier nodes can ever be settled, so the frontier is
a sorted row of that size, in the very place the answer is wanted, and its last entry is a bound for all
that is still worth looking at. And with each node's edges in order of length, the first that passes the
bound ends the look at that node: some twenty edges are touched where a port has thousands.
"""

from __future__ import annotations

import numba
import numpy as np
from numpy.typing import NDArray

from portkin.table import Rows
from portkin_training.graph import Graph

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Nodes = NDArray[np.int32]


def nearest(graph: Graph, edge_lengths: Floats, k: int) -> tuple[Nodes, Floats]:
    """The k nearest nodes of every node, int32 (n, k), -1 where none, and their distances, float64, +inf.

    ``edge_lengths`` float64 (m,), one per edge of the graph, >= 0 and finite (ValueError otherwise); ``k``
    >= 1. The node itself is never among them.
    """
    if k < 1:
        raise ValueError(f"k = {k}: at least 1 neighbor must be asked for")
    if not (np.isfinite(edge_lengths).all() and (edge_lengths >= 0).all()):
        raise ValueError("edge lengths must be finite and not negative for a shortest path to exist")
    targets, ordered = _by_length(graph.indptr, graph.targets, np.ascontiguousarray(edge_lengths, np.float64))
    n = len(graph.ports)
    nodes = np.full((n, k), -1, np.int32)
    distances = np.full((n, k), np.inf)
    _search(graph.indptr, targets, ordered, nodes, distances)
    return nodes, distances


def table_rows(graph: Graph, nodes: Nodes, distances: Floats) -> Rows:
    """What `nearest` found, by port number, as a table bundle stores it."""
    ports = np.append(graph.ports, np.uint16(0))[nodes]  # node -1 takes the appended 0, the bundle's filler
    return Rows(graph.ports, ports, distances.astype(np.float32))


@numba.njit(cache=True)
def _by_length(indptr: Ints, targets: Nodes, edge_lengths: Floats) -> tuple[Nodes, Floats]:
    """Targets and lengths with each node's edges in order of (length, target)."""
    sorted_targets = np.empty_like(targets)
    sorted_lengths = np.empty_like(edge_lengths)
    for node in range(len(indptr) - 1):
        first, last = indptr[node], indptr[node + 1]
        order = np.argsort(edge_lengths[first:last], kind="mergesort")  # stable: targets increase in a row
        for i in range(last - first):
            sorted_targets[first + i] = targets[first + order[i]]
            sorted_lengths[first + i] = edge_lengths[first + order[i]]
    return sorted_targets, sorted_lengths


@numba.njit(cache=True)
def _search(indptr: Ints, targets: Nodes, edge_lengths: Floats, nodes: Nodes, distances: Floats) -> None:
    """Fill all rows; each node's edges must be in order of (length, target)."""
    n, k = nodes.shape
    reached_from = np.full(n, -1, np.int32)  # the source that reached a node last, so nothing needs clearing
    reached_at = np.empty(n, np.float64)  # and how far from it the node was
    for source in range(n):
        row, at = nodes[source], distances[source]
        reached_from[source] = source
        reached_at[source] = 0.0
        found = 0  # entries of the row: the settled in their order, then the frontier by (distance, node)
        settled = 0
        node, so_far = source, 0.0
        while True:
            edge, end = indptr[node], indptr[node + 1]
            while edge < end:
                target = targets[edge]
                distance = so_far + edge_lengths[edge]
                if found == k and distance >= at[k - 1]:
                    if distance > at[k - 1]:
                        break  # and so are all further edges of this node
                    if target > row[k - 1]:
                        # So are all further edges of this length. One a little longer may round to the same
                        # distance and lead to a lower port, so go on with the next length.
                        edge = _next_length(edge_lengths, edge, end)
                        continue
                edge += 1
                if reached_from[target] == source:
                    if reached_at[target] <= distance:
                        continue
                    place = _place_of(row, target, settled, found)
                else:
                    place = -1
                reached_from[target] = source
                reached_at[target] = distance
                if place < 0:  # new to the row, which drops its last entry when full
                    if found < k:
                        found += 1
                    place = found - 1
                while place > settled and (
                    at[place - 1] > distance or (at[place - 1] == distance and row[place - 1] > target)
                ):
                    at[place], row[place] = at[place - 1], row[place - 1]
                    place -= 1
                at[place], row[place] = distance, target
            if settled == found:
                break
            node, so_far = row[settled], at[settled]
            settled += 1
            if settled == k:
                break


@numba.njit(cache=True, inline="always")
def _next_length(edge_lengths: Floats, edge: int, end: int) -> int:
    """The first edge after ``edge`` that is longer, or ``end``: by doubling steps, then halving."""
    length = edge_lengths[edge]
    step = 1
    while edge + step < end and edge_lengths[edge + step] == length:
        step *= 2
    low, high = edge + step // 2, min(edge + step, end)  # low is of this length, high is longer or the end
    while high - low > 1:
        middle = (low + high) // 2
        if edge_lengths[middle] == length:
            low = middle
        else:
            high = middle
    return high


@numba.njit(cache=True, inline="always")
def _place_of(row: Nodes, target: int, settled: int, found: int) -> int:
    """Where the frontier holds ``target``; -1 where it fell out of the row."""
    for place in range(settled, found):
        if row[place] == target:
            return place
    return -1
