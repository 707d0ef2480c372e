"""Probes to store, and what a dataset in a store must hold."""

from __future__ import annotations

import numpy as np

from portkin_training.core.dataset import load, open_probes
from portkin_training.core.dataset_writer import ProbesWriter
from portkin_training.core.probes import Probes

DAY = 86_400_000_000
BEGIN = 20_000 * DAY


def some(n: int, *, seq: int = 0, days: int = 2, seed: int = 0) -> Probes:
    """n probes of a few sources that walk over ports, spread over days."""
    rng = np.random.default_rng([n, seed])
    zeros = np.zeros(n, np.int64)
    return Probes(
        ts=BEGIN + np.sort(rng.integers(0, days * DAY, n)), seq=np.arange(seq, seq + n),
        src=np.column_stack((zeros, rng.integers(1, 20, n))), dst=np.column_stack((zeros, rng.integers(1, 4, n))),
        sport=np.full(n, 4000, np.uint16), dport=rng.integers(20, 40, n).astype(np.uint16),
        proto=np.full(n, 6, np.uint8), flags=np.full(n, 2, np.uint8),
    )  # fmt: skip


def write(place, probes: Probes, **options) -> ProbesWriter:
    with ProbesWriter(place, **options) as writer:
        writer.write(probes[: len(probes) // 2])
        writer.write(probes[len(probes) // 2 :])
    return writer


def assert_holds(place, *chunks: Probes) -> None:
    """What is read from the place by both readers are these probes."""
    expected, actual = Probes.concat(chunks), load(place)
    for name in Probes.__slots__:
        np.testing.assert_array_equal(getattr(expected, name), getattr(actual, name), err_msg=name)
    assert len(expected) == open_probes(place).count().to_pyarrow().as_py()
