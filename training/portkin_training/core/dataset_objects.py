"""Where datasets are written in an object store: new objects first, the manifest last.

A store has no rename, but it replaces one object in one step. So every run writes files of new names, which hold the
run's id, and then puts the manifest that names them: readers, who read what a manifest names, see the dataset before or
after. The manifest is put on condition that it is still the one that the run began with, or that there is none
(``If-Match``, ``If-None-Match``): of two runs at once the second is refused, and neither counts twice.

What no manifest names is a leftover. A file that was there before the manifest was put belongs to a run that began
before, and so will be refused or was killed: it is removed, unless the manifest before names it, by which somebody may
still be reading. No clock decides.
"""

from __future__ import annotations

import io
import json
import re
import uuid
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import pyarrow.parquet as pq

from portkin.bundles.manifest import MANIFEST
from portkin.errors import InputError, OutputError
from portkin_training.core.dataset import manifest_text
from portkin_training.core.parquet_file import ParquetFile
from portkin_training.core.places import StoreError, code_of, is_of_a_store, located, reaching
from portkin_training.core.probes import Probes

SCHEMES = ("s3", "s3a")
"""Stores whose put has conditions."""
_OURS = re.compile(r"day=\d{4}-\d\d-\d\d/part-[0-9a-f]{12}-\d{5}\.parquet")
_CONFLICT = ("PreconditionFailed", "ConditionalRequestConflict", "412", "409")
"""The store's codes for a condition that does not hold."""


class ObjectPart:
    """A Parquet file that is written in memory, and put when it is whole."""

    def __init__(self, put: Callable[[str, memoryview], None], name: str) -> None:
        """``put`` is called with the file's name and bytes."""
        self._put, self._name, self._written = put, name, io.BytesIO()
        self._writer = ParquetFile(self._written)

    def write(self, probes: Probes) -> None:
        """Write a row group."""
        self._writer.write(probes)

    def close(self) -> str:
        """Put the file; its name within the day."""
        self._writer.finish()
        self._put(self._name, self._written.getbuffer())
        return self._name.partition("/")[2]


