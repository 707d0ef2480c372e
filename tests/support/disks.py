"""Disks without room, for tests."""

from __future__ import annotations

from contextlib import contextmanager


@contextmanager
def filled(folder, but=0):
    """Meanwhile there is no room on the disk, but for so many bytes."""
    ballast = folder / "ballast"
    with ballast.open("wb", buffering=0) as opened:
        try:
            while True:
                opened.write(bytes(4096))
        except OSError:
            opened.truncate(opened.tell() - but)
    yield
    ballast.unlink()
