"""Probes datasets, on disk and in object stores.

A dataset is a folder, or a prefix in an object store: ``day=YYYY-MM-DD/part-00000.parquet``, ... (days in UTC, `SCHEMA`
in each file) and ``manifest.json``, written last, which names these files and says where the probes came from. What
the manifest does not name is not of the dataset. `ProbesWriter` writes both so that a reader sees the dataset as it was
before or as it is after, never between.
"""

from __future__ import annotations

import hashlib
import shlex
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from portkin import __version__
from portkin.bundles.manifest import MANIFEST
from portkin.errors import InputError
from portkin.json_text import parsed
from portkin_training.core.engine import DUCKDB, Engine, told_by_a_store
from portkin_training.core.places import Place, StoreError, is_url, located, reaching
from portkin_training.core.probes import SCHEMA, Probes

if TYPE_CHECKING:
    import ibis.expr.types as ir

KIND, SCHEMA_NUMBER = "probes", 1
"""What the manifest calls a dataset, and which form of it."""

PARTS = "day=*/*.parquet"
"""The files of a dataset whose manifest does not name them, as those of earlier versions."""
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
    try:
        found = parsed(manifest_text(path))
    except FileNotFoundError:
        with reaching(path):
            system, root = located(path)
            what = f"it has no {MANIFEST}" if system.isdir(root) else "there is no such folder"
        raise InputError(f"{path}: no probes dataset ({what}); {remedy}") from None
    except NotADirectoryError:
        made = f"make one of it: portkin ingest {shlex.quote(str(path))} -o probes"
        raise InputError(f"{path}: a file, and no probes dataset; {made}") from None
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


def manifest_text(path: Place) -> bytes:
    """The manifest as it is written.

    Raises:
        OSError: it cannot be read; FileNotFoundError: there is none.
        StoreError: the store does not answer, or refuses.
    """
    system, root = located(path)
    with reaching(path):
        text: bytes = system.cat_file(f"{root}/{MANIFEST}")
        return text


def manifest_digest(path: Place) -> str:
    """sha256 of the manifest, by which a table remembers what it was made from; errors as of `manifest_text`."""
    return hashlib.sha256(manifest_text(path)).hexdigest()


def exists(place: Place) -> bool:
    """Whether there is anything of that name in a folder, or a dataset in a store; errors as of `manifest_text`."""
    if not is_url(place):
        return Path(place).exists()
    try:
        manifest_text(place)
    except FileNotFoundError:
        return False
    return True


def is_dataset(place: Place) -> bool:
    """Whether a name can be that of a dataset: a URL or a folder."""
    return is_url(place) or Path(place).is_dir()


def parts_by_day(path: Place) -> dict[str, list[str]]:
    """The names of the dataset's files by day, as ``{"2026-11-20": ["part-00000.parquet"]}``, days and names sorted.

    Raises:
        InputError: see `manifest`.
    """
    files = manifest(path).get("files")
    if files is None:
        system, root = located(path)
        with reaching(path):
            found = [file.rpartition("/day=")[2].partition("/") for file in system.glob(f"{root}/{PARTS}")]
        files = {day: [name for one, _, name in found if one == day] for day, _, _ in found}
    return {day: sorted(names) for day, names in sorted(files.items())}


def parts_of(path: Place) -> list[str]:
    """The names of all files of the dataset, as ``day=2026-11-20/part-00000.parquet``; see `parts_by_day`."""
    return [f"day={day}/{name}" for day, names in parts_by_day(path).items() for name in names]


def _identity(path: Place) -> tuple[str, int]:
    """What identifies a dataset against the one that replaces it: its manifest and, where it is local, its folder."""
    try:
        text = manifest_text(path).decode(errors="replace")
    except (OSError, StoreError):
        text = ""
    try:
        return text, 0 if is_url(path) else Path(path).stat().st_ino
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
    import duckdb
    import ibis

    rows = {path: manifest(path)["rows"] for path in paths}
    held = [path for path in paths if rows[path]]
    if not held:
        return ibis.memtable(SCHEMA.empty_table()).mutate(day=ibis.null("date"))
    named = ", ".join(map(str, paths))
    parts = []
    for path in held:
        root = path if is_url(path) else located(path)[1]
        parts.append((path, [f"{root}/{name}" for name in parts_of(path)]))
        if not parts[-1][1]:
            raise InputError(f"{path}: damaged, it has no {PARTS}; ingest the recordings again")
        _refuse_other_forms(path, parts[-1][1])
    try:
        table = engine.read_parquet(parts, SCHEMA)
        found = table.count().to_pyarrow().as_py()
    except duckdb.Error as error:
        if any(map(is_url, held)) and (reason := told_by_a_store(error)):
            raise StoreError(f"{named}: {reason}") from None
        why = str(error).partition("\n")[0]  # what follows is our own SQL
        raise InputError(f"{named}: damaged ({why}); ingest the recordings again") from error
    if lacking := [name for name in SCHEMA.names if name not in table.columns]:
        raise InputError(f"{named}: {mixed(f'the first has no column {lacking[0]!r}')}")
    if found != sum(rows.values()):
        raise InputError(
            f"{named}: damaged, {found} rows where the manifest says {sum(rows.values())}; ingest the recordings again"
        )
    return table


def _refuse_other_forms(path: Place, files: Sequence[str]) -> None:
    """Raise InputError for a file of this machine whose columns are not those of `SCHEMA`; what is damaged is left to
    who reads it, and what is in a store too, where to look at each file takes long."""
    if is_url(path):
        return
    for file in files:
        try:
            held = pq.read_schema(file)
        except (OSError, pa.ArrowException):
            continue
        for wanted in SCHEMA:
            at = held.get_field_index(wanted.name)
            if at < 0:
                raise InputError(f"{file}: {mixed(f'this one has no column {wanted.name!r}')}")
            its = held.field(at).type
            if its != wanted.type and not (pa.types.is_integer(its) and pa.types.is_integer(wanted.type)):
                what = f"column {wanted.name!r} of this one is {its}, not {wanted.type}"
                raise InputError(f"{file}: {mixed(what)}")


def mixed(what: str) -> str:
    """The message about files that do not fit together."""
    return f"the files of the dataset are not of one form ({what}); ingest the recordings again, all by one version"


def load(path: Place) -> Probes:
    """All probes of the dataset, in memory, in the order of the recording.

    Raises:
        InputError: see `manifest`; or the rows are not as many as it says.
    """
    return _unless_replaced([path], lambda: _load(path))


def _load(path: Place) -> Probes:
    import pyarrow.dataset as ds  # here, since it imports pandas, which `ingest` does without

    rows = manifest(path)["rows"]
    system, root = located(path)
    files = [f"{root}/{name}" for name in parts_of(path)]
    _refuse_other_forms(path, files)
    try:
        with reaching(path):
            read = ds.dataset(files, schema=SCHEMA, format="parquet", filesystem=system if is_url(path) else None)
            table = read.to_table() if files else SCHEMA.empty_table()
    except (OSError, pa.ArrowException) as error:
        raise InputError(f"{path}: damaged ({error}); ingest the recordings again") from error
    if len(table) != rows:
        raise InputError(
            f"{path}: damaged, {len(table)} rows where the manifest says {rows}; ingest the recordings again"
        )
    if lacking := [name for name in SCHEMA.names if table[name].null_count]:
        raise InputError(f"{path}: {mixed(f'some have no column {lacking[0]!r}')}")
    probes = Probes.from_arrow(table)
    return probes if np.all(probes.seq[1:] > probes.seq[:-1]) else probes[np.argsort(probes.seq, kind="stable")]
