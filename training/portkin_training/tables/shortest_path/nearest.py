"""The K nearest ports of every port: d_sp of paper 1 (Evrard et al., IM 2019, III-E), equation (1).

    d_sp(i, j) = l(s) = sum over e_ij in s of omega'(e_ij),   s = sp(n_i, n_j)

A Dijkstra from each port, which settles the frontier's node of least (distance, port number) and stops
after K. So ties go to the lower port number among the ports then in reach; a port reached through another
at no extra length comes after that other.

Two facts keep it short. Only the best K - (settled) frontier nodes can ever be settled, so the frontier is a
sorted row of that size, in the very place the answer is wanted, and its last entry bounds what is worth
looking at. And of each node only the K + 1 shortest edges matter, ties by target: whatever a longer one
reaches, K ports are reached before it (K + 1 because one edge may lead back to the source). So where a port
has thousands of edges, a few of some dozen are touched.
"""

from __future__ import annotations

import numba
import numpy as np
from numpy.typing import NDArray

from portkin.bundles.table import Rows
from portkin_training.tables.shortest_path.graph import Graph

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
    edge_lengths = np.asarray(edge_lengths, np.float64)
    if not (edge_lengths.min(initial=0.0) >= 0 and edge_lengths.max(initial=0.0) < np.inf):  # a NaN fails both
        raise ValueError("edge lengths must be finite and not negative for a shortest path to exist")
    n = len(graph.ports)
    nodes = np.empty((n, k), np.int32)
    distances = np.empty((n, k))
    shortest = _shortest(graph.indptr, graph.targets, edge_lengths, k + 1)
    undecided = _search(np.arange(n), *shortest, nodes, distances)
    if len(undecided):
        order = np.lexsort((graph.targets, edge_lengths, graph.sources))
        every = (graph.indptr, graph.targets[order], edge_lengths[order], np.full(n, np.inf))
        _search(undecided, *every, nodes, distances)
    return nodes, distances


def table_rows(graph: Graph, nodes: Nodes, distances: Floats) -> Rows:
    """What `nearest` found, nodes and distances (n, k), by port number, as a table bundle stores it."""
    ports = np.append(graph.ports, np.uint16(0))[nodes]  # node -1 takes the appended 0, the bundle's filler
    return Rows(graph.ports, ports, distances.astype(np.float32))


@numba.njit(cache=True)
def _shortest(indptr: Ints, targets: Nodes, edge_lengths: Floats, width: int) -> tuple[Ints, Nodes, Floats, Floats]:
    """Of each node the ``width`` shortest edges in order of (length, target), and what comes after them.

    The first three as in a `Graph`; the fourth float64 (n,), the least length of a node's other edges that is
    greater than all of these, +inf where there is none.
    """
    n = len(indptr) - 1
    starts = np.zeros(n + 1, np.int64)
    for node in range(n):
        starts[node + 1] = starts[node] + min(indptr[node + 1] - indptr[node], width)
    to, at = np.empty(starts[n], np.int32), np.empty(starts[n], np.float64)
    after = np.full(n, np.inf)
    for node in range(n):
        first, last = starts[node], starts[node + 1] - 1
        place = first - 1
        for edge in range(indptr[node], indptr[node + 1]):
            length = edge_lengths[edge]
            if place < last:
                place += 1
            elif length >= at[last]:  # targets increase in a row: of equal lengths the first stay
                continue
            hole = place
            while hole > first and at[hole - 1] > length:
                to[hole], at[hole] = to[hole - 1], at[hole - 1]
                hole -= 1
            to[hole], at[hole] = targets[edge], length
        if indptr[node + 1] - indptr[node] > width:
            for edge in range(indptr[node], indptr[node + 1]):
                if at[last] < edge_lengths[edge] < after[node]:
                    after[node] = edge_lengths[edge]
    return starts, to, at, after


@numba.njit(cache=True)
def _search(
    sources: Ints,
    indptr: Ints,
    targets: Nodes,
    edge_lengths: Floats,
    after: Floats,
    nodes: Nodes,
    distances: Floats,
) -> Ints:
    """Fill the rows of the sources in ``nodes`` and ``distances``, both (n, k); each node's edges are in order.

    Returns the sources whose rows hang on edges that were left out. Only where sums round can that be: an edge is
    longer than those at hand, yet ``after`` says that it may reach a lower port at no greater a distance.
    """
    n, k = nodes.shape
    undecided = np.empty_like(sources)
    n_undecided = 0
    reached_from = np.full(n, -1, np.int32)  # the source that reached a node last, so nothing needs clearing
    reached_at = np.empty(n, np.float64)  # and how far from it the node was
    for source in sources:
        row, at = nodes[source], distances[source]
        row[:], at[:] = -1, np.inf
        reached_from[source] = source
        reached_at[source] = 0.0
        found = 0  # entries of the row: the settled in their order, then the frontier by (distance, node)
        settled = 0
        node, so_far = source, 0.0
        while True:
            edge, end = indptr[node], indptr[node + 1]
            while edge < end:
                target, distance = targets[edge], so_far + edge_lengths[edge]
                if found == k and distance >= at[k - 1]:
                    if distance > at[k - 1]:
                        break  # and so are all longer edges
                    if target > row[k - 1]:
                        edge += 1
                        continue
                edge += 1
                place = -1
                if reached_from[target] == source:
                    if reached_at[target] <= distance:
                        continue
                    for i in range(settled, found):
                        if row[i] == target:
                            place = i
                reached_from[target] = source
                reached_at[target] = distance
                if place < 0:  # not in the row, which drops its last entry when full
                    if found < k:
                        found += 1
                    place = found - 1
                while place > settled and (
                    at[place - 1] > distance or (at[place - 1] == distance and row[place - 1] > target)
                ):
                    at[place], row[place] = at[place - 1], row[place - 1]
                    place -= 1
                at[place], row[place] = distance, target
            if edge == end and so_far + after[node] <= at[k - 1] < np.inf:
                undecided[n_undecided] = source
                n_undecided += 1
                break
            if settled == found:
                break
            node, so_far = row[settled], at[settled]
            settled += 1
            if settled == k:
                break
    return undecided[:n_undecided]
