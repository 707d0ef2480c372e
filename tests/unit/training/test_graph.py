"""The scan graph of paper 1: golden values by hand, and every edge of its definition.

Five ports and five transitions:

    80 -> 443 9 times, 443 -> 3306 7, 443 -> 80 5, 80 -> 8080 3, 8080 -> 22 1

theta in order is 1 3 5 7 9; with linear interpolation Q1 is at place 0.25 * 4 = 1, which is 3, and Q3 at place 3,
which is 7; the interquartile range is 4.
"""

import networkx as nx
import numpy as np
import pytest

from portkin_training.tables.scans import Transitions
from portkin_training.tables.shortest_path.graph import (
    Graph,
    build_graph,
    lengths,
    quartiles,
    rescale,
    shift,
    swap,
    unit,
    whole_lengths,
)

# In the order of the graph: by source, then target.
EDGES = [(80, 443, 9), (80, 8080, 3), (443, 80, 5), (443, 3306, 7), (8080, 22, 1)]
OMEGA = np.array([9, 3, 5, 7, 1])


def transitions(edges: list[tuple[int, int, int]]) -> Transitions:
    """Transitions of (source, target, count)."""
    source, target, count = np.array(edges, np.int64).reshape(-1, 3).T
    return Transitions(source.astype(np.uint16), target.astype(np.uint16), count)


def edges_of(graph: Graph) -> list[tuple[int, int, int]]:
    """(source, target, weight) by port."""
    sources, targets = graph.ports[graph.sources], graph.ports[graph.targets]
    return list(zip(sources.tolist(), targets.tolist(), graph.weights.tolist(), strict=True))


class TestBuildGraph:
    def test_nodes_and_edges(self):
        """The nodes are all ports left or reached, in order; the edges and their weights are the transitions."""
        graph = build_graph(transitions(EDGES))

        assert [22, 80, 443, 3306, 8080] == graph.ports.tolist()
        assert EDGES == edges_of(graph)
        # 22 leads nowhere, 80 and 443 to two each, 3306 nowhere, 8080 to one.
        assert [0, 0, 2, 4, 4, 5] == graph.indptr.tolist()

    def test_order_of_transitions_does_not_matter(self):
        """Transitions in any order give the same graph."""
        assert EDGES == edges_of(build_graph(transitions(EDGES[::-1])))

    def test_empty(self):
        """No transitions make an empty graph, not an error."""
        graph = build_graph(transitions([]))

        assert ([], [0], []) == (graph.ports.tolist(), graph.indptr.tolist(), graph.targets.tolist())

    def test_first_and_last_port(self):
        """Ports 0 and 65535 are ports like others."""
        assert [(0, 65535, 2), (65535, 0, 1)] == edges_of(build_graph(transitions([(0, 65535, 2), (65535, 0, 1)])))

    @pytest.mark.parametrize(
        "edges", [[(1, 1, 1)], [(1, 2, 0)], [(1, 2, 1), (1, 2, 1)]], ids=["to itself", "never seen", "twice"]
    )
    def test_refuses(self, edges):
        """An edge to itself, with no count, or given twice is refused."""
        with pytest.raises(ValueError, match="distinct pairs"):
            build_graph(transitions(edges))


class TestEquations:
    def test_quartiles(self):
        """Q1 and Q3 of 1 3 5 7 9 are 3 and 7."""
        assert (3.0, 7.0) == quartiles(OMEGA)

    def test_quartiles_between_two_weights(self):
        """Between two values a quartile is interpolated: of 1 2 3 10, Q1 is 1.75 and Q3 is 4.75."""
        # places 0.25 * 3 = 0.75 -> 1 + 0.75 * (2 - 1); 0.75 * 3 = 2.25 -> 3 + 0.25 * (10 - 3)
        assert (1.75, 4.75) == quartiles([10, 1, 3, 2])

    def test_rescale(self):
        """omega^iqr = (omega - 3) / 4."""
        # (9-3)/4  (3-3)/4  (5-3)/4  (7-3)/4  (1-3)/4
        assert [1.5, 0.0, 0.5, 1.0, -0.5] == rescale(OMEGA).tolist()

    def test_shift(self):
        """lambda = -0.5 is deduced, so that the lightest edge is at 0."""
        assert [2.0, 0.5, 1.0, 1.5, 0.0] == shift(rescale(OMEGA)).tolist()

    def test_swap(self):
        """omega' = (1.5 + 0.5) - (omega^iqr + 0.5): the heaviest edge has length 0."""
        # 2-2  2-0.5  2-1  2-1.5  2-0
        assert [0.0, 1.5, 1.0, 0.5, 2.0] == swap(rescale(OMEGA)).tolist()

    def test_lengths(self):
        """The three steps together are (max omega - omega) / IQR."""
        assert [0.0, 1.5, 1.0, 0.5, 2.0] == lengths(OMEGA).tolist()
        assert [(9 - omega) / 4 for omega in OMEGA] == lengths(OMEGA).tolist()

    def test_whole_lengths(self):
        """In whole transitions the lengths are max omega - omega."""
        assert [0.0, 6.0, 4.0, 2.0, 8.0] == whole_lengths(OMEGA).tolist()

    def test_dissimilarity(self):
        """Equation 1: from 80 it is 0 to 443, 0.5 to 3306, 1.5 to 8080, and 3.5 to 22, found by networkx."""
        # 80 -> 443 is 0; on to 3306 0 + 0.5; 80 -> 8080 is 1.5; on to 22 1.5 + 2
        directed = nx.DiGraph()
        for (one, other, _), length in zip(EDGES, lengths(OMEGA), strict=True):
            directed.add_edge(one, other, length=length)

        found = nx.single_source_dijkstra_path_length(directed, 80, weight="length")

        assert {80: 0.0, 443: 0.0, 3306: 0.5, 8080: 1.5, 22: 3.5} == found


class TestUndefined:
    def test_equal_weights(self):
        """Where all weights are equal the unit is 1 transition and all lengths are 0."""
        assert 1.0 == unit([4, 4, 4])
        assert [0.0, 0.0, 0.0] == lengths([4, 4, 4]).tolist()

    def test_equal_middle_half(self):
        """Where only the quartiles are equal the lengths are counted in transitions."""
        # 1 1 1 1 1 5: Q1 = Q3 = 1
        assert 1.0 == unit([1, 5, 1, 1, 1, 1])
        assert [4.0, 0.0, 4.0, 4.0, 4.0, 4.0] == lengths([1, 5, 1, 1, 1, 1]).tolist()

    def test_one_edge(self):
        """A single edge has length 0."""
        assert [0.0] == lengths([7]).tolist()

    def test_no_edges(self):
        """Without edges all of it is empty, and the unit 1."""
        assert ((0.0, 0.0), 1.0) == (quartiles([]), unit([]))
        assert [] == rescale([]).tolist() == shift([]).tolist() == swap([]).tolist() == whole_lengths([]).tolist()

    def test_heavy_weights_stay_whole(self):
        """Weights beyond any recording still give whole lengths, exactly."""
        omega = np.array([1, 3, 2**40 + 7, 2**41 + 1])

        assert (omega.max() - omega).tolist() == whole_lengths(omega).tolist()
