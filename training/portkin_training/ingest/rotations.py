"""Where a log goes when it is rotated: which file was being read, and which come behind it."""

from __future__ import annotations

import glob
import hashlib
import os
import re
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from stat import S_ISREG
from tempfile import TemporaryFile
from typing import BinaryIO

from portkin_training.ingest.streams import BROKEN_STREAM, compression, open_stream

END = 1 << 12
"""Bytes before a place by which a file is known again, whatever its name and form."""
_NUMBERED = re.compile(r"\.(\d{1,4})(?:\.(?:gz|xz|zst))?")
_DATED = re.compile(r"[-._](\d{4}-?\d\d.*?)(?:\.(?:gz|xz|zst))?")
_PIECE = 1 << 20
_LATEST = 4
"""How many files are looked at: those that are compressed have to be decompressed for it."""


def mark(end: bytes) -> str:
    """By what a file is known again of which ``end`` was read last."""
    return hashlib.sha256(end[-END:]).hexdigest()


def opened(path: Path) -> tuple[BinaryIO, int]:
    """A file as it is when it is not compressed, and how many bytes it holds; OSError where it cannot be read."""
    file: BinaryIO = path.open("rb")
    head = file.read(6)
    file.seek(0)
    if not compression(head):
        return file, path.stat().st_size
    file.close()
    plain = TemporaryFile(prefix="portkin-follow-")  # noqa: SIM115  (the caller closes it)
    with open_stream(path) as stream:
        try:
            while data := stream.read(_PIECE):
                plain.write(data)
        except BROKEN_STREAM:
            pass  # what came before the cut
    size = plain.tell()
    plain.seek(0)
    return plain, size


def rotations(path: Path) -> dict[Path, os.stat_result]:
    """The files whose names begin with that of the log, itself included, the one changed last first."""
    found = {}
    for one in path.parent.glob(f"{glob.escape(path.name)}*"):
        with suppress(OSError):  # renamed meanwhile
            status = one.stat()
            if S_ISREG(status.st_mode):
                found[one] = status
    return dict(sorted(found.items(), key=lambda item: -item[1].st_mtime_ns))


def found_again(path: Path, inode: int, position: int, known: str) -> Path | None:
    """The file of which ``position`` bytes were read: the one with ``inode``, else one of the latest of which the last
    of them are those with the `mark` ``known``, as a copy or the compressed file is; None for none.

    Without a mark the inode alone counts.
    """
    files = rotations(path)
    same = [one for one, status in files.items() if status.st_ino == inode]
    if not known:
        return next(iter(same), None)
    others = [one for one in files if one not in same]
    return next((one for one in [*same, *others[:_LATEST]] if _ends_alike(one, position, known)), None)


def _ends_alike(path: Path, position: int, known: str) -> bool:
    try:
        file, size = opened(path)
    except OSError:
        return False
    with file:
        if size < position:
            return False
        file.seek(max(0, position - END))
        return mark(file.read(min(END, position))) == known


def behind(path: Path, name: str) -> Path:
    """The file that comes behind the one of this name among the rotations of a log: the next younger, or the log.

    Names are numbered as logrotate and others do, the oldest with the highest number, or dated; what was changed before
    the file itself is no younger one.
    """
    files = rotations(path)
    least = files[path.with_name(name)].st_mtime_ns if path.with_name(name) in files else 0
    for pattern, order in _ORDERS:
        own = pattern.fullmatch(name.removeprefix(path.name))
        if own:
            younger = {
                order(found[1]): one
                for one, status in files.items()
                if (found := pattern.fullmatch(one.name.removeprefix(path.name)))
                and order(found[1]) > order(own[1])
                and status.st_mtime_ns >= least
            }
            return younger[min(younger)] if younger else path
    return path


_ORDERS: tuple[tuple[re.Pattern[str], Callable[[str], tuple[int, str]]], ...] = (
    (_NUMBERED, lambda text: (-int(text), "")),
    (_DATED, lambda text: (0, text)),
)
