"""Writing datasets of probes: by days, in Parquet files, visible as a whole or not at all.

How that is brought about is `Folder`'s on this machine and `Objects`' in a store.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Collection, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from portkin import __version__
from portkin.errors import InputError
from portkin_training.core.dataset import KIND, SCHEMA_NUMBER, manifest, parts_by_day
from portkin_training.core.dataset_folder import Folder
from portkin_training.core.dataset_objects import Objects
from portkin_training.core.places import Place, StoreError, is_url
from portkin_training.core.probes import Probes
from portkin_training.core.probes_block import ProbesBlock

_DAY = 86_400_000_000
ROWS = 1 << 20
"""Rows of a Parquet file, one of ten to twenty megabytes; and rows that are gathered where they lie in many days."""
GROUP = 1 << 16
"""Rows of a row group, which is written as soon as a day has so many; they stay in the processor's cache."""
_FILES = 16
"""Files open at a time, of as many days."""
_AHEAD = 2
"""Blocks that wait to be written."""


class Part(Protocol):
    """A Parquet file that is being written."""

    def write(self, probes: Probes) -> None:
        """Write a row group."""

    def close(self) -> str:
        """Write the rest; the file's name within the day."""


class Destination(Protocol):
    """Where a dataset is written, so that it is seen whole or not at all."""

    @property
    def place(self) -> Place:
        """Its name."""

    def is_taken(self) -> bool:
        """Whether there is anything already."""

    def begin(self, before: Mapping[str, Any] | None, kept: Sequence[str]) -> Sequence[str]:
        """Prepare for a new dataset, or one with the files ``kept`` of the one ``before``; leftovers removed."""

    def part(self, day: str, number: int) -> Part:
        """Begin a Parquet file of a day."""

    def merge(self, day: str, names: Sequence[str], number: int) -> str:
        """Write one file of those that the dataset has of a day; its name."""

    def commit(self, fields: Mapping[str, Any]) -> Sequence[str]:
        """Make the dataset what this manifest says, in one step; leftovers removed."""

    def end(self) -> None:
        """Remove what is not of the dataset."""


@dataclass
class _Open:
    """A file that is being written: its day, and its rows so far."""

    day: str
    file: Part
    rows: int = 0


