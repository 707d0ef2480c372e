"""The K nearest ports: golden values on a graph small enough for paper, ties, and what has no neighbors."""

import numpy as np
import pytest

from portkin_training.tables.scans import Transitions
from portkin_training.tables.shortest_path.graph import build_graph, lengths
from portkin_training.tables.shortest_path.nearest import nearest, table_rows


def graph_of(edges: list[tuple[int, int, int]]):
    """A graph of (source, target, weight)."""
    source, target, count = np.array(edges, np.int64).reshape(-1, 3).T
    return build_graph(Transitions(source.astype(np.uint16), target.astype(np.uint16), count))


def found(edges: list[tuple[int, int, float]], k: int) -> dict[int, list[tuple[int, float]]]:
    """For (source, target, length): the nearest ports of each port, and their distances."""
    graph = graph_of([(one, other, 1) for one, other, _ in edges])
    rows = table_rows(graph, *nearest(graph, np.array([length for *_, length in sorted(edges)]), k))
    return {
        port: [(n, d) for n, d in zip(near.tolist(), far.tolist(), strict=True) if d != np.inf]
        for port, near, far in zip(rows.ports.tolist(), rows.neighbors, rows.distances, strict=True)
    }


class TestGolden:
    # omega' of these five edges is worked out by hand in test_graph.py: 0, 1.5, 1, 0.5 and 2.
    EDGES = ((80, 443, 9), (80, 8080, 3), (443, 80, 5), (443, 3306, 7), (8080, 22, 1))

    def test_all_distances(self):
        """With K as large as the graph, every port that can be reached is there, at its shortest distance."""
        graph = graph_of(list(self.EDGES))

        nodes, distances = nearest(graph, lengths(graph.weights), 4)

        by_port = {
            port: [(graph.ports[n], d) for n, d in zip(row, far, strict=True) if n >= 0]
            for port, row, far in zip(graph.ports.tolist(), nodes, distances, strict=True)
        }
        assert {
            22: [],
            80: [(443, 0.0), (3306, 0.5), (8080, 1.5), (22, 3.5)],  # 0; 0 + 0.5; 1.5; 1.5 + 2
            443: [(3306, 0.5), (80, 1.0), (8080, 2.5), (22, 4.5)],  # 0.5; 1; 1 + 1.5; 1 + 1.5 + 2
            3306: [],
            8080: [(22, 2.0)],
        } == by_port

    def test_stops_after_k(self):
        """With a smaller K the rows are the beginnings of the longer ones."""
        graph = graph_of(list(self.EDGES))

        nodes, distances = nearest(graph, lengths(graph.weights), 2)

        # nodes 0 to 4 are ports 22, 80, 443, 3306, 8080
        assert [[-1, -1], [2, 3], [3, 1], [-1, -1], [0, -1]] == nodes.tolist()
        assert [0.0, 0.5] == distances[1].tolist()


class TestOrder:
    def test_ties_go_to_the_lower_port(self):
        """Of ports equally far, the lower numbers come first and are kept."""
        edges = [(10, port, 1.0) for port in (500, 20, 300, 40)]

        assert [(20, 1.0), (40, 1.0), (300, 1.0)] == found(edges, 3)[10]

    def test_tie_through_another_port(self):
        """A detour exactly as long as an edge ties with it."""
        edges = [(10, 20, 0.5), (20, 30, 0.5), (10, 40, 1.0)]

        assert [(20, 0.5), (30, 1.0), (40, 1.0)] == found(edges, 3)[10]

    def test_zero_lengths(self):
        """A port reached at no extra length comes after the port it is reached through."""
        edges = [(10, 50, 1.0), (50, 20, 0.0), (10, 60, 1.0)]

        assert [(50, 1.0), (20, 1.0), (60, 1.0)] == found(edges, 3)[10]

    def test_circle_of_zero_lengths(self):
        """A circle without length ends."""
        edges = [(1, 2, 0.0), (2, 3, 0.0), (3, 1, 0.0)]

        assert {1: [(2, 0.0), (3, 0.0)], 2: [(3, 0.0), (1, 0.0)], 3: [(1, 0.0), (2, 0.0)]} == found(edges, 5)

    def test_a_shorter_way_is_found_later(self):
        """A port pushed out of the row comes back when a shorter way to it is found."""
        # K = 2: 30 at 9 fills the row, 40 at 5 and 20 at 1 push it out, and through 20 it is at 2.
        edges = [(10, 30, 9.0), (10, 40, 5.0), (10, 20, 1.0), (20, 30, 1.0)]

        assert [(20, 1.0), (30, 2.0)] == found(edges, 2)[10]

    def test_sums_that_round(self):
        """Where two lengths round to the same sum, the lower port is found behind the shorter edge."""
        # 1e16 + 1 rounds to 1e16: from 10 all six are equally far, and 15 leads to 20 by its longest edge, which is
        # not among its K + 1 shortest.
        edges = [(10, 15, 1e16), (10, 40, 1e16), (15, 50, 0.0), (15, 60, 0.0), (15, 70, 0.0), (15, 20, 1.0)]

        assert [(15, 1e16), (20, 1e16)] == [(p, pytest.approx(d)) for p, d in found(edges, 2)[10]]


class TestNothing:
    def test_port_that_leads_nowhere(self):
        """A port that is only reached has a row without neighbors."""
        assert {1: [(2, 1.0)], 2: []} == found([(1, 2, 1.0)], 3)

    def test_empty_graph(self):
        """An empty graph gives rows of no ports, with K columns."""
        graph = graph_of([])

        rows = table_rows(graph, *nearest(graph, np.empty(0), 16))

        assert (0, (0, 16), 16) == (len(rows.ports), rows.neighbors.shape, rows.k)

    def test_never_itself(self):
        """A port is not its own neighbor, however short the way back is."""
        assert [(2, 0.0)] == found([(1, 2, 0.0), (2, 1, 0.0)], 4)[1]

    @pytest.mark.parametrize("length", [-1.0, np.nan, np.inf])
    def test_refuses_lengths(self, length):
        """Lengths that no shortest path can be made of are refused."""
        graph = graph_of([(1, 2, 1)])

        with pytest.raises(ValueError, match="finite and not negative"):
            nearest(graph, np.array([length]), 1)

    def test_refuses_k(self):
        """K below 1 is refused, by name."""
        with pytest.raises(ValueError, match="k = 0"):
            nearest(graph_of([(1, 2, 1)]), np.zeros(1), 0)
