"""What holds for the K nearest ports of every graph: against a plain reference, networkx, and themselves."""

import heapq
import itertools

import networkx as nx
import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from portkin_training.tables.scans import Transitions
from portkin_training.tables.shortest_path.graph import Graph, build_graph, lengths, unit, whole_lengths
from portkin_training.tables.shortest_path.nearest import nearest

PORTS = st.integers(0, 30) | st.sampled_from([443, 8080, 65535])
PAIRS = st.tuples(PORTS, PORTS).filter(lambda pair: pair[0] != pair[1])
# Few different lengths, so that ties and zeros abound; and some whose sums round to the same.
TYING = st.sampled_from([0.0, 0.0, 1.0, 1.0, 2.0, 3.0, 0.1, 0.2, 0.3, 1e16])
SPREAD = st.floats(0, 1e6, allow_nan=False, allow_subnormal=False)


@st.composite
def graphs(draw, length=TYING) -> tuple[Graph, np.ndarray]:
    """A graph of some dozen ports and a length per edge."""
    edges = draw(st.dictionaries(PAIRS, length, max_size=90))
    return graph_of(edges)


def graph_of(edges: dict[tuple[int, int], float]) -> tuple[Graph, np.ndarray]:
    """The graph of these edges and its lengths, in the order of the graph."""
    pairs = np.array(sorted(edges), np.uint16).reshape(-1, 2)
    graph = build_graph(Transitions(pairs[:, 0], pairs[:, 1], np.ones(len(pairs), np.int64)))
    return graph, np.array([edges[pair] for pair in sorted(edges)], float)


def reference(graph: Graph, edge_lengths: np.ndarray, source: int, k: int) -> list[tuple[int, float]]:
    """Dijkstra with a heap of (distance, node), stopped after k settled nodes: (node, distance) as settled."""
    settled: dict[int, float] = {}
    heap = [(0.0, source)]
    while heap and len(settled) <= k:
        distance, node = heapq.heappop(heap)
        if node in settled:
            continue
        settled[node] = distance
        for edge in range(graph.indptr[node], graph.indptr[node + 1]):
            heapq.heappush(heap, (distance + float(edge_lengths[edge]), int(graph.targets[edge])))
    return list(settled.items())[1:]


def rows_of(nodes: np.ndarray, distances: np.ndarray) -> list[list[tuple[int, float]]]:
    """What was found, as (node, distance) per row, without the filling."""
    return [
        [(n, d) for n, d in zip(row, far, strict=True) if n >= 0]
        for row, far in zip(nodes.tolist(), distances.tolist(), strict=True)
    ]


@settings(max_examples=150, deadline=None)
@given(graphs() | graphs(SPREAD), st.integers(1, 20))
def test_equals_the_plain_reference(graph_and_lengths, k):
    """The kernel finds the very ports and distances that a textbook Dijkstra settles first, in its order."""
    graph, edge_lengths = graph_and_lengths

    found = rows_of(*nearest(graph, edge_lengths, k))

    assert [reference(graph, edge_lengths, source, k) for source in range(len(graph.ports))] == found


@settings(max_examples=60, deadline=None)
@given(graphs() | graphs(SPREAD), st.integers(1, 20))
def test_equals_networkx(graph_and_lengths, k):
    """The distances of every row are the k smallest that networkx finds, and belong to the ports they stand by."""
    graph, edge_lengths = graph_and_lengths
    directed = nx.DiGraph()
    directed.add_nodes_from(range(len(graph.ports)))
    directed.add_weighted_edges_from(
        zip(graph.sources.tolist(), graph.targets.tolist(), edge_lengths.tolist(), strict=True)
    )

    for source, row in enumerate(rows_of(*nearest(graph, edge_lengths, k))):
        theirs = nx.single_source_dijkstra_path_length(directed, source)
        del theirs[source]
        assert sorted(theirs.values())[:k] == [distance for _, distance in row]
        assert {node: theirs[node] for node, _ in row} == dict(row)


@settings(max_examples=60, deadline=None)
@given(graphs(), st.integers(1, 12))
def test_smaller_k_is_a_prefix(graph_and_lengths, k):
    """The k nearest are the first of the k + 1 nearest."""
    graph, edge_lengths = graph_and_lengths
    nodes, distances = nearest(graph, edge_lengths, k)
    more_nodes, more_distances = nearest(graph, edge_lengths, k + 1)

    np.testing.assert_array_equal(more_nodes[:, :k], nodes)
    np.testing.assert_array_equal(more_distances[:, :k], distances)


@settings(max_examples=60, deadline=None)
@given(graphs(), st.integers(1, 12))
def test_rows_are_in_order(graph_and_lengths, k):
    """Distances never decrease along a row, no port appears twice or in its own row, and filling comes last."""
    graph, edge_lengths = graph_and_lengths
    nodes, distances = nearest(graph, edge_lengths, k)

    for node, (row, far) in enumerate(zip(nodes.tolist(), distances.tolist(), strict=True)):
        there = [n for n in row if n >= 0]
        assert there == row[: len(there)]
        assert len(set(there)) == len(there)
        assert node not in there
        assert sorted(far) == far
        assert [n < 0 for n in row] == [d == np.inf for d in far]


@settings(max_examples=40, deadline=None)
@given(st.dictionaries(PAIRS, st.integers(1, 50), min_size=1, max_size=90), st.randoms())
def test_order_of_transitions_does_not_matter(counts, random):
    """Shuffled transitions give the same neighbors, bit for bit."""
    edges = [(*pair, count) for pair, count in counts.items()]
    results = []
    for _ in range(2):
        source, target, count = np.array(edges, np.int64).T
        graph = build_graph(Transitions(source.astype(np.uint16), target.astype(np.uint16), count))
        results.append(nearest(graph, whole_lengths(graph.weights), 8))
        random.shuffle(edges)

    for one, other in itertools.pairwise(results):
        np.testing.assert_array_equal(one[0], other[0])
        np.testing.assert_array_equal(one[1], other[1])


@settings(max_examples=60, deadline=None)
@given(st.lists(st.integers(1, 10**9), max_size=60))
def test_lengths_are_swapped_weights(weights):
    """Lengths are 0 or more, 0 for the heaviest edge, order edges against their weight, and are whole in units."""
    found = lengths(weights)
    omega = np.array(weights, np.int64)

    assert (found >= 0).all()
    assert not omega.size or 0.0 == found[omega.argmax()]
    assert (np.diff(found[np.argsort(-omega, kind="stable")]) >= 0).all()
    np.testing.assert_allclose(whole_lengths(weights) / unit(weights), found, rtol=1e-9, atol=1e-9)
