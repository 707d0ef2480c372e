"""Predictors compared at equal blocks."""

import numpy as np
import pytest
from rich.console import Console

from portkin_training.core.history import History
from portkin_training.core.port_codes import CODES
from portkin_training.evaluation.held_out import HeldOut, cutoff_for_manifest
from portkin_training.evaluation.sentences import recommended as recommended_in_words
from portkin_training.evaluation.text import equal_blocks
from portkin_training.replay.events import darknet_events
from portkin_training.replay.frontier import (
    BY_SOURCE,
    ORACLE,
    Point,
    at_equal_blocks,
    by_chance,
    by_number,
    most_useful,
    recall_at,
    recommended,
    usual_cutoffs,
)
from portkin_training.replay.oracle import Hindsight

T = 100.0
SECOND = 1_000_000


def probes(*rows: tuple[float, int, int]) -> History:
    """Probes (second, group, code), in order of time."""
    ts, group, code = (np.array(column) for column in zip(*sorted(rows), strict=True))
    return History((ts * SECOND).astype(np.int64), group.astype(np.int64), code.astype(np.int64))


MADE = probes((0, 1, 80), (1, 1, 443), (0, 2, 80), (2, 2, 22), (0, 3, 25), (3, 3, 80))
"""New ports: 443 and 22 after 80, 80 after 25."""


def table(**rows: dict[int, float]) -> tuple[np.ndarray, np.ndarray]:
    """The matrix and the chances of rows like p80={443: 0.5}."""
    matrix, chances = np.full((CODES, 2), -1, np.int32), np.zeros((CODES, 2))
    for name, row in rows.items():
        for place, (port, chance) in enumerate(row.items()):
            matrix[int(name[1:]), place], chances[int(name[1:]), place] = port, chance
    return matrix, chances


class TestDefaultCutoff:
    KIN = (Point(32, 1.0, 100, 0.0, 0.5), Point(32, 0.1, 150, 0.4, 0.4), Point(32, 0.0, 300, 0.9, 0.2))

    def chosen(self, **others: int) -> dict:
        """The cut-off, where these predictors issue so many blocks at K = 3."""
        frontiers = {name: [Point(3, 0.0, blocks, 0.0, 0.1)] for name, blocks in others.items()}
        made = HeldOut(MADE, {}, {"kin": [*self.KIN], **{name.replace("_", "-"): at for name, at in frontiers.items()}})
        return cutoff_for_manifest(made)

    def test_the_papers_blocks(self):
        """0.89 of 200 blocks are 178: the cut-off with 150."""
        said = self.chosen(shortest_path=200, Euclidean=400)

        assert (0.1, 178, True) == (said["min_chance"], said["blocks_allowed"], said["reached"])

    def test_a_paper_that_knows_nothing(self):
        """Its 100 blocks are those of probed ports alone, and no table keeps within 89: Euclidean's 400 allow 356."""
        said = self.chosen(shortest_path=100, Euclidean=400)

        assert (0.0, 356, True) == (said["min_chance"], said["blocks_allowed"], said["reached"])

    def test_nothing_to_go_by(self):
        """Where neither leaves any room, that is said."""
        said = self.chosen(shortest_path=100, Euclidean=110)

        assert (1.0, 97, False) == (said["min_chance"], said["blocks_allowed"], said["reached"])
        assert recommended_in_words(said).startswith("no cut-off keeps within 97 blocks; the closest is a chance of 1")


