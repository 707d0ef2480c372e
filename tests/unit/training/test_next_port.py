"""Kin, the baselines it has to beat, and the limit of what any table could do."""

from collections import Counter

import numpy as np
import pytest

from portkin_training.core.history import APART, History
from portkin_training.core.port_codes import CODES
from portkin_training.replay.baselines import BASELINES, euclidean, most_counted, most_popular, successors_by_count
from portkin_training.replay.baselines import successors_by_sources as by_sources
from portkin_training.replay.baselines import together_in_a_day as same_day
from portkin_training.replay.events import darknet_events
from portkin_training.replay.frontier import by_number
from portkin_training.replay.oracle import Hindsight
from portkin_training.tables.next_port import chances
from portkin_training.tables.next_port.counts import learn, outcomes
from portkin_training.tables.next_port.likelihood import Problem, most_likely
from portkin_training.tables.next_port.ranking import rank

SECOND = 1_000_000
UDP = 65536


def history(*rows: tuple[float, int, int]) -> History:
    """Probes (second, group, code)."""
    ts, group, code = (np.array(column) for column in zip(*rows, strict=True))
    return History((ts * SECOND).astype(np.int64), group.astype(np.int64), code.astype(np.int64))


def near(matrix: np.ndarray, code: int) -> list[int]:
    return [q for q in matrix[code].tolist() if q >= 0]


