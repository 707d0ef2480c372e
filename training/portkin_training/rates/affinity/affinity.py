"""How akin two ports are: probed at the same times, and by the same sources (Zakroum et al. 2022, V-A to
V-C).

Equation 2 over all pairs and lags is the expensive part. Only the lags up to L are wanted, so the series
are cut into blocks a few L long, each block is transformed once, and per frequency the cross spectra of all
pairs are one matrix product summed over the blocks. That is some fifty times less arithmetic than
correlating at every lag, and it is BLAS that does it.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import ibis
import numpy as np
import scipy.fft
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from portkin.net.ports import Port
from portkin_training.core.protocols import PROTO_NUMBERS
from portkin_training.rates.series.queries import sequential_pairs, watched_days

LAGS = {3_600: 168, 86_400: 31}
"""Largest lag per bin width: a week of hours, a month of days (V-A)."""
TILE_BYTES = 512 << 20
"""What one tile of cross spectra may take."""

Floats = NDArray[np.floating]


def standardized(counts: Floats) -> tuple[Floats, NDArray[np.bool_]]:
    """The factors of equation 2, (X - mean) / std per port, and which bins are known: both (n, p).

    Unknown bins are 0 there, so that they add nothing; a port that never varies is 0 throughout.
    """
    known = ~np.isnan(counts)
    number = np.maximum(known.sum(axis=0), 1)
    x = np.where(known, counts, 0.0)
    x -= x.sum(axis=0) / number
    x[~known] = 0.0
    std = np.sqrt(np.einsum("np,np->p", x, x) / number)
    x /= np.where(std > 0, std, 1.0)
    return x, known


def lagged_sums(
    x: Floats, lags: int, visit: Callable[[int, Floats], None], *, tile_bytes: int = TILE_BYTES, threads: int = 2
) -> None:
    """The sums of equation 2, r[l, i, j] = sum over k of x[k, i] x[k - l, j], for all pairs and lags |l| <= lags.

    They come in tiles of rows, so that p^2 (2 lags + 1) numbers never lie in memory at once: `visit(first, r)` gets r
    of shape (2 lags + 1, rows, p - first), lag -lags first, for the ports i and j from `first` on (the rest follows
    from r[l, i, j] = r[-l, j, i]); it may change r but not keep it. Computed in single precision, as the inverse
    transform of the cross spectra summed over blocks.
    """
    n, p = x.shape
    size = scipy.fft.next_fast_len(max(2 * lags, 64) + 2 * lags, real=True)
    block = size - 2 * lags
    blocks = -(-n // block)
    padded = np.zeros((lags + blocks * block + lags, p), dtype=np.float32)
    padded[lags : lags + n] = x
    frequencies = size // 2 + 1
    # Disjoint blocks of x[., j], and the same blocks of x[., i] with `lags` more on either side: what the circular
    # correlation of length `size` wraps around is only padding.
    here = np.empty((frequencies, blocks, p), dtype=np.complex64)
    wide = np.empty((frequencies, p, blocks), dtype=np.complex64)
    for b in range(blocks):
        at = lags + b * block
        here[:, b] = np.conj(scipy.fft.rfft(padded[at : at + block], n=size, axis=0))
        wide[:, :, b] = scipy.fft.rfft(padded[at - lags : at + block + lags], n=size, axis=0)
    rows = max(1, min(p, tile_bytes // (p * (frequencies * 8 + size * 4))))
    # A product per frequency is small: BLAS threads would wait for each other at every one, ten times as long as they
    # compute. So BLAS runs on one thread, and the frequencies are shared out.
    parts = np.array_split(np.arange(frequencies), threads)
    with threadpool_limits(1, user_api="blas"), ThreadPoolExecutor(threads) as pool:
        for first in range(0, p, rows):
            last = min(first + rows, p)
            spectra = np.empty((frequencies, last - first, p - first), dtype=np.complex64)

            def multiply(part: NDArray[np.int64], first: int = first, last: int = last, out: Floats = spectra) -> None:
                chosen = slice(part[0], part[-1] + 1)
                np.matmul(wide[chosen, first:last], here[chosen, :, first:], out=out[chosen])

            list(pool.map(multiply, [part for part in parts if len(part)]))
            sums = scipy.fft.irfft(spectra, n=size, axis=0, overwrite_x=True, workers=threads)
            visit(first, sums[: 2 * lags + 1])


def pair_counts(known: NDArray[np.bool_], lags: int) -> NDArray[np.float64]:
    """N - |l| of equation 2 where all bins are known; else how many pairs of known bins lag l has: (2 lags
    + 1,).

    `known` (n,): which bins were watched. Lag -lags first.
    """
    sums = np.correlate(known.astype(np.float64), known.astype(np.float64), mode="full")
    middle = len(known) - 1
    return sums[middle - lags : middle + lags + 1]


def temporal_similarity(counts: Floats, lags: int, *, tile_bytes: int = TILE_BYTES) -> NDArray[np.float64]:
    """Equation 1: the largest absolute lagged correlation (equation 2) of every two ports: (p, p), in [0, 1].

    `counts` (n, p), NaN where unknown. Raises ValueError where the series are not longer than the lags.

    Notes
    -----
    Equation 2 divides by the number of overlapping bins but uses the mean and deviation of the whole
    series, so on bursty series it can exceed 1, against the "[0, 1]" of equation 1; it is cut off there.
    Unknown bins are left out of sums and of their number. Lags at which fewer than half of the known bins
    overlap are left out: their estimate is noise.
    """
    n, p = counts.shape
    if n <= lags:
        raise ValueError(f"{n} bins are too few for lags up to {lags}: give longer series or a smaller --lags")
    x, known = standardized(counts)
    similarity = np.zeros((p, p))

    def keep_largest(first: int, sums: Floats) -> None:
        np.abs(sums, out=sums)
        similarity[first : first + sums.shape[1], first:] = sums.max(axis=0)

    if (known == known[:, :1]).all():
        number = pair_counts(known[:, 0], lags)
        enough = number >= known[:, 0].sum() / 2
        weight = np.where(enough, 1 / np.maximum(number, 1), 0).astype(np.float32)[:, None, None]

        def divide_alike(first: int, sums: Floats) -> None:
            sums *= weight
            keep_largest(first, sums)

        lagged_sums(x, lags, divide_alike, tile_bytes=tile_bytes)
    else:
        # Ports that were watched at different times: the number of overlapping bins is a correlation of its own.
        numbers: dict[int, Floats] = {}
        half = np.minimum.outer(known.sum(axis=0), known.sum(axis=0)) / 2

        def keep(first: int, sums: Floats) -> None:
            numbers[first] = np.rint(sums)

        def divide(first: int, sums: Floats) -> None:
            here = numbers.pop(first)
            least = np.maximum(half[first : first + sums.shape[1], first:], 1)
            np.divide(sums, here, out=sums, where=here >= least)
            sums[here < least] = 0
            keep_largest(first, sums)

        lagged_sums(known.astype(np.float32), lags, keep, tile_bytes=tile_bytes)
        lagged_sums(x, lags, divide, tile_bytes=tile_bytes)
    # r[l, i, j] = r[-l, j, i], so the largest over all lags is the same; within a tile both were computed
    return np.minimum(np.maximum(similarity, similarity.T), 1.0)


def sequential_sources(
    probes: ibis.Table, ports: tuple[Port, ...], *, sample: float = 1.0, seed: int = 0
) -> tuple[NDArray[np.int64], int]:
    """The sums of equations 3 and 4: how many (source, day) probed two ports one right after the other,
    either way.

    `probes` has the columns of `portkin_training.core.probes.SCHEMA`. Sources count that probed at least two
    ports and were active for at most 24 hours; of these a share `sample` is drawn (the paper takes 0.05 of
    750 million), by a digest of the address and `seed`, so that a source is in or out as a whole and on every
    run.

    Returns the counts (p, p), symmetric, zero on the diagonal, and m, the number of 24-hour subsets.
    """
    counted = sequential_pairs(probes, sample=sample, seed=seed).to_pyarrow()
    days = int(watched_days(probes).execute())
    place = {PROTO_NUMBERS[port.proto] * 65536 + port.number: i for i, port in enumerate(ports)}
    sums = np.zeros((len(ports), len(ports)), dtype=np.int64)
    for low, high, n in zip(*(counted[name].to_pylist() for name in ("low", "high", "n")), strict=True):
        if low in place and high in place:
            sums[place[low], place[high]] = sums[place[high], place[low]] = n
    return sums, days


def mean_sources(sums: NDArray[np.integer], days: int) -> Floats:
    """Equation 3: S = (1 / m) times the number of sources per day that probed both ports in
    sequence: (p, p), from the sums over all days, (p, p)."""
    return sums / days


def log_scaled(semantic: Floats) -> Floats:
    """Equation 5: S_l = log(1 + S), (p, p) -> (p, p)."""
    return np.log1p(semantic)


def normalized(log_semantic: Floats) -> Floats:
    """Equation 6: min-max over all pairs of different ports, into [0, 1]; all zero where they are all equal.
    (p, p) -> (p, p).

    The diagonal, which no pair of ports is, takes no part and is set to 1.
    """
    off = ~np.eye(len(log_semantic), dtype=bool)
    low, high = (log_semantic[off].min(), log_semantic[off].max()) if off.any() else (0.0, 0.0)
    scaled = (log_semantic - low) / (high - low) if high > low else np.zeros_like(log_semantic, dtype=float)
    np.fill_diagonal(scaled, 1.0)
    return scaled


def semantic_similarity(sums: NDArray[np.integer], days: int) -> Floats:
    """Equations 3, 5 and 6 in turn: (p, p), in [0, 1]."""
    return normalized(log_scaled(mean_sources(sums, days)))


def harmonic_affinity(temporal: Floats, semantic: Floats) -> Floats:
    """Equation 7: A = 2 T S / (T + S); 0 where both are 0. All (p, p)."""
    total = temporal + semantic
    return np.divide(2 * temporal * semantic, total, out=np.zeros_like(total), where=total > 0)
