"""The K nearest ports of all ports, beside networkx, scipy and igraph on the same graph.

Two graphs over all 65,536 ports: `skewed`, as probing makes them (ports as popular as Zipf's law has it, an edge as
heavy as often as it was drawn), and `uniform`, where all ports are alike, which is kinder to those who look at every
edge of a port they settle. Everybody uses one core and reads the same lengths, and everybody may stop: networkx and
igraph are named the K-th port as the target, scipy the K-th distance as the limit, both of which we found before. The
distance of the K-th port must be the same to the last bit.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import networkx as nx
import numpy as np
import scipy.sparse
from scipy.sparse.csgraph import dijkstra

from bench.figures import MICRO, Figure, Missing, Size, Work, compare, script
from portkin.net.ports import PORTS
from portkin_training.tables.scans import Transitions
from portkin_training.tables.shortest_path.graph import Graph, build_graph, whole_lengths
from portkin_training.tables.shortest_path.nearest import nearest

K = 16
EDGES = {"smoke": 200_000, "small": 1_000_000, "full": 5_000_000}
SAMPLE = {"smoke": 2, "small": 20, "full": 20}
"""Ports that the peers search from."""
REPEATED = "{} searches from a port in a call; what a call takes to read the weights is taken off"
"""A call that could search from all ports at once would read the weights once; but all ports would have one limit, or
one target, and nobody could stop early. So a call searches from one port over and over."""


def drawn_transitions(edges: int, *, skew: float, seed: int) -> Transitions:
    """``edges`` distinct pairs over all ports; port popularity falls as rank ** -skew, 0 for all alike."""
    rng = np.random.default_rng(seed)
    popularity = np.arange(1, PORTS + 1, dtype=float) ** -skew
    ports = rng.permutation(PORTS)
    pairs = np.empty(0, np.int64)
    counts = np.empty(0, np.int64)
    everyone = np.stack([ports, np.roll(ports, 1)])  # no port is left out
    drawn = [everyone[0].astype(np.int64) << 16 | everyone[1]]
    while len(pairs) < edges:
        ends = ports[rng.choice(PORTS, (2, edges), p=popularity / popularity.sum())]
        drawn.append((ends[0].astype(np.int64) << 16 | ends[1])[ends[0] != ends[1]])
        pairs, counts = np.unique(np.concatenate(drawn), return_counts=True)
    kept = np.sort(rng.permutation(len(pairs))[:edges])
    pairs, counts = pairs[kept], counts[kept]
    return Transitions((pairs >> 16).astype(np.uint16), (pairs & 0xFFFF).astype(np.uint16), counts)


def by_networkx(graph: Graph, lengths: np.ndarray, searches: list[tuple[int, int, float]]) -> Work:
    """Its Dijkstra ends when it settles the target."""
    directed = nx.DiGraph()
    directed.add_nodes_from(range(len(graph.ports)))
    directed.add_weighted_edges_from(
        zip(graph.sources.tolist(), graph.targets.tolist(), lengths.tolist(), strict=True), weight="length"
    )

    def search() -> None:
        for source, target, distance in searches:
            assert distance == nx.dijkstra_path_length(directed, source, target, weight="length")

    return Work("networkx", search, len(searches))


def by_scipy(graph: Graph, lengths: np.ndarray, searches: list[tuple[int, int, float]]) -> Work:
    """Its Dijkstra ends at the limit. A call checks all weights first: see `REPEATED`."""
    n, many = len(graph.ports), 20
    matrix = scipy.sparse.csr_array((lengths, graph.targets, graph.indptr), (n, n))

    def search() -> None:
        for source, target, distance in searches:
            assert (dijkstra(matrix, indices=[source] * many, limit=distance)[:, target] == distance).all()

    def start() -> None:
        for source, _, _ in searches:
            dijkstra(matrix, indices=[source], limit=0.0)

    return Work("scipy.sparse.csgraph", search, len(searches) * many, start, REPEATED.format(many))


def by_igraph(graph: Graph, lengths: np.ndarray, searches: list[tuple[int, int, float]]) -> Work | Missing:
    """Its Dijkstra ends when it settles the target. A call makes all weights from Python's floats: see `REPEATED`."""
    try:
        import igraph
    except ImportError:
        return Missing("igraph", "the bench extra is not installed")
    directed = igraph.Graph(n=len(graph.ports), edges=np.stack([graph.sources, graph.targets], axis=1), directed=True)
    directed.es["length"] = lengths
    few, many = searches[:5], 200

    def search() -> None:
        for source, target, distance in few:
            found = directed.distances([source] * many, [target], weights="length", algorithm="dijkstra")
            assert found == [[distance]] * many

    def start() -> None:
        for source, _, _ in few:
            directed.distances([source], [source], weights="length", algorithm="dijkstra")

    return Work("igraph", search, len(few) * many, start, REPEATED.format(many))


def measure(size: Size) -> Iterator[Figure]:
    """Both graphs."""
    small = drawn_transitions(1000, skew=0.0, seed=0)
    nearest(build_graph(small), whole_lengths(small.count), K)  # compiles
    graphs = {"skewed": 0.8} if size == "smoke" else {"skewed": 0.8, "uniform": 0.0}
    for name, skew in graphs.items():
        transitions = drawn_transitions(EDGES[size], skew=skew, seed=2019)
        what = f"{name}, {len(transitions.count):,} edges"
        graph = build_graph(transitions)
        lengths = whole_lengths(graph.weights)
        yield from compare(
            size,
            f"graph and lengths from transitions, {what}",
            Work("portkin", lambda counted=transitions: whole_lengths(build_graph(counted).weights)),
        )
        nodes, distances = nearest(graph, lengths, K)
        found = np.flatnonzero(nodes[:, K - 1] >= 0)
        chosen = np.random.default_rng(1).choice(found, min(SAMPLE[size], len(found)), replace=False)
        searches = [(source, int(nodes[source, K - 1]), float(distances[source, K - 1])) for source in chosen.tolist()]
        ours = Work("portkin", lambda g=graph, at=lengths: nearest(g, at, K), len(graph.ports))
        peers = [by(graph, lengths, searches) for by in (by_networkx, by_scipy, by_igraph)]
        yield from compare(size, f"{K} nearest of a port, {what}", ours, peers, MICRO)


if __name__ == "__main__":
    script(measure, __doc__)
