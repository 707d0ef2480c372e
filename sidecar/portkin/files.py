"""Files that are replaced whole or not at all."""

from __future__ import annotations

import os
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


def aside(path: Path) -> Path:
    """An unused, hidden name beside ``path``, with the same suffix."""
    return path.parent / f".{path.stem}.{uuid.uuid4().hex[:8]}{path.suffix}"


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Write a file beside ``path``: the body writes to the yielded path, which is then synced and renamed to ``path``.

    Where the body raises, ``path`` is as it was and nothing is left behind. Raises OSError as the file system does.
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
    """Sync the directory entries of a folder to disk."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
