"""Where datasets are written on this machine: a folder aside, which is renamed when it is whole."""

from __future__ import annotations

import fcntl
import json
import os
import shutil
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager, suppress
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from portkin.bundles.manifest import MANIFEST
from portkin.errors import InputError, OutputError
from portkin.files import put_folder, sync_folder
from portkin_training.core.dataset import manifest
from portkin_training.core.parquet_file import ParquetFile
from portkin_training.core.probes import Probes


class FolderPart:
    """A Parquet file that is being written, row group by row group."""

    def __init__(
        self,
        file: Path,
        writing: Callable[[], AbstractContextManager[None]],
        done: Callable[[FolderPart], None],
    ) -> None:
        """``writing`` tells what goes wrong, ``done`` is called when the file is whole."""
        self.file = file
        self._writing, self._done = writing, done
        with self._writing():
            self._opened = file.open("wb")
            self._writer = ParquetFile(self._opened)

    def write(self, probes: Probes) -> None:
        """Write a row group."""
        with self._writing():
            self._writer.write(probes)

    def close(self) -> str:
        """Write the rest; the file's name."""
        with self._writing():
            self._writer.finish()
            self._opened.close()
        self._done(self)
        return self.file.name

    def abandon(self) -> None:
        """Close the file, whatever its state."""
        with suppress(OSError):
            self._opened.close()


class Folder:
    """A dataset in a folder; what is written lies in ``.NAME.XXXXXXXX.partial`` beside it until the end.

    What is added to gets a second name in the new folder, so that this becomes visible as a whole too. A run that is
    killed leaves the hidden folder, which the next writer of that name removes.
    """

    def __init__(self, path: Path) -> None:
        """Prepare for the folder, which need not be there."""
        self.place = path.resolve()  # a link to a dataset goes on pointing at it

    def is_taken(self) -> bool:
        """Whether there is anything."""
        return self.place.exists() and not (self.place.is_dir() and not any(self.place.iterdir()))

    def begin(self, before: Mapping[str, Any] | None, kept: Sequence[str]) -> list[str]:
        """Make room, with those files of the dataset that are kept; the leftovers that were removed."""
        parent = self.place.parent
        self._aside = parent / f".{self.place.name}.{uuid.uuid4().hex[:8]}.partial"
        self._before = before
        self._parts: set[FolderPart] = set()  # that are being written
        self._synced: list[Future[None]] = []
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="sync")
        with self._writing():
            parent.mkdir(parents=True, exist_ok=True)
            removed = _remove_leftovers(parent, self.place.name)
            self._aside.mkdir()
        # Held while we live; the kernel releases it however we end.
        self._lock = os.open(self._aside, os.O_RDONLY)
        fcntl.flock(self._lock, fcntl.LOCK_EX)
        with self._writing():
            self._take_over(kept)
        return [str(folder) for folder in removed]

    def _take_over(self, kept: Sequence[str]) -> None:
        for name in kept:
            (self._aside / name).parent.mkdir(exist_ok=True)
            try:
                (self._aside / name).hardlink_to(self.place / name)
            except OSError:  # not every file system has second names
                shutil.copy2(self.place / name, self._aside / name)

    def part(self, day: str, number: int) -> FolderPart:
        """Begin a file of a day."""
        with self._writing():
            file = self._aside / f"day={day}" / f"part-{number:05d}.parquet"
            file.parent.mkdir(exist_ok=True)
        part = FolderPart(file, self._writing, self._whole)
        self._parts.add(part)
        return part

    def merge(self, day: str, names: Sequence[str], number: int) -> str:
        """Write one file of those of a day, with one of them in memory at a time; its name."""
        part = self.part(day, number)
        for name in names:
            with self._writing():
                rows = pq.ParquetFile(self.place / f"day={day}" / name).read()
            part.write(Probes.from_arrow(rows))
        return part.close()

    def _whole(self, part: FolderPart) -> None:
        """Have a file reach the disk, while others are written."""
        self._parts.remove(part)
        self._synced.append(self._thread.submit(_sync, part.file))

    def commit(self, fields: Mapping[str, Any]) -> list[str]:
        """Give the dataset its name; no more leftovers are removed than at the beginning.

        Raises:
            InputError: the one that is added to was changed meanwhile.
        """
        with self._writing():
            for synced in self._synced:
                synced.result()
            for folder in self._aside.iterdir():
                sync_folder(folder)
            with (self._aside / MANIFEST).open("w", encoding="utf-8") as opened:
                opened.write(json.dumps(fields, indent=2) + "\n")
                opened.flush()
                os.fsync(opened.fileno())
            sync_folder(self._aside)
            if self._before and self._before != manifest(self.place):
                raise InputError(f"{self.place}: was changed by another run meanwhile; add to it again")
            put_folder(self._aside, self.place)
            sync_folder(self.place.parent)
        return []

    def end(self) -> None:
        """Remove what has not become the dataset, or was it before."""
        self._thread.shutdown(cancel_futures=True)
        for part in self._parts:
            part.abandon()
        shutil.rmtree(self._aside, ignore_errors=True)
        os.close(self._lock)

    @contextmanager
    def _writing(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise OutputError(
                f"{self.place}: cannot be written ({error.strerror or error}); make room or name another folder"
            ) from error


def _sync(file: Path) -> None:
    with file.open("rb") as opened:
        os.fsync(opened.fileno())


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
