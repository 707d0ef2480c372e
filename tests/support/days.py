"""Datasets of days of simulated probes."""

from __future__ import annotations

from dataclasses import replace
from datetime import date
from pathlib import Path

import numpy as np

from portkin_training.core.dataset_writer import ProbesWriter
from portkin_training.core.probes import Probes

DAY = 86_400_000_000
FIRST = 1_767_225_600_000_000  # 2026-01-01
DATES = [date(2026, 1, day) for day in range(1, 7)]


def day_of(day: int, *, seed: int = 0, n: int = 400) -> Probes:
    """Probes of one day: twenty sources that walk near ports they like, over midnight too, some of them on UDP."""
    rng = np.random.default_rng([seed, day])
    source = rng.integers(0, 20, n)
    ts = np.sort(np.concatenate([rng.integers(0, DAY, n - 40), DAY - rng.integers(1, 20_000_000, 40)]))
    return Probes(
        ts=FIRST + day * DAY + ts,
        seq=np.arange(n),
        src=np.column_stack((np.zeros(n, np.int64), source)),
        dst=np.column_stack((np.zeros(n, np.int64), rng.integers(0, 2, n))),
        sport=np.zeros(n, np.uint16),
        dport=(rng.choice([22, 80, 443, 3389, 8080], n) + source % 3).astype(np.uint16),
        proto=np.where(source % 5, 6, 17).astype(np.uint8),
        flags=np.zeros(n, np.uint8),
    )


def add(path: Path, *days: int, seed: int = 0) -> Path:
    """Write these days to the dataset, or add them to it."""
    with ProbesWriter(path, append=path.exists()) as writer:
        for day in days:
            probes = day_of(day, seed=seed)
            writer.write(replace(probes, seq=probes.seq + writer.rows))
        writer.about = {"sources": [{"name": f"{day}.pcap"} for day in days]}
    return path
