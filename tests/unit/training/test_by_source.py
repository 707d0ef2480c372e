"""Predictions by source: what is asked of a source, what is learnt, what is replayed, and when it ships."""

from math import exp

import numpy as np
import pytest
from click.testing import CliRunner

from portkin.bundles.source_model import in_answer
from portkin.bundles.table import Table
from portkin_training.commands.table import table as table_command
from portkin_training.commands.table_text import shipped
from portkin_training.core.dataset import open_probes
from portkin_training.core.history import History
from portkin_training.core.port_codes import CODES
from portkin_training.core.questions import AskedHistory
from portkin_training.evaluation.by_source import (
    by_source_for_manifest,
    chances_hold,
    finds_more,
    recommends_less,
    replay_by_source,
)
from portkin_training.evaluation.held_out import held_out_figures
from portkin_training.replay.blocking import BY_LEVEL, BY_WINDOW, PLAIN, Sweep, replay
from portkin_training.replay.by_source import answers_by_source, in_answers
from portkin_training.replay.events import darknet_events
from portkin_training.replay.frontier import BY_SOURCE, Point
from portkin_training.tables.next_port import by_source
from portkin_training.tables.next_port.boosting import DEPTH, BoostingOptions, boosted
from portkin_training.tables.next_port.by_source import came_after, examples_of, learn_from_sources
from portkin_training.tables.next_port.method import ROW, said_by
from portkin_training.tables.next_port.ranking import rank
from portkin_training.tables.scans import ScanOptions
from support.datasets import dataset_of
from support.replay_reference import replay_plainly
from support.source_models import table_by_source

SECOND = 1_000_000
UDP = 65536


def history(*rows: tuple[float, int, int]) -> History:
    """Probes (second, source, code), in order of time."""
    ts, group, code = (np.array(column) for column in zip(*sorted(rows), strict=True))
    return History((ts * SECOND).astype(np.int64), group.astype(np.int64), code.astype(np.int64))


