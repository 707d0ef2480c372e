"""How time and memory grow with the probes: from a dataset to a table, beside a bare SQL query that only counts.

    python tests/bench/bench_scale.py --probes 1e6,3e6,1e7,3e7,1e8 [--folder FOLDER]

Synthetic probes of 30 days (`synthetic_probes`), a table by either method, each in a process of its own, memory as
that process had it at most. The bare query counts the transitions of all days at once, in DuckDB with 8 GB, and
makes no table. The slope is that of a straight line through the logarithms of probes and processor seconds: 1 where
twice the probes take twice as long; from 10 million probes on, what starting takes no longer counts.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import numpy as np

from bench.figures import Figure, Size, missing, script
from bench.programs import Used, program, watched
from bench.synthetic_probes import write
from portkin.bundles.table import Table

SIZES = {"smoke": (30_000,), "small": (300_000, 1_000_000, 3_000_000), "full": (1_000_000, 3_000_000, 10_000_000)}
"""What fits beside the other benchmarks; more is asked for by --probes."""
SPARK = {"smoke": 0, "small": 0, "full": 1_000_000}
METHODS = ("shortest-path", "kin")
LARGE = 10_000_000
"""From so many probes on the slope is said apart."""
MOST_BARE = 30_000_000
"""Probes that the bare query is asked of at most: it holds, or spills, all days at once."""
PORTKIN = [sys.executable, "-c", "from portkin.cli import main; main()"]
BARE = """
import duckdb, sys
connection = duckdb.connect(config={'memory_limit': '8GB', 'temp_directory': sys.argv[2]})
connection.execute('''
    WITH probes AS (SELECT * FROM read_parquet(?, hive_partitioning=true)),
    kept AS (
        SELECT proto, day, src_hi, src_lo, dst_hi, dst_lo FROM probes
        GROUP BY ALL HAVING count(DISTINCT dport) BETWEEN 3 AND 30
    ),
    steps AS (
        SELECT proto, dport AS target, lag(dport) OVER (
            PARTITION BY proto, day, src_hi, src_lo, dst_hi, dst_lo ORDER BY ts, seq
        ) AS source
        FROM probes SEMI JOIN kept USING (proto, day, src_hi, src_lo, dst_hi, dst_lo)
    )
    SELECT proto, source, target, count(*) FROM steps WHERE source <> target GROUP BY ALL
''', [sys.argv[1] + '/day=*/*.parquet']).fetchnumpy()
"""


def table(dataset: Path, output: Path, *options: str, method: str = METHODS[0]) -> Used:
    """Build a table in a process of its own."""
    build = ("table", "build", dataset, "-o", output, "--method", method, "--no-proof")
    return watched(*PORTKIN, *build, *options)


def update(dataset: Path, output: Path) -> Used:
    """Bring a table up to date in a process of its own."""
    return watched(*PORTKIN, "table", "update", dataset, output, "--method", "shortest-path")


def alike(one: Path, other: Path) -> bool:
    """Whether two tables have the same rows, bit by bit."""
    ours, theirs = Table.load(one).rows, Table.load(other).rows
    return ours.keys() == theirs.keys() and all(
        np.array_equal(getattr(part, name), getattr(theirs[proto], name))
        for proto, part in ours.items()
        for name in ("ports", "neighbors", "distances")
    )


def slope(probes: Sequence[int], seconds: Sequence[float]) -> float:
    """The exponent with which time grows."""
    return float(np.polyfit(np.log(probes), np.log(seconds), 1)[0])


def growth(sizes: Sequence[int], folder: Path, spark: int) -> Iterator[Figure]:
    """Time and memory at every size, and the slope; the update of one day, and Spark, at the size that is given."""
    spent: dict[str, list[Used]] = {method: [] for method in METHODS}
    for size in sizes:
        dataset = folder / "probes"
        rows = write(dataset, size)
        bare = watched(sys.executable, "-c", BARE, dataset, folder / "spill") if size <= MOST_BARE else None
        for method in METHODS:
            ours = table(dataset, folder / f"table-{method}", method=method)
            spent[method].append(ours)
            yield from beside(f"{rows:,} probes to a table by {method}", ours, bare)
        ours = spent[METHODS[0]][-1]
        if size == sizes[-1] != sizes[0]:
            update(dataset, folder / "updated")
            (part,) = sorted(dataset.glob("day=*"))[-1:]
            again = folder / "updated-counts" / part.name
            again.rename(folder / "set-aside")
            one = update(dataset, folder / "updated")
            yield Figure(
                f"{rows:,} probes of 30 days: one day is new", one.wall, "s", "less", "build of all", ours.wall,
                ours.wall / one.wall, one.cpu, ours.cpu, ours.cpu / one.cpu,
            )  # fmt: skip
        if size == spark and program("java"):
            for method, each in spent.items():
                alone = table(dataset, folder / "spark", "--engine", "spark", "--memory-limit", "4g", method=method)
                same = "the same table" if alike(folder / "spark", folder / f"table-{method}") else "ANOTHER TABLE"
                yield Figure(
                    f"{rows:,} probes to a table by {method} on Spark, local[2]", alone.wall, "s", "less",
                    "DuckDB", each[-1].wall, each[-1].wall / alone.wall,
                    note=f"{same}; processor time of the Java process is not counted",
                )  # fmt: skip
    if spark and not program("java"):
        yield missing("a table on Spark", "there is no java")
    for method, each in spent.items():
        large = [at for at, size in enumerate(sizes) if size >= LARGE]
        for what, which in ((f"{len(sizes)} sizes", range(len(sizes))), (f"those from {LARGE:,} on", large)):
            if len(which) > 1:
                those, by = [sizes[at] for at in which], [each[at] for at in which]
                yield Figure(
                    f"slope over {what}, {method}, by processor time", slope(those, [one.cpu for one in by]), "",
                    "less", note=f"by the clock {slope(those, [one.wall for one in by]):.2f}",
                )  # fmt: skip


def beside(name: str, ours: Used, bare: Used | None) -> Iterator[Figure]:
    """What a table took, beside the bare query."""
    if bare is None:
        yield Figure(name, ours.wall, "s", "less", cpu=ours.cpu)
        yield Figure(f"{name}: memory", ours.memory, "MiB", "less")
        return
    yield Figure(
        name, ours.wall, "s", "less", "bare SQL count", bare.wall, bare.wall / ours.wall,
        ours.cpu, bare.cpu, bare.cpu / ours.cpu,
    )  # fmt: skip
    yield Figure(
        f"{name}: memory", ours.memory, "MiB", "less", "bare SQL count", bare.memory, bare.memory / ours.memory,
    )  # fmt: skip


def measure(size: Size) -> Iterator[Figure]:
    """The figures of one size."""
    with tempfile.TemporaryDirectory(prefix="portkin-scale-") as folder:
        yield from growth(SIZES[size], Path(folder), SPARK[size])


def main() -> None:
    """As any benchmark, or the sizes that are asked for."""
    parser = argparse.ArgumentParser(add_help=False)
    parser.add_argument("--probes", type=lambda text: [round(float(part)) for part in text.split(",")])
    parser.add_argument("--folder", type=Path)
    parser.add_argument("--spark", type=float, default=0)
    given, _ = parser.parse_known_args()
    if given.probes is None:
        script(measure, __doc__)
        return
    with tempfile.TemporaryDirectory(prefix="portkin-scale-", dir=given.folder) as folder:
        for figure in growth(given.probes, Path(folder), round(given.spark)):
            print(figure, flush=True)


if __name__ == "__main__":
    main()
