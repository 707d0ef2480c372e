"""DayCounts of days on disk, so that a day is counted once.

A folder of bundles, ``day=YYYY-MM-DD``, beside the table that is made from them. Each holds the counts as Parquet
and, in its manifest, a digest of the partition they were counted from: a partition that changed is counted again,
and the counts of one that is gone are removed. A bundle is there whole or not at all, so a run that is killed keeps
the days it has finished.

The digest is over name, size and Parquet footer of each file. The footer holds the sizes, places and statistics of
all columns, so that other probes make another footer, and nothing but the last bytes of a file is read.
"""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from portkin.bundles.bundle_reader import open_bundle, read_manifest
from portkin.bundles.bundle_writer import write_bundle
from portkin.errors import BundleError, InputError
from portkin.files import claimed
from portkin_training.core.dataset import manifest, open_probes, parts_by_day
from portkin_training.core.engine import DUCKDB, Engine
from portkin_training.core.history import History
from portkin_training.core.places import Place, located, reaching
from portkin_training.core.port_codes import CODES
from portkin_training.core.protocols import PROTO_NUMBERS
from portkin_training.tables.daily.counts import Day, DayCounts, NextPortDay, count_each, empty_day, probes_of_days
from portkin_training.tables.next_port.counts import KeyedCounts, Outcomes, PortCounts
from portkin_training.tables.scans import ScanCounts, ScanOptions, Scans, Transitions

KIND, SCHEMA = "portkin-day-counts", 1
FOOTER = 8
"""The last bytes of a Parquet file: the length of its footer, four bytes, and a mark of as many."""


@dataclass(frozen=True)
class Refreshed:
    """The days of a dataset, counted, and what had to be done for it."""

    days: list[Day]
    counted: list[date]
    removed: list[date]


def refresh(
    dataset: Place,
    folder: Path,
    options: ScanOptions,
    *,
    until: date | None = None,
    engine: Engine = DUCKDB,
    tick: Callable[[date], None] = lambda day: None,
) -> Refreshed:
    """Count the days of the dataset that `folder` has no counts of, as the dataset is now; `tick` is called after each.

    With `until` the days before that one alone, as if the dataset had no others.

    Raises:
        InputError: the dataset cannot be read, or another run is at work in the folder.
        BundleError: the folder holds something else.
    """
    held_days = ((date.fromisoformat(day), rows) for day, rows in sorted(manifest(dataset)["days"].items()))
    days = {day: rows for day, rows in held_days if until is None or day < until}
    parts = parts_by_day(dataset)
    digests = {day: partition_digest(dataset, day, parts.get(str(day), ())) for day in days}
    folder.mkdir(parents=True, exist_ok=True)
    with _alone(folder):
        held = _held(folder)
        removed = sorted(set(held) - set(days))
        for day in removed:
            shutil.rmtree(held[day])
        asked = {
            day: {"options": asdict(options) | {"protos": list(options.protos)}, "partition": digest}
            for day, digest in digests.items()
        }
        missing = [day for day in days if not _counted(held.get(day), asked[day])]
        waiting = iter(missing)
        for day, counts in _count(dataset, missing, options, engine):
            while (empty := next(waiting)) != day:  # a day without a probe of these protocols
                _write(folder / f"day={empty}", empty_day(options), asked[empty])
            _write(folder / f"day={day}", counts, asked[day])
            tick(day)
        for empty in waiting:
            _write(folder / f"day={empty}", empty_day(options), asked[empty])
    return Refreshed([_day(folder / f"day={day}", day, rows) for day, rows in days.items()], missing, removed)


def partition_digest(dataset: Place, day: date, names: Sequence[str]) -> str:
    """sha256 over the names, sizes and footers of the files of one day; see above."""
    system, root = located(dataset)
    digest = hashlib.sha256()
    for name in names:
        with reaching(dataset), system.open(f"{root}/day={day}/{name}", "rb") as opened:
            size = opened.seek(0, os.SEEK_END)
            opened.seek(max(0, size - FOOTER))
            length = int.from_bytes(opened.read(FOOTER)[:4], "little") + FOOTER
            opened.seek(max(0, size - length))
            digest.update(f"{name} {size}\n".encode())
            digest.update(opened.read(length))
    return digest.hexdigest()


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    refused = InputError(f"{folder}: another run counts days there; wait for it, or name another --counts")
    with claimed(folder, refused):
        for left in folder.glob(".day=*"):  # by a run that was killed
            shutil.rmtree(left)
        yield


