"""Probes datasets on disk.

A dataset is a folder: ``day=YYYY-MM-DD/part-00000.parquet``, ... (days in UTC, `SCHEMA` in each file) and
``manifest.json``, written last, which says where the probes came from. `ProbesWriter` fills a folder aside
and renames it when it is whole, so what has the dataset's name is whole or is not there.
"""

from __future__ import annotations

import fcntl
import json
import os
import shutil
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeVar

import duckdb
import ibis
import ibis.expr.types as ir
import numpy as np
import pyarrow as pa
import pyarrow.dataset as ds
import pyarrow.parquet as pq

from portkin import __version__
from portkin.bundles.manifest import MANIFEST, put_folder
from portkin.errors import InputError, OutputError
from portkin.files import sync_folder
from portkin_training.core.engine import DUCKDB, Engine, Place, listed, located
from portkin_training.core.probes import SCHEMA, Probes

KIND, SCHEMA_NUMBER = "probes", 1
"""What the manifest calls a dataset, and which form of it."""

PARTS = "day=*/*.parquet"
"""The files of a dataset, below its folder."""
MOST_READS = 20
"""How often a dataset is read that is replaced each time while it is read."""

T = TypeVar("T")

_DAY = 86_400_000_000
_ROWS = 1 << 20
"""Rows gathered before they are written: a Parquet file of ten to twenty megabytes."""

_PARQUET = {
    "compression": "lz4",
    "write_statistics": ["ts", "proto"],
    "use_dictionary": ["src_hi", "dst_hi", "proto", "flags"],
    "column_encoding": dict.fromkeys(("ts", "seq", "src_lo", "dst_lo", "sport", "dport"), "DELTA_BINARY_PACKED"),
    "write_batch_size": 1 << 16,
}
"""The smallest files (12 bytes a probe of random addresses and ports) that cost little to write: of addresses and ports
only the bits in which they differ are kept, and the fastest compression takes the rest. BYTE_STREAM_SPLIT, a little
smaller and faster to write, is for integers what Spark cannot read."""


