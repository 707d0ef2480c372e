"""Equations 1 to 7."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import ibis
import numpy as np
import pyarrow as pa
import pytest
import scipy.signal
from hypothesis import given, settings
from hypothesis import strategies as st

from portkin.net.ports import Port
from portkin_training.core.probes import SCHEMA
from portkin_training.rates.affinity import affinity


def literal_temporal(counts: np.ndarray, lags: int) -> np.ndarray:
    """Equations 1 and 2 as printed, pair by pair, over scipy.signal.correlate."""
    n, p = counts.shape
    std = counts.std(axis=0)
    z = (counts - counts.mean(axis=0)) / np.where(std > 0, std, 1)
    shift = np.arange(-lags, lags + 1)
    found = np.empty((p, p))
    for i in range(p):
        for j in range(p):
            r = scipy.signal.correlate(z[:, i], z[:, j])[n - 1 - lags : n + lags]
            found[i, j] = np.abs(r / (n - np.abs(shift))).max()
    return np.minimum(found, 1)


@settings(max_examples=15, deadline=None)
@given(st.integers(40, 200), st.integers(1, 7), st.integers(0, 19), st.integers(0, 2**32 - 1))
def test_temporal_similarity_is_the_printed_equation(n, p, lags, seed):
    """The blocked cross spectra give what a loop over scipy.signal.correlate gives."""
    counts = np.random.default_rng(seed).poisson(5, (n, p)).astype(float)
    np.testing.assert_allclose(literal_temporal(counts, lags), affinity.temporal_similarity(counts, lags), atol=2e-6)


def test_tiles_do_not_show():
    """One row of ports at a time gives the same similarities as all at once."""
    counts = np.random.default_rng(1).poisson(5, (500, 9)).astype(float)
    whole = affinity.temporal_similarity(counts, 24)
    np.testing.assert_allclose(whole, affinity.temporal_similarity(counts, 24, tile_bytes=1), atol=1e-6)


def test_lagged_copy_is_found():
    """A series and itself five bins later correlate fully at lag 5, not at lags up to 4."""
    x = np.random.default_rng(2).normal(size=1005)
    counts = np.stack([x[5:], x[:-5]], axis=1)
    assert affinity.temporal_similarity(counts, 5)[0, 1] > 0.99
    assert affinity.temporal_similarity(counts, 4)[0, 1] < 0.2


def test_unknown_bins_take_no_part():
    """With bins unknown, sums and their number run over the known pairs only, whichever ports lack them."""
    rng = np.random.default_rng(3)
    counts = rng.poisson(9, (60, 3)).astype(float)
    counts[10:14] = np.nan
    common = affinity.temporal_similarity(counts, 6)
    x, known = affinity.standardized(counts)
    k = known[:, 0].astype(float)
    best = 0.0
    for lag in range(-6, 7):
        a, b = (slice(lag, None), slice(None, 60 - lag)) if lag >= 0 else (slice(None, lag), slice(-lag, None))
        best = max(best, abs((x[a, 0] * x[b, 1]).sum() / (k[a] * k[b]).sum()))
    assert best == pytest.approx(common[0, 1], abs=1e-6)
    counts[30, 2] = np.nan  # now the ports differ: the pair (0, 1) must not change
    assert best == pytest.approx(affinity.temporal_similarity(counts, 6)[0, 1], abs=1e-6)


def test_port_that_never_varies_is_like_none():
    """A constant series has no correlation, rather than a division by zero."""
    counts = np.random.default_rng(4).poisson(3, (50, 2)).astype(float)
    counts[:, 1] = 7
    assert 0 == affinity.temporal_similarity(counts, 3)[0, 1]


def test_series_shorter_than_the_lags_are_refused():
    """Ten bins cannot be correlated at lag 168."""
    with pytest.raises(ValueError, match="10 bins are too few"):
        affinity.temporal_similarity(np.ones((10, 2)), 168)


def table(*rows: tuple[float, int, int]) -> ibis.Table:
    """TCP probes out of (hours since an epoch day, source, dport)."""
    n = len(rows)
    begin = datetime(2021, 3, 27, tzinfo=UTC)
    columns = {name: [0] * n for name in SCHEMA.names}
    columns |= {
        "ts": [begin + timedelta(hours=hour) for hour, _, _ in rows],
        "seq": list(range(n)),
        "src_lo": [source for _, source, _ in rows],
        "dport": [dport for _, _, dport in rows],
        "proto": [6] * n,
    }
    return ibis.memtable(pa.table(columns, schema=SCHEMA))


PORTS = (Port(21, "tcp"), Port(22, "tcp"), Port(80, "tcp"))


def test_sources_that_probe_two_ports_in_sequence_are_counted_once_a_day():
    """Either order, once per source and day; equal stamps keep the order of the recording."""
    rows = [
        (1, 1, 21), (1, 1, 22), (2, 1, 21),  # source 1: 21-22, both ways, once
        (1, 2, 22), (1, 2, 21), (1, 2, 80),  # source 2: 22-21 and 21-80, not 22-80
        (1, 3, 21), (40, 3, 22),             # source 3 is active for more than 24 hours
        (1, 4, 22), (2, 4, 22),              # source 4 probes one port
        (23, 5, 21), (23.5, 5, 22), (25, 5, 21), (25, 5, 22),  # source 5: 21-22 on two days
    ]  # fmt: skip
    sums, days = affinity.sequential_sources(table(*rows), PORTS)
    assert [[0, 4, 1], [4, 0, 0], [1, 0, 0]] == sums.tolist()
    assert 2 == days


def test_sample_of_sources_is_drawn_by_source():
    """A share of the sources is drawn, the same on every run; another seed draws others."""
    rows = [(1, source, port) for source in range(400) for port in (21, 22)]
    drawn = [affinity.sequential_sources(table(*rows), PORTS, sample=0.3, seed=seed)[0][0, 1] for seed in (1, 1)]
    assert drawn[0] == drawn[1]
    assert 80 < drawn[0] < 160


def test_equations_3_to_6():
    """S = sums / m; log(1 + S); min-max over the pairs of different ports."""
    # m = 2: S = 2, .5, 0 -> log 3, log 1.5, 0 -> 1, log 1.5 / log 3 = 0.36907, 0
    sums = np.array([[0, 4, 1], [4, 0, 0], [1, 0, 0]])
    expected = [[1, 1, 0.36907], [1, 1, 0], [0.36907, 0, 1]]
    np.testing.assert_allclose(expected, affinity.semantic_similarity(sums, 2), atol=1e-5)


def test_no_sequential_source_at_all_is_no_similarity():
    """Where all pairs are equal nothing stands out: zero, not a division by zero."""
    assert [[1, 0], [0, 1]] == affinity.semantic_similarity(np.zeros((2, 2), dtype=int), 1).tolist()


def test_equation_7_is_the_harmonic_mean():
    """2 * .5 * 1 / 1.5 = 2/3; zero where either is zero."""
    t, s = np.array([[0.5, 0.0, 0.3]]), np.array([[1.0, 0.0, 0.0]])
    np.testing.assert_allclose([[2 / 3, 0, 0]], affinity.harmonic_affinity(t, s))
