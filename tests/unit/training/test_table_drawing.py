"""The picture of a table: which pairs it shows, and that nothing in it hides anything else."""

from __future__ import annotations

import networkx as nx
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from portkin.bundles.table import Rows, default_table, write_table
from portkin_training.tables.drawing import Pair, likely_pairs, pairs_of
from portkin_training.tables.graph_layout import layout, separated

BOX = (0.8, 0.35)


def rows(chances: dict[int, dict[int, float]]) -> Rows:
    """The rows of a table that holds these chances, by port and neighbor."""
    ports = np.array(sorted(chances), np.uint16)
    k = max(map(len, chances.values()))
    neighbors, distances = np.zeros((len(ports), k), np.uint16), np.full((len(ports), k), np.inf, np.float32)
    for at, port in enumerate(ports.tolist()):
        for rank, (other, chance) in enumerate(sorted(chances[port].items(), key=lambda item: -item[1])):
            neighbors[at, rank], distances[at, rank] = other, -np.log(chance)
    return Rows(ports, neighbors, distances)


def by_port(pair: Pair) -> int:
    return pair.other


def overlaps(places: dict[str, np.ndarray], sizes: dict[str, tuple[float, float]]) -> list[tuple[str, str]]:
    """The pairs of boxes that cover each other."""
    names = list(places)
    return [
        (one, other)
        for at, one in enumerate(names)
        for other in names[at + 1 :]
        if (np.abs(places[one] - places[other]) < (np.array(sizes[one]) + sizes[other]) / 2 - 1e-6).all()
    ]


class TestLikelyPairs:
    def test_what_many_do_comes_before_what_is_certain_of_few(self):
        """A pair's weight is each direction's chance times one more than the far ports that lead to its begin."""
        table = rows({1: {100: 0.5, 200: 0.1}, 100: {1: 0.25}, 200: {100: 0.2}, 5000: {5001: 0.9}, 5001: {}})

        found = likely_pairs(table, 60)

        # 100 is led to by 1 and 200, 1 by 100, 200 by 1; 5001 by its neighbor alone, which says nothing.
        # 1-100: (1 + 1) 0.5 + (1 + 2) 0.25; 5000-5001: (1 + 0) 0.9; 200-100: (1 + 1) 0.2; 1-200: (1 + 1) 0.1
        assert [(1, 100), (5000, 5001), (200, 100), (1, 200)] == [pair[:2] for pair in found]
        assert [1.75, 0.9, 0.4, 0.2] == pytest.approx([weight for _, _, weight, _ in found])
        assert [0.5, 0.9, 0.2, 0.1] == pytest.approx([chance for _, _, _, chance in found])
        assert found[:2] == likely_pairs(table, 2)

    def test_nothing(self):
        """Ports without neighbors make no pairs."""
        assert [] == likely_pairs(rows({1: {2: 0.5}, 2: {}}), 0)

    def test_labels(self, tmp_path):
        """A tenth of a percent counts below one percent, none from there on: 0.996 % is 1 %, as 1.004 % is."""
        table = write_table(tmp_path / "t", {"tcp": rows({1: {2: 0.00996, 3: 0.01004, 4: 0.0094}})}, method="kin")
        assert ["1%", "1%", "0.9%"] == [pair.label for pair in sorted(pairs_of(table, "tcp", 3), key=by_port)]

    def test_the_default_table(self):
        """Its picture shows what the paper's does: web, mail or database ports together, and few unnamed pairs."""
        pairs = {frozenset((pair.one, pair.other)) for pair in pairs_of(default_table(), "tcp", 60)}
        assert {frozenset(p) for p in ((80, 8080), (80, 443), (445, 3306), (1433, 3306), (139, 445))} <= pairs
        assert len(set().union(*pairs)) < 50


class TestLayout:
    @settings(max_examples=30, deadline=None)
    @given(st.integers(1, 40), st.integers(0, 2**32 - 1), st.sampled_from([3.3, 9.3]))
    def test_boxes_are_parted(self, n, seed, width):
        """Wherever points begin, their boxes end up beside each other, within the page's width."""
        points = np.random.default_rng(seed).uniform(0, 1, (n, 2))
        boxes = np.tile(BOX, (n, 1))

        found = separated(points, boxes, width)

        names = list(map(str, range(n)))
        assert [] == overlaps(dict(zip(names, found, strict=True)), dict.fromkeys(names, BOX))
        assert (found[:, 0] >= BOX[0] / 2 - 1e-9).all()
        assert (found[:, 0] <= width - BOX[0] / 2 + 1e-9).all()

    @pytest.mark.parametrize("width", [3.3, 9.3], ids=["a phone", "a screen"])
    @pytest.mark.parametrize("proto", ["tcp", "udp"])
    def test_the_default_table(self, proto, width):
        """Sixty pairs of the default table lie on the page, each port in a place of its own, and alike each time."""
        graph = nx.Graph([(str(pair.one), str(pair.other)) for pair in pairs_of(default_table(), proto, 60)])
        sizes = dict.fromkeys(graph, (1.1, 0.45))

        places, height = layout(graph, sizes, width)

        assert set(graph) == set(places)
        assert [] == overlaps(places, sizes)
        for x, y in places.values():
            assert 0.55 - 1e-6 <= x <= width - 0.55 + 1e-6
            assert 0.225 - 1e-6 <= y <= height - 0.225 + 1e-6
        again, _ = layout(graph, sizes, width)
        assert all((places[name] == again[name]).all() for name in graph)
