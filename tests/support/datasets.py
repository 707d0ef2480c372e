"""Datasets of probes small enough to know by heart."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from portkin_training.core.dataset_writer import ProbesWriter
from portkin_training.core.probes import Probes


def dataset_of(path: Path, *scans: list[int], proto: int = 6, first_source: int = 0, force: bool = False) -> Path:
    """A probes dataset: each scan from a source of its own, its ports a second apart."""
    ports = np.concatenate([np.array(scan, np.uint16) for scan in scans])
    source = first_source + np.repeat(np.arange(len(scans)), [len(scan) for scan in scans])
    n = len(ports)
    address = np.column_stack((np.zeros(n, np.int64), source))
    with ProbesWriter(path, force=force) as writer:
        writer.about = {"sources": "by hand"}
        writer.write(
            Probes(
                ts=1_700_000_000_000_000 + np.arange(n) * 1_000_000, seq=np.arange(n), src=address, dst=address * 0 + 9,
                sport=np.zeros(n, np.uint16), dport=ports, proto=np.full(n, proto, np.uint8),
                flags=np.full(n, 2, np.uint8),
            )
        )  # fmt: skip
    return path