class ProbesWriter:
    """Writes a dataset; a context whose end makes it visible, and whose failure leaves nothing behind.

    ::

        with ProbesWriter(path) as writer:
            for probes in chunks:
                writer.write(probes)
            writer.about = {"sources": ...}

    A run that is killed leaves a hidden folder ``.NAME.XXXXXXXX.partial`` beside the dataset, which the next
    writer of that name removes.

    Attributes:
        about: what the manifest says in addition to counts and versions; JSON.
        rows: probes written so far.
        removed: folders of earlier, killed runs that were removed.
    """

    def __init__(self, path: Path, *, force: bool = False, append: bool = False) -> None:
        """Prepare to write the dataset ``path``; with ``append`` to add to the one that is there.

        What is added to becomes visible as a whole too: its files get a second name in the new folder.

        Raises:
            InputError: something is there already, and it is no dataset or ``force`` does not allow to
                replace it; or there is no dataset to add to.
        """
        self.path = Path(path).resolve()  # a link to a dataset goes on pointing at it
        self._refuse(force or append)
        self._before = manifest(self.path) if append else None
        self.about: dict[str, Any] = {}
        self.rows = self._before["rows"] if self._before else 0
        self.removed: list[Path] = []
        self._gathered: list[Probes] = []
        self._days: dict[str, int] = dict(self._before["days"]) if self._before else {}
        self._first, self._last = np.iinfo(np.int64).max, np.iinfo(np.int64).min
        if self._before and self.rows:
            self._first, self._last = (_us(self._before[name]) for name in ("first", "last"))
        self._files = 0
        self._pending: Future[None] | None = None

    def _refuse(self, force: bool) -> None:
        if not self.path.exists() or (self.path.is_dir() and not any(self.path.iterdir())):
            return
        try:
            manifest(self.path)
        except InputError:
            raise InputError(
                f"{self.path}: exists and is no probes dataset, so it is not replaced; name a new folder"
            ) from None
        if not force:
            raise InputError(f"{self.path}: exists; name a new folder, or replace it with --force")

    @contextmanager
    def _writing(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise OutputError(
                f"{self.path}: cannot be written ({error.strerror or error}); make room or name another folder"
            ) from error

    def __enter__(self) -> ProbesWriter:
        parent = self.path.parent
        self._aside = parent / f".{self.path.name}.{uuid.uuid4().hex[:8]}.partial"
        with self._writing():
            parent.mkdir(parents=True, exist_ok=True)
            self.removed = _remove_leftovers(parent, self.path.name)
            self._aside.mkdir()
        # Held while we live; the kernel lets go of it however we end.
        self._lock = os.open(self._aside, os.O_RDONLY)
        fcntl.flock(self._lock, fcntl.LOCK_EX)
        if self._before:
            with self._writing():
                self._take_over()
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="parquet")
        return self

    def _take_over(self) -> None:
        """Name the files of the dataset that is added to in the new folder too."""
        for part in self.path.glob(PARTS):
            folder = self._aside / part.parent.name
            folder.mkdir(exist_ok=True)
            try:
                (folder / part.name).hardlink_to(part)
            except OSError:  # not every file system has second names
                shutil.copy2(part, folder / part.name)
            self._files = max(self._files, int(part.stem.rpartition("-")[2]) + 1)

    def write(self, probes: Probes) -> None:
        """Append probes, in the order of the recording; the first is to have `rows` as its ``seq``."""
        if not len(probes):
            return
        self._gathered.append(probes)
        self.rows += len(probes)
        if sum(map(len, self._gathered)) >= _ROWS:
            self._flush()

    def _flush(self) -> None:
        # One part at a time: at most two lie in memory.
        self._wait()
        gathered, self._gathered = self._gathered, []
        self._pending = self._thread.submit(self._write_part, gathered)

    def _wait(self) -> None:
        if self._pending is not None:
            with self._writing():
                self._pending.result()

    def _write_part(self, gathered: list[Probes]) -> None:
        # Chunk by chunk, while a chunk lies in the processor's cache.
        days: dict[int, list[pa.Table]] = {}
        for probes in gathered:
            first, last = int(probes.ts.min()), int(probes.ts.max())
            self._first, self._last = min(self._first, first), max(self._last, last)
            if first // _DAY == last // _DAY:
                days.setdefault(first // _DAY, []).append(probes.to_arrow())
                continue
            day = probes.ts // _DAY
            for one in np.unique(day):
                days.setdefault(int(one), []).append(probes[day == one].to_arrow())
        for one, tables in sorted(days.items()):
            rows = pa.concat_tables(tables)
            name = str(np.datetime64(one, "D"))
            folder = self._aside / f"day={name}"
            folder.mkdir(exist_ok=True)
            file = folder / f"part-{self._files:05d}.parquet"
            pq.write_table(rows, file, **_PARQUET)
            with file.open("rb") as opened:
                os.fsync(opened.fileno())
            self._files += 1
            self._days[name] = self._days.get(name, 0) + len(rows)

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        try:
            if kind is None:
                self._finish()
        finally:
            self._thread.shutdown(cancel_futures=True)
            shutil.rmtree(self._aside, ignore_errors=True)
            os.close(self._lock)

    def _about(self) -> dict[str, Any]:
        """What was given, and where both the dataset that was added to and this say "sources", all of them."""
        before = self._before["about"].get("sources") if self._before else None
        if isinstance(before, list) and isinstance(self.about.get("sources"), list):
            return {**self.about, "sources": [*before, *self.about["sources"]]}
        return self.about

    def _finish(self) -> None:
        if self._gathered:
            self._flush()
        self._wait()
        fields = {
            "kind": KIND,
            "schema": SCHEMA_NUMBER,
            "created": datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
            "writer": f"portkin {__version__}",
            "rows": self.rows,
            "first": _stamp(self._first) if self.rows else None,
            "last": _stamp(self._last) if self.rows else None,
            "days": dict(sorted(self._days.items())),
            "about": self._about(),
        }
        with self._writing():
            for folder in self._aside.iterdir():
                sync_folder(folder)
            with (self._aside / MANIFEST).open("w", encoding="utf-8") as opened:
                opened.write(json.dumps(fields, indent=2) + "\n")
                opened.flush()
                os.fsync(opened.fileno())
            sync_folder(self._aside)
            if self._before and self._before != manifest(self.path):
                raise InputError(f"{self.path}: was changed by another run meanwhile; add to it again")
            put_folder(self._aside, self.path)
            sync_folder(self.path.parent)


def _us(stamp: str) -> int:
    return int(np.datetime64(stamp.removesuffix("Z"), "us").astype(np.int64))


def _stamp(us: int) -> str:
    return str(np.datetime64(us, "us")) + "Z"


def _remove_leftovers(parent: Path, name: str) -> list[Path]:
    """Remove the folders that killed writers of this dataset left; those of living ones are locked."""
    removed = []
    for folder in parent.glob(f".{name}.????????.partial"):
        try:
            lock = os.open(folder, os.O_RDONLY)
        except OSError:
            continue
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            shutil.rmtree(folder)
            removed.append(folder)
        except OSError:
            pass
        finally:
            os.close(lock)
    return removed


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