class TestHistory:
    def test_steps(self):
        """Steps join successive different ports of one group and protocol; new ones reach a port not seen before."""
        made = history((0, 1, 80), (1, 2, 22), (2, 1, 80), (3, 1, 443), (4, 1, 80), (5, 1, UDP + 53), (6, 2, 23))

        assert [(80, 443), (443, 80), (22, 23)] == [*zip(*made.steps()[1:3], strict=True)]
        assert [(80, 443, SECOND), (22, 23, 5 * SECOND)] == [*zip(*made.steps(new=True)[1:], strict=True)]

    def test_divided(self):
        """Recordings far apart are each divided, and equal stamps are never parted."""
        first = [(i, 0, 80) for i in (0, 1, 2, 2)]
        later = [(APART / SECOND * 2 + i, 0, 80) for i in (0, 1, 2, 3)]

        earlier, rest = history(*first, *later).divided(0.75)

        assert [0, 1] == (earlier.ts[:2] // SECOND).tolist()
        assert (5, 3) == (len(earlier), len(rest))


class TestBaselines:
    MADE = history(
        (0, 1, 80), (1, 1, 443), (2, 1, 80), (3, 1, 443), (4, 1, 80), (5, 1, 443),  # 80 -> 443 3 times, one source
        (6, 2, 80), (7, 2, 8080), (8, 3, 80), (9, 3, 8080),  # 80 -> 8080 twice, two sources
        (90_000, 4, 8080), (90_001, 4, 80), (200_000, 4, 22),
    )  # fmt: skip

    def test_euclidean(self):
        """The nearest numbers, of two the higher first, within the range of ports and of the protocol."""
        found = euclidean(self.MADE, 3)

        assert [81, 79, 82] == near(found, 80)
        assert ([1, 2, 3], [65534, 65533, 65532]) == (near(found, 0), near(found, 65535))
        assert [UDP + 1, UDP + 2, UDP + 3] == near(found, UDP)

    def test_popular(self):
        """Ports by sources: 80 has 4, 8080 3, 443 and 22 one each."""
        found = most_popular(self.MADE, 2)

        assert ([80, 8080], [8080, 22], [80, 22]) == (near(found, 5), near(found, 80), near(found, 8080))
        assert [] == near(found, UDP + 53)

    def test_successors(self):
        """By count 443 follows 80 most (3 to 2), by sources 8080 does (2 to 1)."""
        assert 443 == near(successors_by_count(self.MADE, 1), 80)[0]
        assert 8080 == near(by_sources(self.MADE, 1), 80)[0]

    def test_same_day(self):
        """Together on one day, in either order: 8080 with 80 for three sources, 22 on another day not at all."""
        found = same_day(self.MADE, 3)

        assert ([8080, 443], []) == (near(found, 80), near(found, 22))

    def test_most_counted(self):
        """Of many pairs, the followers that occur most often for each port, of equal ones the lower, as counted one by
        one."""
        rng = np.random.default_rng(4)
        before, after = rng.choice([0, 5, 2047, 2048, 60_000, CODES - 1], 3000), rng.integers(0, 40, 3000)
        found = most_counted(before * CODES + after, 5)
        for port in np.unique(before):
            counted = Counter(after[before == port].tolist())
            assert sorted(counted, key=lambda other: (-counted[other], other))[:5] == found[port].tolist()

    @pytest.mark.parametrize("name", BASELINES)
    def test_shape(self, name):
        """Every baseline gives K columns by code, even of no probes, and never a port itself."""
        for made in (self.MADE, self.MADE[:0]):
            found = BASELINES[name](made, 4)

            assert (CODES, 4) == found.shape
            assert not (found == np.arange(CODES)[:, None]).any()


class TestOracle:
    def test_by_hand(self):
        """The best table gives each row its best ports, and no event counts twice."""
        made = history((0, 1, 80), (1, 1, 443), (0, 2, 80), (2, 2, 443), (3, 2, 22), (9, 1, 25))
        made = History(*(column[np.argsort(made.ts, kind="stable")] for column in (made.ts, made.group, made.code)))
        # new: 443 (1), 443 (2), 22 (2; from 443 or 80), 25 (1; 8 s after 443)

        five, sixty = Hindsight(made, 5.0), Hindsight(made, 60.0)
        assert 4 == five.events
        assert 3 / 4 == five.recall(1)
        # one port a row: 80 -> 443 and 443 -> 22 or 25; two: 443 -> 22 and 25, but 25 came too late for 5 s
        assert (3 / 4, 3 / 4, 1.0) == (sixty.recall(1), five.recall(2), sixty.recall(2))
        assert np.isnan(Hindsight(made[:1], 5.0).recall(1))


def weights_of(made: History) -> np.ndarray:
    """The weights by which the earlier part predicts the later one."""
    earlier, later = made.divided(chances.EARLIER)
    return chances.fit_weights(learn(earlier), outcomes(later))


def walks(rng: np.random.Generator, sources: int) -> History:
    """Sources that go to the next number from a port never seen before, and others that look for 80, 443, 8080."""
    rows = []
    for source in range(sources):
        start, at = int(rng.integers(1024, 60_000)), source * 50.0
        rows += [(at + step, 2 * source, start + step) for step in range(6)]
        rows += [(at + step, 2 * source + 1, int(port)) for step, port in enumerate(rng.permutation([80, 443, 8080]))]
    return history(*sorted(rows))


class TestKin:
    def test_sweeps_and_services(self):
        """It learns both from one recording: the next number after a port never seen, the companions of a known one."""
        made = walks(np.random.default_rng(1), 200)
        weights = weights_of(made)

        ranking = rank(learn(made), weights, np.array([80, 30_001]), 3)

        assert {443, 8080} <= set(ranking.codes[0].tolist())
        assert 30_002 == ranking.codes[1, 0]
        assert (np.diff(ranking.odds, axis=1) <= 0).all()
        assert np.isfinite(ranking.odds).all()

    def test_beats_the_baselines_held_out(self):
        """On later walks of the same kind no baseline predicts more new ports."""
        earlier, later = walks(np.random.default_rng(2), 300).divided(0.7)
        events = darknet_events(later)
        ranking = rank(learn(earlier), weights_of(earlier), np.unique(later.code), 3)

        def recall(matrix: np.ndarray) -> float:
            return by_number(events, matrix, 20_000.0, (3,))[0].recall

        dense = np.full((CODES, 3), -1, np.int32)
        dense[ranking.ports] = ranking.codes
        ours = recall(dense)

        theirs = {name: recall(make(earlier, 3)) for name, make in BASELINES.items()}
        assert ours > max(theirs.values())

    def test_repeats(self):
        """The same history gives the same weights and ranking, bit for bit."""
        made = walks(np.random.default_rng(3), 60)

        one, two = (rank(learn(made), weights_of(made), np.array([80, 443]), 8) for _ in range(2))

        assert np.array_equal(one.codes, two.codes)
        assert np.array_equal(one.odds, two.odds)

    def test_little_to_learn_from(self):
        """Of nothing, or of one probe, the weights are the prior and nothing is predicted that was never counted."""
        for made in (history((0, 1, 80))[:0], history((0, 1, 80))):
            assert np.array_equal(chances.PRIOR, weights_of(made))
            ranking = rank(learn(made), chances.PRIOR, np.array([80]), 2)
            assert {79, 81, 82} >= {q for q in ranking.codes[0].tolist() if q >= 0}

    def test_protocols_apart(self):
        """What is likely next is of the probed port's protocol."""
        codes = (UDP + 53, UDP + 123, 80, 443)
        made = history(*[(i * 10 + j, i, code) for i in range(20) for j, code in enumerate(codes)])

        ranking = rank(learn(made), weights_of(made), np.array([80, UDP + 53]), 4)

        assert {0} == {q // UDP for q in ranking.codes[0].tolist()}
        assert {1} == {q // UDP for q in ranking.codes[1].tolist()}

    def test_everything_is_kept(self):
        """A row is as long as asked, whatever its chances: 40 popular ports alone fill one of 32."""
        made = history(*[(i * 10 + j, i, 100 * i + j) for i in range(60) for j in range(3)])

        ranking = rank(learn(made), chances.PRIOR, np.arange(50, 60), 32)

        assert (ranking.codes >= 0).all()

    def test_compiled_ranking_is_the_plain_one(self):
        """The compiled loop ranks as candidates and features do, in order and to the last decimal."""
        made = walks(np.random.default_rng(5), 80)
        known, weights = learn(made), weights_of(made)
        ports = np.unique(np.concatenate([made.code[:200], [0, 63, 64, 80, 65535, UDP, UDP + 53]]))

        ranking = rank(known, weights, ports, 10)

        pairs = chances.candidates(known, ports)
        odds = np.clip(chances.features(known, pairs) @ weights, -30, 30).round(chances.DIGITS)
        for row, port in enumerate(ports.tolist()):
            mine = np.flatnonzero(pairs // CODES == port)
            best = mine[np.lexsort((pairs[mine], -odds[mine]))][:10]
            assert (pairs[best] % CODES).tolist() == [q for q in ranking.codes[row].tolist() if q >= 0]
            assert odds[best] == pytest.approx(ranking.odds[row, : len(best)], abs=1e-9)


def test_weights_of_thinned_pairs_are_those_of_all():
    """Reached pairs all stay; of the others every n-th stands for n, and what is fitted is nearly the same."""
    rng = np.random.default_rng(3)
    pairs = np.arange(60_000)
    phi = np.column_stack([np.ones(len(pairs)), rng.normal(size=(len(pairs), chances.FEATURES - 1))])
    chance = 1 / (1 + np.exp(4 - phi[:, 1] + 0.5 * phi[:, 2]))
    trials = np.full(len(pairs), 3.0)
    reached = rng.binomial(3, chance).astype(float)
    some, of_them, stands_for = chances.thinned(pairs, reached, most=10_000)
    assert set(np.flatnonzero(reached)) <= set(some.tolist())
    # Every sixth of those not reached, rounded up, each for six.
    rest = int((reached == 0).sum())
    assert len(some) == int((reached > 0).sum()) + -(-rest // 6)
    assert {1.0, 6.0} == set(stands_for)
    whole = chances.fit(phi, reached, trials)
    part = chances.fit(phi[some], of_them, trials[some] * stands_for)
    assert np.abs(whole - part).max() < 0.15
    assert (pairs is chances.thinned(pairs, reached)[0]) and chances.thinned(pairs, reached)[2].all()


def test_the_fit_is_the_maximum():
    """At the fitted weights the log posterior, written out, has no slope; compiled it is the same number."""
    rng = np.random.default_rng(4)
    z = np.column_stack([np.ones(12_000), rng.normal(size=(12_000, 3))])
    out_of = rng.integers(1, 9, len(z)) / 2
    reached = rng.binomial(out_of.astype(int), 1 / (1 + np.exp(2 - z[:, 1] - 0.5 * z[:, 3]))).astype(float)
    prior, strength = np.array([0.0, 1.0, -1.0, 0.5]), 3.0

    found = most_likely(Problem(z, reached, out_of, prior, strength))

    odds = z @ found
    slope = z.T @ (reached - out_of / (1 + np.exp(-odds))) - strength * (found - prior)
    # The curvature is some thousands: a slope of 1e-5 is a weight within 1e-8.
    assert np.zeros(4) == pytest.approx(slope, abs=1e-5)
    worth = reached @ odds - out_of @ np.logaddexp(0, odds) - strength / 2 * ((found - prior) ** 2).sum()
    assert worth == pytest.approx(Problem(z, reached, out_of, prior, strength).at(found)[0], rel=1e-12)
    step = np.eye(4)[2] * 1e-3
    assert all(worth > Problem(z, reached, out_of, prior, strength).at(found + s * step)[0] for s in (1, -1))