class Objects:
    """A dataset below a prefix of an S3-compatible store."""

    def __init__(self, url: str) -> None:
        """Prepare for the prefix, which need not hold anything.

        Raises:
            InputError: the URL is of a store that nothing can be put into on conditions.
        """
        self.place = url.rstrip("/")
        if url.partition("://")[0] not in SCHEMES:
            raise InputError(f"{url}: datasets are written to folders and to s3:// alone; write a folder, and copy it")
        self._system, self._root = located(self.place)
        self._id = uuid.uuid4().hex[:12]
        self._put: dict[str, int] = {}
        self._undecided = False

    def is_taken(self) -> bool:
        """Whether there is a manifest, or anything that is no leftover of ours."""
        return any(not _OURS.fullmatch(name) for name in self._sizes())

    def _sizes(self) -> dict[str, int]:
        """All that lies there, and how large it is."""
        with reaching(self.place):
            try:
                found = self._system.find(self._root, detail=True)
            except FileNotFoundError:
                return {}
        # A store's web page may have made an empty object that stands for the folder.
        names = {path.removeprefix(self._root).lstrip("/"): about["size"] for path, about in found.items()}
        return {name: size for name, size in names.items() if name}

    def begin(self, before: Mapping[str, Any] | None, kept: Sequence[str]) -> list[str]:
        """Remember what the dataset is now; what is kept stays where it is, and no leftovers are removed yet.

        Raises:
            InputError: it is not what ``before`` says.
        """
        self._before = self._manifest()
        if before is not None and (self._before is None or json.loads(self._before) != before):
            raise InputError(f"{self.place}: was changed by another run meanwhile; add to it again")
        return []

    def _manifest(self) -> bytes | None:
        try:
            return manifest_text(self.place)
        except FileNotFoundError:
            return None

    def part(self, day: str, number: int) -> ObjectPart:
        """Begin a file of a day."""
        return ObjectPart(self._put_file, f"day={day}/part-{self._id}-{number:05d}.parquet")

    def _put_file(self, name: str, data: memoryview) -> None:
        """Put one file, in one request: it is there whole or not at all."""
        with reaching(self.place):
            try:
                self._system.pipe_file(f"{self._root}/{name}", bytes(data))
            except FileNotFoundError:
                raise _no_bucket(self.place) from None
        self._put[name] = data.nbytes

    def merge(self, day: str, names: Sequence[str], number: int) -> str:
        """Put one file of those of a day, which lie in memory; its name."""
        with reaching(self.place):
            parts = [self._system.cat_file(f"{self._root}/day={day}/{name}") for name in names]
        merged = self.part(day, number)
        for part in parts:
            merged.write(Probes.from_arrow(pq.ParquetFile(io.BytesIO(part)).read()))
        return merged.close()

    def commit(self, fields: Mapping[str, Any]) -> list[str]:
        """Put the manifest; the leftovers that were removed.

        Raises:
            InputError: another run has put one meanwhile.
            OutputError: a file that was put is not there any more.
        """
        there = self._sizes()
        lost = sorted(name for name, size in self._put.items() if there.get(name) != size)
        if lost:
            raise OutputError(f"{self.place}/{lost[0]}: is not there as it was written; nothing was changed, run again")
        self._switch((json.dumps(fields, indent=2) + "\n").encode())
        kept = {*_named(fields), *_named(json.loads(self._before) if self._before else {})}
        self._put = {}
        return self._remove(name for name in there if _OURS.fullmatch(name) and name not in kept)

    def _switch(self, text: bytes) -> None:
        """Put the manifest where it is still the one that we began with."""
        where = f"{self._root}/{MANIFEST}"
        condition = {"IfNoneMatch": "*"}
        try:
            if self._before is not None:
                with reaching(self.place):
                    # No state comes twice: if it is the old one after this, it was so when the tag was read.
                    condition = {"IfMatch": self._system.info(where)["ETag"]}
                    if self._manifest() != self._before:
                        raise _changed(self.place)
            self._undecided = True
            self._system.pipe_file(where, text, **condition)
        except FileNotFoundError:
            self._undecided = False
            raise (_changed(self.place) if self._before else _no_bucket(self.place)) from None
        except Exception as error:
            if not self._undecided or not is_of_a_store(error):
                raise
            self._decide(text, error)
        self._undecided = False

    def _decide(self, text: bytes, error: Exception) -> None:
        """Find out what became of a put whose answer was an error: it, or one that it repeats, may be carried out."""
        try:
            now = self._manifest()
        except StoreError as silent:
            raise StoreError(f"{silent}; whether the dataset was replaced is not known, its {MANIFEST} says") from None
        if now == text:
            return
        if now != self._before or code_of(error) in _CONFLICT:
            self._undecided = False
            raise _changed(self.place) from None
        # A refusal is an end. After anything else the put may yet be carried out, so what it names stays.
        self._undecided = not isinstance(error, PermissionError)
        with reaching(self.place):
            raise error

    def end(self) -> None:
        """Remove what was put and is not of the dataset; kept where nobody knows whether it is."""
        if not self._undecided:
            self._remove(self._put)

    def _remove(self, names: Iterable[str]) -> list[str]:
        """Remove files, or leave them to the next run where the store does not let us."""
        names = sorted(names)
        try:
            if names:
                self._system.rm([f"{self._root}/{name}" for name in names])
        except Exception as error:
            if not is_of_a_store(error):
                raise
            return []
        return [f"{self.place}/{name}" for name in names]


def _named(fields: Mapping[str, Any]) -> Iterable[str]:
    """The files that a manifest names."""
    return (f"day={day}/{name}" for day, names in fields.get("files", {}).items() for name in names)


def _changed(place: str) -> InputError:
    return InputError(f"{place}: was changed by another run meanwhile, which is kept; run again")


def _no_bucket(place: str) -> OutputError:
    return OutputError(f"{place}: there is no such bucket; make it first")
