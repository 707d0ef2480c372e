"""The replay: its figures worked out by hand, its kernel against the plain reference."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from portkin_training.core.groups import Grouper
from portkin_training.core.port_codes import CODES, codes_of
from portkin_training.core.probes import Probes
from portkin_training.ingest.inputs import InputOptions, read_input
from portkin_training.ingest.tables.columns import ColumnMap
from portkin_training.replay import blocking
from portkin_training.replay.baselines import euclidean
from portkin_training.replay.blocking import Replay, Sweep, replay
from portkin_training.replay.events import BENIGN, SCAN, UNCOUNTED, Events, units_of
from portkin_training.replay.metrics import columns, difference, figures
from support.replay_reference import replay_plainly

SECOND = 1_000_000
ALL = (
    *("probes", "acted", "new", "reached", "steps", "benign", "connections", "blocked", "new_blocked", "blocks"),
    *("useful", "benign_blocked", "connections_blocked", "new_blocks", "new_useful", "hits", "reciprocal", "ordered"),
)


def events(*rows: tuple[float, int, int], truth: int | list[int] = SCAN) -> Events:
    """Rows (second, group, code), all acted upon where they are scans."""
    ts, group, code = (np.array(column) for column in zip(*rows, strict=True))
    kinds = np.broadcast_to(np.array(truth, np.uint8), len(rows)).copy()
    return Events(
        (ts * SECOND).astype(np.int64), group.astype(np.int64), code.astype(np.int32), kinds == SCAN, kinds,
        np.ones(len(rows), bool), np.zeros(len(rows), np.int32),
    )  # fmt: skip


def matrix(nearest: dict[int, list[int]], k: int = 3) -> np.ndarray:
    """Codes nearest to codes."""
    dense = np.full((CODES, k), -1, np.int32)
    for code, found in nearest.items():
        dense[code, : len(found)] = found
    return dense


def totals(counts, k: int, window: float) -> dict[str, float]:
    return {name: float(column.sum()) for name, column in columns(counts, k, window).items()}


class TestByHand:
    TABLE = matrix({80: [443, 8080], 443: [80, 22], 22: [23]})

    def test_one_source(self):
        """Every figure of six probes of one source, K = 2, T = 10 s."""
        # t  port  blocked?                            blocks started        in force afterwards (until)
        # 0   80   no (first ever: not "new")          80 443 8080           80,443,8080: 10
        # 3  443   yes, new; rank 1 of 80: hit, 1/1    22 (443, 80 extended) 443,80,22: 13; 8080: 10
        # 5   22   yes, new; rank 2 of 443: hit, 1/2   23 (22 extended)      22,23: 15
        # 12  25   no, new (last probe 7 s ago)        25                    25: 22
        # 12  80   yes, known; step, no hit            8080 (80, 443 ext.)   80,443,8080: 22
        # 40  25   no, known; step, no hit             25                    25: 50
        rows = events((0, 0, 80), (3, 0, 443), (5, 0, 22), (12, 0, 25), (12, 0, 80), (40, 0, 25))

        found = totals(replay(rows, self.TABLE, Sweep((2,), (10.0,), (2, 10.0))), 2, 10.0)

        assert (6, 3) == (found["probes"], found["blocked"])
        assert (3, 2, 3) == (found["new"], found["new_blocked"], found["reached"])
        # started: 80 443 8080 | 22 | 23 | 25 | 8080 | 25; probed while they held: 443, 22, 80
        assert (8, 3) == (found["blocks"], found["useful"])
        # of ports not probed before: 443 8080 | 22 | 23 | 8080; proved by 443 and 22
        assert (5, 2) == (found["new_blocks"], found["new_useful"])
        # ordered: 3 + 3 + 2 + 1 + 3 + 1
        assert 13 == found["ordered"]
        assert (5, 2, 1.5) == (found["steps"], found["hits"], found["reciprocal"])

    def test_figures(self):
        """The ratios are those of the counts: 3/6 blocked, 3/8 useful, 2/3 new ports, 2/5 hits, MRR 1.5/5."""
        rows = events((0, 0, 80), (3, 0, 443), (5, 0, 22), (12, 0, 25), (12, 0, 80), (40, 0, 25))

        found = figures(replay(rows, self.TABLE, Sweep((2,), (10.0,), (2, 10.0))), 2, 10.0)

        assert (0.5, 0.375, 2 / 3) == (
            found.blocking_ratio.value, found.usefulness.value, found.new_port_recall.value,
        )  # fmt: skip
        assert (0.4, 0.3) == (found.hit_at_k.value, found.mrr.value)
        assert np.isnan(found.packet_fpr.value)

    def test_a_block_ends(self):
        """A block holds in [t, t + T): a probe at its very end finds it gone."""
        rows = events((0, 0, 80), (9.999999, 0, 443), (20, 0, 8080), (29.999999, 0, 8080), (40, 0, 8080))

        found = totals(replay(rows, self.TABLE, Sweep((2,), (10.0,), (2, 10.0))), 2, 10.0)

        assert 2 == found["blocked"]

    def test_benign(self):
        """Benign rows are blocked where a block holds for their own source alone, and never block."""
        rows = events(
            (0, 0, 80), (1, 0, 443), (1, 1, 443), (2, 0, 25), (11, 0, 443), truth=[SCAN, BENIGN, BENIGN, BENIGN, BENIGN]
        )  # fmt: skip

        counts = replay(rows, self.TABLE, Sweep((2,), (10.0,), (2, 10.0)))

        found = totals(counts, 2, 10.0)
        assert (4, 1, 4, 1) == (
            found["benign"], found["benign_blocked"], found["connections"], found["connections_blocked"],
        )  # fmt: skip
        assert 0.25 == figures(counts, 2, 10.0).packet_fpr.value

    def test_uncounted(self):
        """A row that is neither scan nor benign counts nowhere, but can block."""
        rows = events((0, 0, 80), (1, 0, 443), truth=[UNCOUNTED, SCAN])
        rows.act[0] = True

        found = totals(replay(rows, self.TABLE, Sweep((2,), (10.0,), (2, 10.0))), 2, 10.0)

        assert (1, 1, 0, 0) == (found["probes"], found["blocked"], found["benign"], found["new"])

    def test_time_backwards(self):
        """A late row counts as now: the clock never runs backwards, and the rows are counted."""
        run = Replay(self.TABLE, Sweep((2,), (10.0,), (2, 10.0)))
        run.feed(events((100, 0, 80), (50, 0, 443), (109, 0, 8080)))

        assert 2 == totals(run.counts(), 2, 10.0)["blocked"]
        assert 1 == run.late

    def test_myself(self):
        """K = 0 blocks the probed port alone."""
        rows = events((0, 0, 80), (1, 0, 443), (2, 0, 80), (3, 0, 80))

        found = totals(replay(rows, self.TABLE, Sweep((0, 2), (10.0,), (2, 10.0))), 0, 10.0)

        assert (2, 0, 2, 1) == (found["blocked"], found["new_blocked"], found["blocks"], found["useful"])

    def test_protocols_apart(self):
        """UDP port 53 is not TCP port 53."""
        codes = codes_of(np.array([53, 53], np.uint16), np.array([6, 17]))

        assert [53, 65536 + 53] == codes.tolist()


def random_events(draw) -> Events:
    n = draw(st.integers(1, 60))
    code = draw(st.lists(st.sampled_from([1, 2, 3, 4, 5, 65537, 65538]), min_size=n, max_size=n))
    gaps = draw(st.lists(st.sampled_from([-3, 0, 0, 1, 2, 5, 9, 10, 11, 40]), min_size=n, max_size=n))
    truth = np.array(draw(st.lists(st.sampled_from([SCAN, SCAN, BENIGN, UNCOUNTED]), min_size=n, max_size=n)), np.uint8)
    act = np.array(draw(st.lists(st.booleans(), min_size=n, max_size=n)))
    return Events(
        np.cumsum(np.array(gaps, np.int64) * SECOND) + 10**9 * SECOND,
        np.array(draw(st.lists(st.integers(0, 2), min_size=n, max_size=n)), np.int64),
        np.array(code, np.int32), act, truth,
        np.array(draw(st.lists(st.booleans(), min_size=n, max_size=n))),
        np.array(draw(st.lists(st.integers(0, 2), min_size=n, max_size=n)), np.int32),
    )  # fmt: skip


def small_matrix(draw) -> np.ndarray:
    codes = [1, 2, 3, 4, 5, 65537, 65538]
    return matrix({c: draw(st.permutations([x for x in codes if x != c]))[: draw(st.integers(0, 4))] for c in codes}, 4)


class TestAgainstTheReference:
    SWEEP = Sweep((0, 1, 2, 4), (1.0, 10.0, 11.0, 50.0), (2, 10.0))

    def same(self, rows: Events, nearest: np.ndarray, sweep: Sweep) -> None:
        counts = replay(rows, nearest, sweep)
        for k in sweep.ks:
            for window in sweep.windows:
                found, wanted = totals(counts, k, window), replay_plainly(rows, nearest, k, window)
                assert {name: pytest.approx(getattr(wanted, name)) for name in ALL} == {n: found[n] for n in ALL}, (
                    k, window,
                )  # fmt: skip

    @settings(max_examples=30, deadline=None)
    @given(st.data())
    def test_any_rows(self, data):
        """One pass of the kernel gives, for every K and T, what the reference gives for each alone."""
        self.same(random_events(data.draw), small_matrix(data.draw), self.SWEEP)

    @settings(max_examples=15, deadline=None)
    @given(st.data(), st.integers(1, 59))
    def test_in_chunks(self, data, at):
        """Fed in two parts, the counts are those of the whole."""
        rows, nearest = random_events(data.draw), small_matrix(data.draw)
        run = Replay(nearest, self.SWEEP, capacity=512)
        run.feed(rows[:at])
        run.feed(rows[at:])

        whole, parts = replay(rows, nearest, self.SWEEP), run.counts()
        assert whole.units.tolist() == parts.units.tolist()
        assert np.array_equal(whole.by_window, parts.by_window)
        assert np.array_equal(whole.ports, parts.ports)

    def test_growing(self):
        """A table that grows, and forgets what ended, counts as one that was large enough from the start."""
        rng = np.random.default_rng(7)
        n = 20_000
        group, code = rng.integers(0, 900, n), rng.integers(0, 3000, n)
        rows = events(*zip(np.sort(rng.random(n) * 400), group, code, strict=True))
        nearest = euclidean(None, 3)
        sweep = Sweep((0, 3), (1.0, 5.0), (3, 5.0))
        small, large = Replay(nearest, sweep, capacity=256), Replay(nearest, sweep, capacity=1 << 18)
        small.feed(rows)
        large.feed(rows)

        assert np.array_equal(small.counts().by_window, large.counts().by_window)
        self.same(rows, nearest, sweep)

    @pytest.mark.parametrize("lanes", [1, 2, 3])
    def test_lanes_and_chunks(self, lanes, monkeypatch):
        """However many threads share the groups, and whatever is fed at once, the counts are the same.

        The counts per port are summed long before they fill their 32 bits, and the tables grow amid chunks, while
        blocks of earlier chunks hold.
        """
        monkeypatch.setattr(blocking, "FULL", 40_000)
        rng = np.random.default_rng(7)
        n = 20_000
        group, code = np.minimum(rng.zipf(1.3, n), 900), rng.integers(0, 3000, n)
        rows = events(*zip(np.sort(rng.random(n) * 400), group, code, strict=True))
        nearest = euclidean(None, 3)
        sweep = Sweep((0, 3), (5.0, 50.0), (3, 50.0))
        run = Replay(nearest, sweep, capacity=16, lanes=lanes)
        for start in range(0, n, 3000):
            run.feed(rows[start : start + 3000])

        whole, parts = replay(rows, nearest, sweep), run.counts()
        for name in ("by_window", "by_level", "plain", "reached", "ports"):
            assert np.array_equal(getattr(whole, name), getattr(parts, name)), name
        self.same(rows, nearest, sweep)

    @pytest.mark.data
    @pytest.mark.parametrize(
        ("name", "mapped"),
        [
            ("aws-honeypots-2013", ColumnMap({"ts": "datetime", "dst": "host", "dport": "dpt"}, names=True)),
            ("tpot-p0f-syn-2020", ColumnMap({"ts": "ts_utc"}, proto="tcp")),
        ],
    )  # fmt: skip
    def test_recordings(self, shared_data, name, mapped):
        """On the recordings, kernel and reference agree."""
        probes = Probes.concat(
            read_input(shared_data / "probes" / f"{name}.csv.gz", options=InputOptions(columns=mapped))
        )
        probes = probes[np.argsort(probes.ts, kind="stable")]
        every = np.ones(len(probes), bool)
        group = Grouper().number(probes.src, probes.dst)
        rows = Events(
            probes.ts, group, codes_of(probes.dport, probes.proto), every, np.full(len(probes), SCAN, np.uint8), every,
            units_of(probes.ts, group, "days"),
        )  # fmt: skip

        self.same(rows, euclidean(None, 3), Sweep((3,), (20_000.0,)))


class TestGroups:
    def test_ipv6_and_chunks(self):
        """Sources are distinguished by all 128 bits, and keep their numbers from chunk to chunk."""
        src = np.array([[1, 5], [2, 5], [1, 5], [-7, 5]], np.int64)
        dst = np.array([[0, 1], [0, 1], [0, 2], [0, 1]], np.int64)
        one, two = Grouper("source", capacity=4), Grouper("destination", capacity=4)

        assert [0, 1, 0, 2] == one.number(src, dst).tolist()
        assert [2, 0] == one.number(src[[3, 0]], dst[[0, 0]]).tolist()
        assert [0, 1, 2, 3] == two.number(src, dst).tolist()

    def test_many(self):
        """A great many sources are each given one number."""
        src = np.arange(20_000, dtype=np.int64)[:, None] * np.array([0, 1 << 20])
        group = Grouper(capacity=16).number(np.concatenate([src, src]), np.concatenate([src, src]))

        assert [*range(20_000), *range(20_000)] == group.tolist()


class TestIntervals:
    def test_difference_is_paired(self):
        """The lead of one replay over another is drawn over the same units."""
        rows = events(*[(i, i // 5, 80 if i % 5 == 0 else 443) for i in range(100)])
        rows = replace(rows, unit=(np.arange(100) // 5).astype(np.int32))
        sweep = Sweep((0, 2), (10.0,), (2, 10.0))
        good, none = replay(rows, TestByHand.TABLE, sweep), replay(rows, matrix({}), sweep)

        lead = difference(good, none, 2, 10.0, "new_port_recall")

        assert (1.0, 1.0, 1.0) == (lead.value, lead.low, lead.high)

    @pytest.mark.parametrize(
        ("ks", "windows", "headline"),
        [((3, 0), (1.0,), (3, 1.0)), ((3,), (), (3, 1.0)), ((3,), (1.0,), (2, 1.0)), ((-1,), (1.0,), (-1, 1.0))],
    )
    def test_bad_sweeps(self, ks, windows, headline):
        """A sweep that is out of order, empty or lacks its headline is refused."""
        with pytest.raises(ValueError, match=r"K|T|headline"):
            Sweep(ks, windows, headline)