def wandering(n: int, seed: int = 0) -> History:
    """n probes of some sources, of few ports, so that they meet what they probed before."""
    rng = np.random.default_rng(seed)
    code = rng.choice([22, 23, 80, 2222, 2223, UDP + 53, UDP + 123], n)
    return History(np.sort(rng.integers(0, 50_000, n)) * SECOND, rng.integers(0, n // 12, n), code)


class TestQuestions:
    """What is asked at each probe."""

    ASKED = AskedHistory.of(
        history((0, 1, 80), (5, 1, 443), (6, 1, UDP + 53), (7, 1, 80), (8, 1, 22), (3, 2, 443), (9, 2, 443))
    )

    def test_recent(self):
        """The latest different ports of the protocol just probed, latest first; a port probed again moves to the
        front."""
        ports = [[code for code in row if code >= 0] for row in self.ASKED.recent.tolist()]
        assert [[80], [443, 80], [UDP + 53], [80, 443], [22, 80, 443], [443], [443]] == ports

    def test_probed_and_elapsed(self):
        """Ports of both protocols count, each once; time runs from the source's first probe."""
        assert [1, 2, 3, 3, 4, 1, 1] == self.ASKED.probed.tolist()
        assert [0, 5, 6, 7, 8, 0, 6] == self.ASKED.elapsed.tolist()
        assert [True, True, True, False, True, True, False] == self.ASKED.new.tolist()

    def test_eight_are_kept(self):
        """Of more than eight ports the latest eight are asked for."""
        asked = AskedHistory.of(history(*((at, 1, 100 + at) for at in range(12))))
        assert list(range(111, 103, -1)) == asked.recent[-1].tolist()


class TestLearning:
    """What a model learns from."""

    def test_came_after(self):
        """A port comes true where the source reaches it later than the probe, new to it, within the horizon: after
        which share of it."""
        made = history((0, 1, 80), (5, 1, 443), (9, 1, 22), (40, 1, 23))
        probe = np.array([0, 0, 0, 1, 1])
        code = np.array([443, 23, 8080, 80, 22])
        # 443 comes after 5 of 30 s; 23 after 40, too late; 8080 never; 80 was there before; 22 comes after 4.
        assert [5 / 30, 1, 1, 1, 4 / 30] == came_after(made, probe, code, 30.0).tolist()

    def test_one_tree(self):
        """A tree of one question: each side moves by the rate times its slope over its bend and the pull.

        4 of 10 rows came true, all above the threshold, of 5 rows there. Slopes are 4 - 5 * 0.4 = 2 and -2, bends
        5 * 0.4 * 0.6 = 1.2; with a pull of 1 and a rate of 0.5 the sides move by 0.5 * 2 / 2.2.
        """
        features = np.array([[0.0] * 5 + [1.0] * 5])
        came = np.array([False] * 6 + [True] * 4)
        trees = boosted(features, came, np.ones(10), BoostingOptions(trees=1, rate=0.5, pull=1.0, least=1.0))
        assert np.log(0.4 / 0.6) == pytest.approx(trees.base)
        assert 0.5 == trees.threshold[0, 0]
        moved = 0.5 * 2 / 2.2
        assert [trees.base - moved, trees.base + moved] == pytest.approx(trees.odds(np.array([[0.0, 1.0]])))

    def test_trees_find_what_matters(self):
        """Of noise and two features that have to agree, trees of three questions learn the latter."""
        rng = np.random.default_rng(3)
        features = rng.random((3, 4000))
        came = (features[0] > 0.5) == (features[2] > 0.3)
        trees = boosted(features, came, np.ones(4000), BoostingOptions(trees=20, rate=0.3, pull=1.0, least=20.0))
        chance = 1 / (1 + np.exp(-trees.odds(np.array([[0.9, 0.9, 0.1, 0.1], [0.5] * 4, [0.9, 0.1, 0.9, 0.1]]))))
        assert (chance[[0, 3]] > 0.95).all()
        assert (chance[[1, 2]] < 0.05).all()
        assert trees.feature.shape == (DEPTH, 20)

    def test_a_constant_feature(self):
        """Where nothing can be asked, the odds are those of all rows."""
        trees = boosted(np.ones((2, 8)), np.arange(8) < 2, np.ones(8), BoostingOptions(trees=3, least=0.0))
        assert [0.25] == pytest.approx([1 / (1 + exp(-odds)) for odds in trees.odds(np.ones((2, 1)))])


def test_learns_from_the_chances_that_ship(tmp_path, monkeypatch):
    """The rows that a model learns from have the calibration of the table that it ships with."""
    dataset_of(tmp_path / "probes", *strides())
    probes = open_probes(tmp_path / "probes")
    met = []

    def kept(*arguments):
        met.append(arguments[1])
        return examples_of(*arguments)

    monkeypatch.setattr(by_source, "examples_of", kept)
    learn_from_sources(probes, ScanOptions())
    (rows,) = (found["tcp"] for found in met)
    said = said_by(probes, ScanOptions())
    weights, calibration = said.learnt
    ranking = rank(said.earlier, weights, rows.ports.astype(np.int64), ROW)
    expected = -np.log(calibration.chances(ranking.odds[:, 0]))
    assert expected == pytest.approx(rows.distances[:, 0], abs=0.0051)  # two decimals are kept


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A table with a model, events, the answers to these, and what was asked."""
    table = table_by_source(tmp_path_factory.mktemp("tables") / "table")
    events = darknet_events(wandering(600))
    answers, asked = answers_by_source(table.source_model.learnt, table.rows, events, 6)
    return table, events, answers, asked


class TestReplay:
    """Predictions by source along events."""

    def test_answers_are_those_of_the_sidecar(self, made):
        """Each event has the answer that the sidecar gives to the same question, which it remembers nothing for."""
        table, events, answers, asked = made
        order = np.argsort(events.group, kind="stable")
        several = 0
        for at in range(len(order)):
            # All of both protocols, as Zeek sends them.
            whole = [*dict.fromkeys(asked.history.code[: at + 1][asked.history.group[: at + 1]
                                    == asked.history.group[at]][::-1].tolist())]  # fmt: skip
            question = (whole[:8], int(asked.probed[at]), float(asked.elapsed[at]))
            ports, chances = table.source_model.rank(*question, 6, 0.0)
            row = answers.row[order[at]]
            assert ports == [code for code in answers.matrix[row].tolist() if code >= 0]
            assert chances == pytest.approx(answers.chances[row][: len(ports)].tolist(), rel=1e-6)
            several += question[1] > 1
        assert several > 300

    @pytest.mark.parametrize("share", [0.1, 0.6])
    def test_full_answers_are_those_of_the_sidecar(self, share):
        """Which of more candidates than an answer holds stand in it, for many questions at once as for each."""
        rng = np.random.default_rng(6)
        size = rng.integers(1, 90, 40)
        question, fresh = np.repeat(np.arange(40) * 3, size), rng.random(size.sum()) < share
        found = in_answers(question, fresh, 32)
        for number in range(40):
            its = question == number * 3
            wanted = in_answer(fresh[its], 32).tolist() if size[number] > 32 else [*range(size[number])]
            assert np.flatnonzero(found[its]).tolist() == wanted

    @pytest.mark.parametrize("k", [0, 2, 6])
    def test_against_the_plain_replay(self, made, k):
        """The kernel counts what a plain replay with the same answers counts."""
        _, events, answers, _ = made
        sweep = Sweep((k,), (900.0,), (k, 900.0))
        counts = replay(events, answers.matrix, sweep, answers.row)
        plain = replay_plainly(events, answers.matrix, k, 900.0, answers.row)
        found = {name: counts.by_window[:, i, 0, 0].sum() for i, name in enumerate(BY_WINDOW)}
        found |= {name: counts.plain[:, i].sum() for i, name in enumerate(PLAIN)}
        found |= {name: counts.by_level[:, i, 0].sum() for i, name in enumerate(BY_LEVEL)}
        assert {name: getattr(plain, name) for name in found} == pytest.approx(found)
        assert k == 0 or plain.new_blocked > 0

    def test_what_is_protected(self, made):
        """Where few ports are protected, no other is predicted."""
        table, events, _, _ = made
        protected = np.zeros(CODES, bool)
        protected[[23, 2222]] = True
        sweep = Sweep((0, 6), (900.0,), (6, 900.0))
        found = replay_by_source(table.source_model.learnt, table.rows, events, sweep, k=6, protected=protected)
        blocked = found.counts.ports[:, 4] - replay(events, np.full((CODES, 6), -1, np.int32), sweep).ports[:, 4]
        assert {23, 2222} == set(np.flatnonzero(blocked > 0).tolist())

    def test_reliability(self, made):
        """Bins of chance hold what was stated and observed, and every source once: cases of each entry add up to the
        sources."""
        table, events, _, asked = made
        found = replay_by_source(
            table.source_model.learnt, table.rows, events, Sweep((0, 1), (900.0,), (1, 900.0)), k=1
        ).reliability
        sources = len(np.unique(asked.history.group[asked.new & (asked.probed > 1)]))
        assert sum(bin_["cases"] for bin_ in found) == pytest.approx(sources, abs=1)
        assert all(bin_["from"] <= bin_["stated"] <= bin_["to"] for bin_ in found)


def strides(seed: int = 0) -> list[list[int]]:
    """Scans that each keep a step of their own, from anywhere."""
    rng = np.random.default_rng(seed)
    return [
        [int(start) + int(step) * at for at in range(7)]
        for start, step in zip(rng.integers(1000, 60_000, 500), rng.integers(11, 300, 500), strict=True)
    ]


def lists(seed: int = 0) -> list[list[int]]:
    """Scans of three ports, each of which depends on the one before alone: nothing is left to be said by the source."""
    rng = np.random.default_rng(seed)
    return [[2000 + int(n), 4000 + int(n), 6000 + int(n)] for n in rng.integers(0, 12, 900)]


def recommending(recall: float | None, reached: bool = True, *, blocks: int = 200, usefulness: float = 0.1) -> dict:
    """A recommended cut-off, and what is expected of it."""
    expected = {"recall": recall, "blocks": blocks, "usefulness": usefulness}
    return {
        "min_chance": 0.1,
        "usefulness_wanted": None,
        "blocks_allowed": 250,
        "reached": reached,
        "expected": expected,
    }


class TestShips:
    """A table holds a model where it finds more."""

    def test_where_sources_keep_a_stride(self, tmp_path):
        """Scans with steps of their own: the model ships, and predicts the next step of a source nobody has seen."""
        dataset_of(tmp_path / "probes", *strides())
        built = CliRunner().invoke(
            table_command, ["build", str(tmp_path / "probes"), "-o", str(tmp_path / "table"), "--by-source"]
        )
        assert 0 == built.exit_code, built.output
        assert "by source: a model, which the sidecar answers from" in built.output
        table = Table.load(tmp_path / "table")
        ports, chances = table.source_model.rank([40_074, 40_037, 40_000], 3, 3.0, 5, 0.0)
        assert 40_111 == ports[0]
        assert chances[0] > 0.5
        said = table.manifest.about["by_source"]
        assert said["ships"]
        assert f"a chance of {said['cutoff']['min_chance']:g}: " in shipped(said)

    def test_where_the_table_says_it_all(self, tmp_path):
        """Scans of lists: what the source did before adds nothing, so nothing ships; the figures say so."""
        dataset_of(tmp_path / "probes", *lists())
        said = held_out_figures(open_probes(tmp_path / "probes"), "kin", ScanOptions(), 32, by_source=True)
        assert not said["by_source"]["ships"]
        assert len(said["by_source"]["equal_blocks"]) == 5

    @pytest.mark.parametrize(
        ("table", "ours", "wins"),
        [((0.1, 0.2), (0.12, 0.2), True), ((0.1, 0.2), (0.11, 0.2), False), ((0.0, 0.0), (0.0, 0.0), False),
         ((float("nan"),), (float("nan"),), False)],
    )  # fmt: skip
    def test_how_much_more(self, table, ours, wins):
        """In all 1.05 times as much: 0.32 of 0.30 is enough, 0.31 is not, and nothing is not more than nothing."""
        compared = [{"table": one, "by_source": other} for one, other in zip(table, ours, strict=True)]
        assert wins == finds_more(compared)

    @pytest.mark.parametrize(
        ("stated", "observed", "hold"),
        [(60.0, 40.0, True), (61.0, 40.0, False), (40.0, 60.0, True), (40.0, 61.0, False), (39.0, 39.0, False),
         (0.0, 0.0, False)],
    )  # fmt: skip
    def test_whether_chances_hold(self, stated, observed, hold):
        """Forty sources came true, and neither number is more than 1.5 times the other: 60 of 40 is, 61 is not."""
        assert hold == chances_hold(stated, observed)

    def test_chances_that_do_not_hold(self):
        """Twice the recall does not ship with chances half of which come true: 1,000 cases at 0.1 state 100 sources,
        of which 50 came. The figures and the text say why."""
        frontiers = {
            "kin": [Point(32, 1.0, 100, 0.0, 0.0), Point(32, 0.0, 300, 0.2, 0.1)],
            BY_SOURCE: [Point(32, 1.0, 100, 0.0, 0.0), Point(32, 0.0, 300, 0.4, 0.2)],
        }
        curve = [{"from": 0.1, "to": 0.2, "cases": 1000.0, "stated": 0.1, "observed": 0.05}]
        cutoff = recommending(0.4, blocks=300, usefulness=0.2)
        said = by_source_for_manifest(frontiers, curve, cutoff, recommending(0.2))
        assert said["finds_more"]
        assert not said["ships"]
        assert {"stated": 100.0, "observed": 50.0, "hold": False} == said["chances"]
        assert "its chances do not hold; 100 sources were stated to come true and 50 did" in shipped(said)

    @pytest.mark.parametrize(
        ("ours", "theirs", "less"),
        [((0.4, True), (0.4, True), False), ((0.3, True), (0.4, True), True), ((0.9, False), (0.4, True), True),
         ((0.3, True), (0.4, False), False), ((0.3, False), (0.4, False), False), ((None, True), (None, True), False)],
    )  # fmt: skip
    def test_the_recommended_cutoff(self, ours, theirs, less):
        """By it the model finds no less than the table, and reaches what the table reaches."""
        assert less == recommends_less(recommending(ours[0], ours[1]), recommending(theirs[0], theirs[1]))

    def test_less_by_the_recommended_cutoff(self):
        """A model that finds twice as much with as many blocks, and less by what it recommends, does not ship."""
        frontiers = {
            "kin": [Point(32, 1.0, 100, 0.0, 0.0), Point(32, 0.0, 300, 0.2, 0.1)],
            BY_SOURCE: [Point(32, 1.0, 100, 0.0, 0.0), Point(32, 0.0, 300, 0.4, 0.2)],
        }
        curve = [{"from": 0.1, "to": 0.2, "cases": 1000.0, "stated": 0.1, "observed": 0.1}]
        said = by_source_for_manifest(frontiers, curve, recommending(0.1), recommending(0.15))
        assert not said["ships"]
        assert "no model: it finds more than the table, but less by its recommended cut-off" in shipped(said)
        assert by_source_for_manifest(frontiers, curve, recommending(0.15), recommending(0.15))["ships"]

    @pytest.mark.parametrize("more", [["--no-proof"], ["--method", "shortest-path"], ["--half-life", "30"]])
    def test_refused(self, tmp_path, more):
        """Without figures, chances or the probes of each source nothing can be learnt, which is said."""
        built = CliRunner().invoke(
            table_command, ["build", str(tmp_path), "-o", str(tmp_path / "table"), "--by-source", *more]
        )
        assert 2 == built.exit_code
        assert "--by-source: needs" in built.output
