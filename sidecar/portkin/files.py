"""Files that are there whole or not at all."""

from __future__ import annotations

import os
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


def aside(path: Path) -> Path:
    """A name beside ``path``, hidden and not in use, with the same suffix."""
    return path.parent / f".{path.stem}.{uuid.uuid4().hex[:8]}{path.suffix}"


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Write a file aside: the body fills the yielded path, which on leaving is synced to disk and becomes ``path``.

    Where the body raises, ``path`` is as it was and nothing is left behind. OSError as the file system raises it.
    """
    written = aside(path)
    try:
        yield written
        with written.open("rb") as opened:
            os.fsync(opened.fileno())
        written.replace(path)
        sync_folder(path.parent)
    finally:
        written.unlink(missing_ok=True)


def sync_folder(folder: Path) -> None:
    """Make the names in a folder durable."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