class ProbesWriter:
    """Writes a dataset; a context whose end makes it visible, and whose failure leaves nothing behind.

    ::

        with ProbesWriter(path) as writer:
            for probes in chunks:
                writer.write(probes)
            writer.about = {"sources": ...}

    What a run that is killed leaves is no dataset's, and a later writer of that name removes it.

    Attributes:
        before: the manifest of the dataset that is added to; None where there is none.
        about: what the manifest says in addition to counts and versions; JSON.
        rows: probes written so far.
        removed: what earlier, killed runs had left and was removed; known at the end.
    """

    def __init__(self, path: Place, *, force: bool = False, append: bool = False, merge: Collection[str] = ()) -> None:
        """Prepare to write the dataset ``path``; with ``append`` to add to the one that is there.

        What is added to becomes visible as a whole too: its files are taken over, not written again. Those of
        the days ``merge``, dates as in the manifest, become one file each.

        Raises:
            InputError: something is there already, and it is no dataset or ``force`` does not allow to
                replace it; or there is no dataset to add to; or the store does not answer.
        """
        self._to: Destination = Objects(str(path)) if is_url(path) else Folder(Path(path))
        self.path = self._to.place
        self._refuse(force or append)
        self.before = manifest(self.path) if append else None
        self.about: dict[str, Any] = {}
        self.rows = self.before["rows"] if self.before else 0
        self.removed: list[str] = []
        self._blocks: dict[int, ProbesBlock] = {}
        self._spare: list[ProbesBlock] = []
        self._parts: dict[int, _Open] = {}
        self._days: dict[str, int] = dict(self.before["days"]) if self.before else {}
        self._names: dict[str, list[str]] = parts_by_day(self.path) if self.before else {}
        self._first, self._last = np.iinfo(np.int64).max, np.iinfo(np.int64).min
        if self.before and self.rows:
            self._first, self._last = (_us(self.before[name]) for name in ("first", "last"))
        numbers = (int(name.rpartition("-")[2].partition(".")[0]) for names in self._names.values() for name in names)
        self._files = 1 + max(numbers, default=-1)
        self._merge = frozenset(merge)
        self._pending: deque[Future[None]] = deque()

    def _refuse(self, force: bool) -> None:
        if not self._to.is_taken():
            return
        try:
            manifest(self.path)
        except StoreError:
            raise
        except InputError:
            raise InputError(
                f"{self.path}: exists and is no probes dataset, so it is not replaced; name a new folder"
            ) from None
        if not force:
            raise InputError(f"{self.path}: exists; name a new folder, or replace it with --force")

    def __enter__(self) -> ProbesWriter:
        whole = {day: names for day, names in self._names.items() if day not in self._merge}
        kept = [f"day={day}/{name}" for day, names in whole.items() for name in names]
        self.removed = [*self._to.begin(self.before, kept)]
        for day in sorted(self._merge & self._names.keys()):
            self._names[day] = [self._to.merge(day, self._names[day], self._files)]
            self._files += 1
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="parquet")
        return self

    def write(self, probes: Probes) -> None:
        """Append probes, in the order of the recording; the first is to have `rows` as its ``seq``."""
        if not len(probes):
            return
        self.rows += len(probes)
        first, last = int(probes.ts.min()), int(probes.ts.max())
        self._first, self._last = min(self._first, first), max(self._last, last)
        if first // _DAY == last // _DAY:
            self._gather(first // _DAY, probes)
        else:
            days = probes.ts // _DAY
            for day in np.unique(days):
                self._gather(int(day), probes[days == day])
        if sum(block.rows for block in self._blocks.values()) >= ROWS:
            self._send_all()  # so that what lies in many days becomes files at times too

    def _gather(self, day: int, probes: Probes) -> None:
        while len(probes):
            if day not in self._blocks:
                self._blocks[day] = self._spare.pop() if self._spare else ProbesBlock(min(GROUP, ROWS))
            probes = probes[self._blocks[day].add(probes) :]
            if self._blocks[day].full:
                self._send(day)

    def _send(self, day: int) -> None:
        while len(self._pending) >= _AHEAD:
            self._pending.popleft().result()
        self._pending.append(self._thread.submit(self._write, day, self._blocks.pop(day)))

    def _send_all(self) -> None:
        for day in sorted(self._blocks):
            self._send(day)
        self._pending.append(self._thread.submit(self._close_all))

    def _write(self, day: int, block: ProbesBlock) -> None:
        """Write a row group, in the thread."""
        if day not in self._parts:
            for other in [*self._parts][: max(0, len(self._parts) - _FILES + 1)]:
                self._close(other)
            self._parts[day] = self._open(day)
        self._parts[day].file.write(block.probes())
        self._parts[day].rows += block.rows
        if self._parts[day].rows >= ROWS:
            self._close(day)
        block.clear()
        if len(self._spare) <= _AHEAD:
            self._spare.append(block)

    def _open(self, day: int) -> _Open:
        name = str(np.datetime64(day, "D"))
        self._files += 1
        return _Open(name, self._to.part(name, self._files - 1))

    def _close_all(self) -> None:
        for day in [*self._parts]:
            self._close(day)

    def _close(self, day: int) -> None:
        part = self._parts.pop(day)
        self._names.setdefault(part.day, []).append(part.file.close())
        self._days[part.day] = self._days.get(part.day, 0) + part.rows

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        try:
            if kind is None:
                self._finish()
        finally:
            self._thread.shutdown(cancel_futures=True)
            self._to.end()

    def _about(self) -> dict[str, Any]:
        """What was given; where both the dataset that was added to and this say "sources", all of them; and of every
        log that is followed, how far it was."""
        before = self.before["about"] if self.before else {}
        about = dict(self.about)
        if isinstance(before.get("sources"), list) and isinstance(about.get("sources"), list):
            about["sources"] = [*before["sources"], *about["sources"]]
        if followed := {**before.get("follow", {}), **about.get("follow", {})}:
            about["follow"] = followed
        return about

    def _finish(self) -> None:
        self._send_all()
        while self._pending:
            self._pending.popleft().result()
        fields = {
            "kind": KIND,
            "schema": SCHEMA_NUMBER,
            "created": datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
            "writer": f"portkin {__version__}",
            "rows": self.rows,
            "first": _stamp(self._first) if self.rows else None,
            "last": _stamp(self._last) if self.rows else None,
            "days": dict(sorted(self._days.items())),
            "files": {day: sorted(names) for day, names in sorted(self._names.items())},
            "about": self._about(),
        }
        self.removed += self._to.commit(fields)


def merge_files(path: Place, days: Collection[str]) -> None:
    """Make one file of the many that a dataset which grows little by little has of these days; it stays as it is but
    for that.

    InputError where there is no dataset, or another run changed it meanwhile; OutputError where it cannot be written.
    """
    parts = parts_by_day(path)
    many = [day for day in days if len(parts.get(day, ())) > 1]
    if not many:
        return
    with ProbesWriter(path, append=True, merge=many) as writer:
        about = manifest(path)["about"]
        writer.about = about | ({"sources": []} if isinstance(about.get("sources"), list) else {})


def _us(stamp: str) -> int:
    return int(np.datetime64(stamp.removesuffix("Z"), "us").astype(np.int64))


def _stamp(us: int) -> str:
    return str(np.datetime64(us, "us")) + "Z"
