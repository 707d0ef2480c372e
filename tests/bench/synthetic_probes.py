"""Synthetic probes: a telescope of 4,096 addresses, drawn from a seed, as a dataset of any size.

    python tests/bench/synthetic_probes.py 1000000 FOLDER [--days 30]

Three kinds of sources, in the shares that make every step of the scan filter work: sweeps over hosts on one port
(60 % of the probes, too few ports), sources that walk three to ten ports of one of 200 families on a host (25 %,
kept), and sweeps over 31 to 300 ports of a host (15 %, too many ports). A real darknet has more of the first.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from portkin_training.core.dataset_writer import ProbesWriter
from portkin_training.core.probes import Probes

SECOND, DAY = 1_000_000, 86_400_000_000
FIRST_DAY = 20_000 * DAY  # 2024-10-04
MAPPED = 0xFFFF << 32  # ::ffff:0:0/96
HOSTS = 4096
FAMILIES, FAMILY = 200, 24
SWEEPS_OVER_HOSTS, WALKS = 0.60, 0.25
_UDP = 0.1


def probes_of_day(probes: int, day: int, seed: int, part: int = 0) -> Probes:
    """About `probes` probes of one day, in the order of time; `seq` counts from 0."""
    rng = np.random.default_rng([seed, day, part])
    families = np.random.default_rng(seed).integers(1, 1 << 16, (FAMILIES, FAMILY))
    parts = []
    hosts = _sizes(rng, probes * SWEEPS_OVER_HOSTS, 1, 40)
    scan = _scan_of(hosts)
    port = families.ravel()[np.minimum(rng.zipf(1.3, len(hosts)) - 1, families.size - 1)]
    parts.append((scan, len(hosts), rng.integers(0, HOSTS, len(scan)), port[scan]))
    walks = _sizes(rng, probes * WALKS, 3, 10)
    scan = _scan_of(walks)
    family = np.minimum(rng.zipf(1.2, len(walks)) - 1, FAMILIES - 1)
    place = (rng.integers(0, FAMILY, len(walks))[scan] + _index(walks)) % FAMILY
    parts.append((scan, len(walks), rng.integers(0, HOSTS, len(walks))[scan], families[family[scan], place]))
    swept = _sizes(rng, probes * (1 - SWEEPS_OVER_HOSTS - WALKS), 31, 300)
    scan = _scan_of(swept)
    port = (rng.integers(1, 60_000, len(swept))[scan] + _index(swept)) & 0xFFFF
    parts.append((scan, len(swept), rng.integers(0, HOSTS, len(swept))[scan], port))

    columns = []
    for scan, scans, host, port in parts:
        source = rng.integers(1 << 24, 0xDF << 24, scans)
        begun = rng.integers(0, DAY - 400 * SECOND, scans)
        udp = rng.random(scans) < _UDP
        at = begun[scan] + _index(np.bincount(scan, minlength=scans)) * SECOND + rng.integers(0, SECOND // 2, len(scan))
        columns.append((at, source[scan], host, port, udp[scan]))
    at, source, host, port, udp = (np.concatenate(column) for column in zip(*columns, strict=True))
    order = np.argsort(at, kind="stable")
    n = len(order)
    zero = np.zeros(n, np.int64)
    return Probes(
        ts=FIRST_DAY + day * DAY + at[order],
        seq=np.arange(n),
        src=np.column_stack((zero, MAPPED | source[order])),
        dst=np.column_stack((zero, MAPPED | 10 << 24 | host[order])),
        sport=rng.integers(1024, 1 << 16, n).astype(np.uint16),
        dport=port[order].astype(np.uint16),
        proto=np.where(udp[order], 17, 6).astype(np.uint8),
        flags=np.where(udp[order], 0, 2).astype(np.uint8),
    )


def _sizes(rng: np.random.Generator, probes: float, least: int, most: int) -> NDArray[np.int64]:
    return rng.integers(least, most + 1, max(1, round(2 * probes / (least + most))))


def _scan_of(sizes: NDArray[np.int64]) -> NDArray[np.int64]:
    return np.repeat(np.arange(len(sizes)), sizes)


def _index(sizes: NDArray[np.int64]) -> NDArray[np.int64]:
    """0, 1, 2 ... within each of the sizes."""
    return np.arange(sizes.sum()) - np.repeat(np.cumsum(sizes) - sizes, sizes)


def days_of(probes: int, days: int, seed: int) -> Iterator[Probes]:
    """About `probes` probes over the days, a day at a time."""
    at_once = 1_000_000
    for day in range(days):
        left = round(probes / days)
        # Parts of a day are drawn apart, so that memory does not grow with it; their times overlap.
        parts = [
            probes_of_day(min(at_once, left - start), day, seed, part)
            for part, start in enumerate(range(0, left, at_once))
        ]
        whole = Probes.concat(parts)
        yield whole[np.argsort(whole.ts, kind="stable")]


def write(path: Path, probes: int, *, days: int = 30, seed: int = 0) -> int:
    """Write the dataset `path` (replacing one); how many probes it has."""
    with ProbesWriter(path, force=True) as writer:
        for part in days_of(probes, days, seed):
            part.seq[:] = np.arange(writer.rows, writer.rows + len(part))
            writer.write(part)
        writer.about = {"synthetic": True, "seed": seed}
    return writer.rows


def main() -> None:
    """Write one."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("probes", type=int)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--days", type=int, default=30)
    parser.add_argument("--seed", type=int, default=0)
    chosen = parser.parse_args()
    rows = write(chosen.folder, chosen.probes, days=chosen.days, seed=chosen.seed)
    print(f"{chosen.folder}: {rows:,} probes over {chosen.days} days")


if __name__ == "__main__":
    main()