def _held(folder: Path) -> dict[date, Path]:
    try:
        return {date.fromisoformat(path.name.removeprefix("day=")): path for path in folder.iterdir()}
    except ValueError as error:
        raise BundleError(f"{folder}: holds something else than counts of days ({error}); name a new folder") from None


def _counted(path: Path | None, asked: Mapping[str, Any]) -> bool:
    """Whether there are counts, undamaged, of the partition as it is, under the same options."""
    if path is None:
        return False
    try:
        about = open_bundle(path, kind=KIND, schema=SCHEMA).manifest.about
    except BundleError:
        return False
    return all(about.get(name) == value for name, value in asked.items())


def _count(
    dataset: Place, days: Sequence[date], options: ScanOptions, engine: Engine
) -> Iterator[tuple[date, DayCounts]]:
    if days:
        yield from count_each(probes_of_days(open_probes(dataset, engine=engine), days), options)


def _write(path: Path, counts: DayCounts, asked: Mapping[str, Any]) -> None:
    scans, (tally, outcomes, sample, probes) = counts
    if path.exists():
        shutil.rmtree(path)  # it may be damaged, which is no bundle to replace
    about = dict(asked) | {
        "scans": {proto: found.to_json() for proto, found in scans.counts.items()},
        "probes": list(probes),
        "sources": tally.sources.tolist(),
    }
    with write_bundle(path, kind=KIND, schema=SCHEMA, about=about) as folder:
        edges = [(PROTO_NUMBERS[proto], found) for proto, found in scans.transitions.items()]
        _put(
            folder / "transitions.parquet",
            proto=np.repeat(
                np.array([number for number, _ in edges], np.int8), [len(found.count) for _, found in edges]
            ),
            source=np.concatenate([found.source for _, found in edges]),
            target=np.concatenate([found.target for _, found in edges]),
            count=np.concatenate([found.count for _, found in edges]),
        )
        seen = np.flatnonzero((tally.visits != 0) | (tally.draws != 0))
        _put(
            folder / "ports.parquet",
            code=seen,
            **{name: getattr(tally, name)[seen] for name in ("visits", "onward", "draws")},
            trials=outcomes.trials[seen],
        )
        for name, found in (("pairs", tally.pairs), ("paces", tally.paces), ("successes", outcomes.successes)):
            _put(folder / f"{name}.parquet", key=found.keys, value=found.values)
        _put(folder / "sample.parquet", ts=sample.ts, group=sample.group, code=sample.code)


def _put(file: Path, **columns: np.ndarray) -> None:
    pq.write_table(pa.table(columns), file, compression="zstd")


def _get(file: Path) -> list[np.ndarray]:
    return [column.to_numpy() for column in pq.read_table(file).columns]


def _day(path: Path, day: date, rows: int) -> Day:
    return Day(day, rows, lambda: _scans(path), lambda: _next_port(path))


def _scans(path: Path) -> Scans:
    counts = read_manifest(path, kind=KIND, schema=SCHEMA).about["scans"]
    number, *edges = _get(path / "transitions.parquet")
    transitions = {
        proto: Transitions(*(column[number == PROTO_NUMBERS[proto]] for column in edges)) for proto in counts
    }
    return Scans(transitions, {proto: ScanCounts(**found) for proto, found in counts.items()})


def _next_port(path: Path) -> NextPortDay:
    about = read_manifest(path, kind=KIND, schema=SCHEMA).about
    code, *columns = _get(path / "ports.parquet")
    dense = np.zeros((len(columns), CODES))
    dense[:, code] = columns
    visits, onward, draws, trials = dense
    pairs, paces, successes = (KeyedCounts(*_get(path / f"{name}.parquet")) for name in ("pairs", "paces", "successes"))
    tally = PortCounts(visits, onward, draws, pairs, paces, np.array(about["sources"]))
    sample = History(*_get(path / "sample.parquet"))
    return NextPortDay(tally, Outcomes(trials, successes), sample, tuple(about["probes"]))
