"""Writing datasets of probes: by days, in Parquet files, visible as a whole or not at all."""

from __future__ import annotations

import fcntl
import json
import os
import shutil
import uuid
from collections.abc import Collection, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from portkin import __version__
from portkin.bundles.manifest import MANIFEST
from portkin.errors import InputError, OutputError
from portkin.files import put_folder, sync_folder
from portkin_training.core.dataset import KIND, PARTS, SCHEMA_NUMBER, manifest
from portkin_training.core.probes import SCHEMA, Probes

_DAY = 86_400_000_000
ROWS = 1 << 20
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
        before: the manifest of the dataset that is added to; None where there is none.
        about: what the manifest says in addition to counts and versions; JSON.
        rows: probes written so far.
        removed: folders of earlier, killed runs that were removed.
    """

    def __init__(self, path: Path, *, force: bool = False, append: bool = False, merge: Collection[str] = ()) -> None:
        """Prepare to write the dataset ``path``; with ``append`` to add to the one that is there.

        What is added to becomes visible as a whole too: its files get a second name in the new folder. Those of the
        days ``merge``, dates as in the manifest, become one file each.

        Raises:
            InputError: something is there already, and it is no dataset or ``force`` does not allow to
                replace it; or there is no dataset to add to.
        """
        self.path = Path(path).resolve()  # a link to a dataset goes on pointing at it
        self._refuse(force or append)
        self.before = manifest(self.path) if append else None
        self.about: dict[str, Any] = {}
        self.rows = self.before["rows"] if self.before else 0
        self.removed: list[Path] = []
        self._gathered: list[Probes] = []
        self._days: dict[str, int] = dict(self.before["days"]) if self.before else {}
        self._first, self._last = np.iinfo(np.int64).max, np.iinfo(np.int64).min
        if self.before and self.rows:
            self._first, self._last = (_us(self.before[name]) for name in ("first", "last"))
        self._files = 0
        self._merge = frozenset(merge)
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
        if self.before:
            with self._writing():
                self._take_over()
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="parquet")
        return self

    def _take_over(self) -> None:
        """Name the files of the dataset that is added to in the new folder too."""
        for part in sorted(self.path.glob(PARTS)):
            folder = self._aside / part.parent.name
            folder.mkdir(exist_ok=True)
            if folder.name.removeprefix("day=") in self._merge:
                continue
            try:
                (folder / part.name).hardlink_to(part)
            except OSError:  # not every file system has second names
                shutil.copy2(part, folder / part.name)
            self._files = max(self._files, int(part.stem.rpartition("-")[2]) + 1)
        for day in sorted(self._merge):
            parts = sorted((self.path / f"day={day}").glob("*.parquet"))
            if parts:
                _merged(parts, self._aside / f"day={day}" / parts[0].name)
                self._files = max(self._files, int(parts[-1].stem.rpartition("-")[2]) + 1)

    def write(self, probes: Probes) -> None:
        """Append probes, in the order of the recording; the first is to have `rows` as its ``seq``."""
        if not len(probes):
            return
        self._gathered.append(probes)
        self.rows += len(probes)
        if sum(map(len, self._gathered)) >= ROWS:
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
        before = self.before["about"].get("sources") if self.before else None
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
            if self.before and self.before != manifest(self.path):
                raise InputError(f"{self.path}: was changed by another run meanwhile; add to it again")
            put_folder(self._aside, self.path)
            sync_folder(self.path.parent)


def _merged(parts: Sequence[Path], file: Path) -> None:
    """Write the rows of all parts into one file, with one part in memory at a time."""
    with pq.ParquetWriter(file, SCHEMA, **_PARQUET) as writer:
        for part in parts:
            writer.write_table(pq.ParquetFile(part).read())
    with file.open("rb") as opened:
        os.fsync(opened.fileno())


def merge_files(path: Path, days: Collection[str]) -> None:
    """Make one file of the many that a dataset which grows little by little has of these days; it stays as it is but
    for that.

    InputError where there is no dataset, or another run changed it meanwhile; OutputError where it cannot be written.
    """
    many = [day for day in days if len(list((path / f"day={day}").glob("*.parquet"))) > 1]
    if not many:
        return
    with ProbesWriter(path, append=True, merge=many) as writer:
        about = manifest(path)["about"]
        writer.about = about | ({"sources": []} if isinstance(about.get("sources"), list) else {})


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
