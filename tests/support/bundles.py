"""Small bundles of a kind of their own."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import numpy as np

from portkin.bundles.bundle_reader import open_bundle
from portkin.bundles.bundle_writer import write_bundle

NEW_YEAR = datetime(2026, 1, 1, tzinfo=UTC)


def write(path: Path, content: bytes = b"some bytes", *, kind: str = "test", created: datetime | None = None) -> Path:
    """A bundle of one array and one file with the content."""
    with write_bundle(path, kind=kind, schema=3, about={"seed": 7}, created=created) as folder:
        np.save(folder / "numbers.npy", np.arange(5, dtype=np.uint16))
        (folder / "other.bin").write_bytes(content)
    return path


def opened(path: Path):
    """The bundle as its owner opens it."""
    return open_bundle(path, kind="test", schema=3)