class TestFrontier:
    MATRIX, CHANCES = table(p80={443: 0.5, 22: 0.1}, p25={80: 0.2})

    def test_by_number(self):
        """K 0 blocks the 6 ports probed. K 1 adds 443 after the three probes of 80 and 80 after 25, of which source 1's
        443 and source 3's 80 come and are no further blocks: 6 + 2. K 2 adds 22 three times, of which one comes: 8 + 2.
        """
        found = by_number(darknet_events(MADE), self.MATRIX, T, (0, 1, 2))

        assert [(0, 6, 0.0), (1, 8, 2 / 3), (2, 10, 1.0)] == [(p.k, p.blocks, pytest.approx(p.recall)) for p in found]

    def test_by_chance(self):
        """From all that is cut down to nothing that is: with each lower cut-off one more of the entries."""
        found = by_chance(darknet_events(MADE), self.MATRIX, self.CHANCES, T, (0.0, 0.15, 0.3, 1.0))

        assert [(1.0, 6, 0.0), (0.3, 8, 1 / 3), (0.15, 8, 2 / 3), (0.0, 10, 1.0)] == [
            (p.min_chance, p.blocks, pytest.approx(p.recall)) for p in found
        ]

    def test_usual_cutoffs(self):
        """They lie just below the chances that are asked for, and cut everything at the end."""
        found = usual_cutoffs(darknet_events(MADE), self.MATRIX, self.CHANCES)

        assert [0.1, 0.2, 0.5, 1.0] == pytest.approx(found, rel=1e-4)
        assert all(cutoff < chance for cutoff, chance in zip(found, (0.1, 0.2, 0.5), strict=False))

    def test_nothing_predicted(self):
        """A table that predicts nothing has one point."""
        matrix, chances = table()
        (point,) = by_chance(darknet_events(MADE), matrix, chances, T)
        assert (1.0, 6, 0.0) == (point.min_chance, point.blocks, point.recall)

    def test_oracle(self):
        """The hindsight oracle finds all there is to find, and what it takes first is worth most per block."""
        matrix, gains = Hindsight(MADE, T).ranking()
        found = by_chance(darknet_events(MADE), matrix, gains, T)

        # 25 -> 80 comes for its one visitor; 443 and 22 for one each of the three of 80.
        assert (80, 1.0) == (matrix[25, 0], gains[25, 0])
        assert ({443, 22}, 1 / 3) == (set(matrix[80, :2].tolist()), pytest.approx(gains[80, 0]))
        assert 1.0 == max(point.recall for point in found)


def point(blocks: int, recall: float, usefulness: float = 0.5, k: int = 32, min_chance: float = 0.1) -> Point:
    """A point of a frontier."""
    return Point(k, min_chance, blocks, recall, usefulness)


def test_recall_at_equal_blocks():
    """Between points recall is read off a straight line: at 150 blocks halfway from 0.2 to 0.4."""
    ours = [point(100, 0.2), point(200, 0.4)]

    assert (0.3, 0.2, 0.4) == pytest.approx((recall_at(ours, 150), recall_at(ours, 1), recall_at(ours, 999)))
    theirs = [point(50, 0.0, k=0, min_chance=0), point(150, 0.2, k=3, min_chance=0)]
    found = at_equal_blocks({"kin": ours, "Euclidean": theirs, ORACLE: [point(150, 0.6)]})
    expected = {"over": "Euclidean", "k": 3, "blocks": 150, "recall": 0.3, "theirs": 0.2, "ratio": 1.5, "limit": 0.6}
    assert [expected] == [{k: v if isinstance(v, str) else pytest.approx(v) for k, v in row.items()} for row in found]


@pytest.mark.parametrize("beside", [{}, {BY_SOURCE: [point(150_000, 0.35)]}])
def test_nothing_of_the_comparison_is_cut_short(beside):
    """On a terminal of 80 columns, with the longest of names, every figure is there in full."""
    theirs = [point(50, 0.0, k=0, min_chance=0), point(237_461, 0.264, k=10, min_chance=0)]
    found = at_equal_blocks(
        {"kin": [point(300_000, 0.572)], **beside, "next by sources": theirs, ORACLE: [point(9, 1)]}
    )
    console = Console(width=80, color_system=None)
    with console.capture() as shown:
        console.print(equal_blocks(found, "title"))
    cells = ["next by sources, K = 10", "237,461", "57.2%", *(["35.0%"] if beside else []), "26.4%", "2.17", "100.0%"]
    assert all(cell in shown.get() for cell in cells)
    assert "…" not in shown.get()


def test_who_predicts_nothing_is_not_compared():
    """MySelf has the same blocks at every K, and nothing to compare with."""
    idle = [point(50, 0.0, k=k, min_chance=0) for k in range(17)]
    assert [] == at_equal_blocks({"kin": [point(100, 0.2)], "MySelf": idle})


class TestRecommended:
    POINTS = (point(10, 0.0, 0.9, min_chance=1.0), point(100, 0.2, 0.3), point(200, 0.4, 0.2), point(400, 0.5, 0.1))

    def test_usefulness(self):
        """Of the points that are useful enough, the one that finds most."""
        assert self.POINTS[2] == recommended(self.POINTS, usefulness=0.15)

    def test_usefulness_out_of_reach(self):
        """Where none is, the most useful one that predicts anything."""
        assert self.POINTS[1] == most_useful(self.POINTS) == recommended(self.POINTS, usefulness=0.95)

    def test_blocks(self):
        """Of the points within the blocks allowed, the one that finds most; where none is, the one with fewest."""
        assert self.POINTS[2] == recommended(self.POINTS, blocks=399)
        assert self.POINTS[0] == recommended(self.POINTS, blocks=5)
