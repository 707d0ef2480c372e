"""Until when sources were recorded: a case whose horizon was cut counts by what was to be seen of it."""

import numpy as np
import pytest

from portkin_training.core.dataset import open_probes
from portkin_training.core.history import History, read_history
from portkin_training.core.time_bins import DAY_US
from portkin_training.tables.daily.methods import ends_of_days
from portkin_training.tables.next_port.calibration import Cases, calibrate, how_soon
from portkin_training.tables.next_port.counts import HORIZON
from portkin_training.tables.next_port.recorded import PARTS, Delays, Recorded, ends_of, ends_of_stamps, time_left
from support.datasets import dataset_of

SECOND = 1_000_000
EVEN = np.linspace(0, 1, PARTS + 1)
"""Predictions that come true at any time of the horizon alike."""


class TestEnds:
    """Where recording stopped."""

    def test_stops_for_days(self):
        """A probe a minute for a day, nothing for a week, and a probe a minute again: it stopped twice."""
        day = np.arange(1440) * 60 * SECOND
        ts = np.concatenate([day, day + 8 * DAY_US])
        assert [day[-1], ts[-1]] == ends_of_stamps(ts).tolist()

    def test_few_probes(self):
        """A probe a day, with three days between two of them: nothing says that nobody was listening."""
        ts = np.array([0, 1, 2, 5, 6]) * DAY_US
        assert [ts[-1]] == ends_of_stamps(ts).tolist()

    def test_within_the_horizon(self):
        """A silence shorter than the horizon cuts no horizon in two."""
        minutes = np.arange(600) * 60 * SECOND
        ts = np.concatenate([minutes, minutes[-1] + round(HORIZON - 1) * SECOND + minutes])
        assert [ts[-1]] == ends_of_stamps(ts).tolist()

    def test_nothing(self):
        """Without probes there is no end."""
        assert not len(ends_of_stamps(np.empty(0, np.int64)))

    def test_of_a_dataset(self, tmp_path):
        """Asked of the engine, the ends are those of the stamps."""
        dataset_of(tmp_path / "probes", *([20 + at, 80 + at, 443] for at in range(300)))
        probes = open_probes(tmp_path / "probes")
        assert ends_of_stamps(read_history(probes).ts).tolist() == ends_of(probes).tolist()

    def test_of_days(self):
        """From days a source is another one every day: each day ends."""
        ts = np.array([0, 5, 86_399, 86_400, 90_000]) * SECOND
        assert [86_399 * SECOND, 90_000 * SECOND] == ends_of_days(ts).tolist()

    def test_time_left(self):
        """Half of the horizon before the end, all of it long before, nothing at the end and after it."""
        end = round(10 * HORIZON * SECOND)
        ts = np.array([0, end - round(HORIZON * SECOND / 2), end, end + 5])
        assert [1, 0.5, 0, 0] == time_left(np.array([end]), ts).tolist()
        assert [1] == time_left(np.empty(0, np.int64), np.array([3])).tolist()


class TestDelays:
    """How soon predictions come true."""

    def test_all_was_seen(self):
        """Where all of the horizon was recorded, the shares are those of the delays: a half by 0.1, the rest by 0.6."""
        delays = Delays()
        delays.add(np.array([0.05, 0.55]), np.ones(2), np.array([2.0, 2.0]))
        within = delays.within()
        assert [0, 0.5, 0.5, 1, 1] == within[[0, PARTS // 10, PARTS // 2, PARTS * 6 // 10, PARTS]].tolist()

    def test_late_ones_were_missed(self):
        """Delays are spread evenly over the horizon, of which less and less was recorded: what is seen comes soon, and
        the estimate says that it comes at any time alike."""
        rng = np.random.default_rng(0)
        delay, left = rng.random(200_000), np.minimum(rng.random(200_000) * 1.5, 1)
        seen = delay < left
        assert delay[seen].mean() < 0.45
        delays = Delays()
        delays.add(delay[seen], left[seen], np.ones(seen.sum()))
        assert EVEN == pytest.approx(delays.within(), abs=0.01)

    def test_nothing_came(self):
        """Where nothing came true nothing is known, and cases count in full."""
        assert (Delays().within() == 1).all()


def in_fragments(seed: int, chance: float, fragments: int = 60, sources: int = 100) -> History:
    """Sources that come to 22, and with this chance within the horizon, at any time of it alike, to 2222: of each
    fragment, three quarters of the horizon were recorded."""
    rng = np.random.default_rng(seed)
    n = fragments * sources
    start = np.repeat(np.arange(fragments), sources) * 40 * HORIZON
    at = start + rng.random(n) * HORIZON * 0.75
    then = at + rng.random(n) * HORIZON
    came = (rng.random(n) < chance) & (then < start + HORIZON * 0.75)
    ts = np.concatenate([at, then[came]])
    order = np.argsort(ts)
    group = np.concatenate([np.arange(n), np.flatnonzero(came)])
    code = np.concatenate([np.full(n, 22), np.full(came.sum(), 2222)])
    return History((ts[order] * SECOND).astype(np.int64), group[order], code[order])


def test_a_chance_is_of_the_whole_horizon():
    """Of the sources, 0.2 come true within the horizon. Three quarters of it were recorded after the first of them,
    nothing after the last: 0.075 are seen to come true. Nothing that takes longer than three quarters is ever seen, so
    that the chance is of what takes less, 0.15: twice what is seen.
    """
    ports, codes = np.array([22]), np.array([[2222]])
    made = in_fragments(1, 0.2)
    ends = ends_of_stamps(made.ts)
    assert len(ends) == 60
    recorded = Recorded(ends, how_soon([made], ports, codes, ends))
    plain, found = Cases.of(made, ports, codes), Cases.of(made, ports, codes, recorded=recorded)
    # A source that came to a second port weighs a half there and here.
    half = 0.5 * 0.075 / (1 - 0.5 * 0.075)
    assert half == pytest.approx((plain.successes / plain.trials).item(), rel=0.1)
    assert 2 * half == pytest.approx((found.successes / found.trials).item(), rel=0.1)
    assert found.successes == plain.successes
    stated = calibrate(np.zeros((1, 1)), found).chances(np.zeros((1, 1))).item()
    assert (found.successes / found.trials).item() == pytest.approx(stated, rel=1e-3)
