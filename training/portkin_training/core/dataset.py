"""Probes datasets on disk.

A dataset is a folder: ``day=YYYY-MM-DD/part-00000.parquet``, ... (days in UTC, `SCHEMA` in each file) and
``manifest.json``, written last, which says where the probes came from. `ProbesWriter` fills a folder aside
and renames it when it is whole, so what has the dataset's name is whole or is not there.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

import duckdb
import ibis
import ibis.expr.types as ir
import numpy as np
import pyarrow as pa
import pyarrow.dataset as ds

from portkin import __version__
from portkin.bundles.manifest import MANIFEST
from portkin.errors import InputError
from portkin_training.core.engine import DUCKDB, Engine, Place, listed, located
from portkin_training.core.probes import SCHEMA, Probes

KIND, SCHEMA_NUMBER = "probes", 1
"""What the manifest calls a dataset, and which form of it."""

PARTS = "day=*/*.parquet"
"""The files of a dataset, below its folder."""
MOST_READS = 20
"""How often a dataset is read that is replaced each time while it is read."""

T = TypeVar("T")


def manifest(path: Place) -> Mapping[str, Any]:
    """The manifest of the dataset ``path``.

    Raises:
        InputError: there is no whole dataset of a form that this version reads.
    """
    where = f"{path}/{MANIFEST}"
    remedy = "name a folder that `portkin ingest` wrote"
    system, root = located(path)
    try:
        found = json.loads(system.cat_file(f"{root}/{MANIFEST}"))
    except FileNotFoundError:
        what = f"it has no {MANIFEST}" if system.isdir(root) else "there is no such folder"
        raise InputError(f"{path}: no probes dataset ({what}); {remedy}") from None
    except (OSError, ValueError) as error:
        raise InputError(f"{where}: cannot be read ({error}); {remedy}") from None
    if not isinstance(found, dict) or found.get("kind") != KIND:
        kind = found.get("kind") if isinstance(found, dict) else None
        raise InputError(f"{where}: of kind {kind!r}, not {KIND!r}; {remedy}")
    if found.get("schema") != SCHEMA_NUMBER:
        raise InputError(
            f"{where}: schema {found.get('schema')!r}, but this version of portkin ({__version__}) reads "
            f"schema {SCHEMA_NUMBER}; ingest the recordings again"
        )
    return found


def recordings(about: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """The recordings that went into a dataset, of the ``about`` of its manifest; none where it does not name them."""
    sources = about.get("sources")
    return sources if isinstance(sources, list) else []


def _identity(path: Place) -> tuple[str, int]:
    """What tells a dataset from the one that takes its place: its manifest and, where it is local, its folder."""
    system, root = located(path)
    try:
        text = system.cat_file(f"{root}/{MANIFEST}").decode(errors="replace")
    except OSError:
        text = ""
    try:
        return text, Path(path).stat().st_ino
    except OSError:
        return text, 0


def _unless_replaced(paths: Sequence[Place], read: Callable[[], T]) -> T:
    """What ``read`` returns, read again where a dataset was replaced meanwhile: its parts are opened one by one."""
    for _ in range(MOST_READS):
        before = [_identity(path) for path in paths]
        try:
            return read()
        except InputError:
            if before == [_identity(path) for path in paths]:
                raise
    return read()


def open_probes(*paths: Place, engine: Engine = DUCKDB) -> ir.Table:
    """Datasets as one Ibis table: the columns of `SCHEMA` and ``day`` (date, UTC), read when asked for.

    ``seq`` counts within each dataset, so (ts, seq) orders the rows of a source and destination that only one of
    them recorded.

    Raises:
        InputError: see `manifest`; or the rows are not as many as it says.
    """
    return _unless_replaced(paths, lambda: _open_probes(paths, engine))


def _open_probes(paths: Sequence[Place], engine: Engine) -> ir.Table:
    rows = {path: manifest(path)["rows"] for path in paths}
    held = [path for path in paths if rows[path]]
    if not held:
        return ibis.memtable(SCHEMA.empty_table()).mutate(day=ibis.null("date"))
    named = ", ".join(map(str, paths))
    parts = [(path, listed(path, PARTS)) for path in held]
    for path, files in parts:
        if not files:
            raise InputError(f"{path}: damaged, it has no {PARTS}; ingest the recordings again")
    try:
        table = engine.read_parquet(parts, SCHEMA)
        found = table.count().to_pyarrow().as_py()
    except duckdb.Error as error:
        why = str(error).partition("\n")[0]  # what follows is our own SQL
        raise InputError(f"{named}: damaged ({why}); ingest the recordings again") from error
    if found != sum(rows.values()):
        raise InputError(
            f"{named}: damaged, {found} rows where the manifest says {sum(rows.values())}; ingest the recordings again"
        )
    return table


def load(path: Path) -> Probes:
    """All probes of the dataset, in memory, in the order of the recording.

    Raises:
        InputError: see `manifest`; or the rows are not as many as it says.
    """
    return _unless_replaced([path], lambda: _load(path))


def _load(path: Path) -> Probes:
    rows = manifest(path)["rows"]
    files = sorted(Path(path).glob(PARTS))
    try:
        table = ds.dataset(files, schema=SCHEMA, format="parquet").to_table() if files else SCHEMA.empty_table()
    except (OSError, pa.ArrowException) as error:
        raise InputError(f"{path}: damaged ({error}); ingest the recordings again") from error
    if len(table) != rows:
        raise InputError(
            f"{path}: damaged, {len(table)} rows where the manifest says {rows}; ingest the recordings again"
        )
    probes = Probes.from_arrow(table)
    return probes if np.all(probes.seq[1:] > probes.seq[:-1]) else probes[np.argsort(probes.seq, kind="stable")]
