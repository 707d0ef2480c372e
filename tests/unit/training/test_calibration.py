"""Calibration: what a chance states is what is seen."""

import numpy as np
import pytest

from portkin_training.core.history import History
from portkin_training.tables.next_port.calibration import Calibration, Cases, calibrate, reliability, shifted

SECOND = 1_000_000


def history(*rows: tuple[float, int, int]) -> History:
    """Probes (second, group, code)."""
    ts, group, code = (np.array(column) for column in zip(*rows, strict=True))
    return History((ts * SECOND).astype(np.int64), group.astype(np.int64), code.astype(np.int64))


class TestCases:
    PORTS, CODES = np.array([22, 80]), np.array([[80, 23, -1], [22, 443, 8080]])

    def test_by_hand(self):
        """A case is a first probe of p and an entry that the source has not probed; a source counts once in all.

        Source 1 probes 22, 80, 22 again and 23: a half each from 22 and 80. From 22 come 80 and 23 within the horizon;
        from 80, 22 was probed before and is no case, 443 and 8080 do not come. Source 2 probes 80, then 443 too late.
        """
        made = history((0, 1, 22), (1, 1, 80), (2, 1, 22), (3, 1, 23), (0, 2, 80), (100, 2, 443))
        made = made[np.argsort(made.ts, kind="stable")]

        found = Cases.of(made, self.PORTS, self.CODES, horizon=50.0)

        third, half = 1 / 3, 1 / 2
        assert [[third, third, 0], [half, third + half, third + half]] == pytest.approx(found.trials)
        assert [[third, third, 0], [0, 0, 0]] == pytest.approx(found.successes)

    def test_the_horizon_is_open(self):
        """What comes after the whole horizon is too late; a microsecond sooner is not."""
        for gap, expected in ((50.0, 0.0), (50.0 - 1e-6, 0.5)):
            found = Cases.of(history((0, 1, 22), (gap, 1, 80)), self.PORTS, self.CODES, horizon=50.0)
            assert expected == pytest.approx(found.successes[0, 0])

    def test_nothing(self):
        """No probes, no cases."""
        assert not Cases.of(history((0, 1, 22))[:0], self.PORTS, self.CODES).trials.any()


class TestCalibration:
    def test_states_what_is_seen(self):
        """Odds that are wrong by a factor come out right, in every bin, on other cases of the same kind."""
        rng = np.random.default_rng(1)
        chance = rng.uniform(0.001, 0.6, (4000, 8))
        odds = 2 * np.log(chance / (1 - chance)) - 1  # overconfident, and biased

        def cases() -> Cases:
            trials = np.full(chance.shape, 5.0)
            return Cases(trials, rng.binomial(5, chance).astype(float))

        curve = reliability(calibrate(odds, cases()).chances(odds), cases())

        full = [bin_ for bin_ in curve if bin_["cases"] >= 5000]
        assert [0.0, 0.1, 0.2, 0.3, 0.4, 0.5] == [bin_["from"] for bin_ in full]
        for bin_ in full:
            assert 0.9 < bin_["observed"] / bin_["stated"] < 1.1

    def test_keeps_the_order(self):
        """Whatever came, greater odds are never a smaller chance, also beyond what was seen."""
        rng = np.random.default_rng(2)
        odds = np.sort(rng.normal(-5, 2, (200, 4)).ravel())[:, None]
        found = calibrate(odds, Cases(np.full(odds.shape, 9.0), rng.binomial(9, 0.3, odds.shape).astype(float)))

        grid = found.chances(np.linspace(-30, 30, 1001))

        assert (np.diff(grid) >= 0).all()
        assert ((grid > 0) & (grid < 1)).all()

    def test_nothing_came(self):
        """Without a case that came true the odds are taken as they are, and what is no entry has no chance."""
        found = calibrate(np.array([[0.0]]), Cases(np.array([[7.0]]), np.array([[0.0]])))

        assert [[0.5, 0.0]] == found.chances(np.array([[0.0, -np.inf]])).tolist()
        assert [0.5] == Calibration(np.empty((0, 2))).chances(np.zeros(1)).tolist()

    def test_little_came(self):
        """With less evidence than one step wants there is one step: in all, what is stated is what was seen."""
        odds = np.array([[-3.0, -4.0]])
        cases = Cases(np.array([[100.0, 100.0]]), np.array([[8.0, 2.0]]))

        stated = calibrate(odds, cases).chances(odds)

        assert 10 / 200 == pytest.approx(stated.mean(), rel=0.01)
        assert stated[0, 0] > stated[0, 1]


class TestShifted:
    def test_by_hand(self):
        """Half and a fifth of two equally many cases are stated, 0.8 and 0.5 came: all odds are four times as high.

        4 * 1 / (1 + 4 * 1) = 0.8 and 4 * 0.25 / (1 + 4 * 0.25) = 0.5.
        """
        odds = np.log([1.0, 0.25])
        found = shifted(odds, Cases(np.array([100.0, 100.0]), np.array([80.0, 50.0])))
        assert [0.8, 0.5] == pytest.approx(found.chances(odds))

    def test_slope(self):
        """Odds of 16 and 1 are as 4 and 1 by half the slope, and three times as high if 12/13 and 3/4 came true."""
        odds = np.log([16.0, 1.0])
        found = shifted(odds, Cases(np.array([130.0, 100.0]), np.array([120.0, 75.0])), 0.5)
        assert [12 / 13, 3 / 4] == pytest.approx(found.chances(odds))

    @pytest.mark.parametrize("off", [-6.0, 0.0, 9.0])
    def test_states_what_is_seen(self, off):
        """In all as much is stated as came true, however far the odds were off, and no odds come nearer each other."""
        odds = np.random.default_rng(5).normal(-4, 2, (200, 3))
        cases = Cases(np.full(odds.shape, 2.0), 2 / (1 + np.exp(-odds)))
        found = shifted(odds + off, cases)
        assert cases.successes.sum() == pytest.approx((cases.trials * found.chances(odds + off)).sum())
        assert [1.0] == pytest.approx(np.diff(found.points[:, 1]) / np.diff(found.points[:, 0]))


def test_reliability_by_hand():
    """Ten equal bins; each says how many cases, what was stated on average, and what was seen."""
    cases = Cases(np.array([[100.0, 300.0, 10.0]]), np.array([[10.0, 60.0, 9.0]]))

    found = reliability(np.array([[0.12, 0.16, 1.0]]), cases)

    # (100 x 0.12 + 300 x 0.16) / 400 = 0.15; 70 of 400 came
    assert {"from": 0.1, "to": 0.2, "cases": 400.0, "stated": 0.15, "observed": 0.175} == found[0]
    assert (2, 0.9, 1.0, 0.9) == (len(found), found[1]["from"], found[1]["to"], found[1]["observed"])
