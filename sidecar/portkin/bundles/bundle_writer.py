"""Writing bundles: under another name, synced to disk and renamed, so that a reader sees the old one or the new one."""

from __future__ import annotations

import gzip
import hashlib
import io
import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from portkin import __version__
from portkin.bundles.manifest import MANIFEST, PACKED, FileEntry, Manifest, content_id
from portkin.errors import BundleError
from portkin.files import aside, put_folder, sync_folder
from portkin.json_text import parsed


def save_packed(file: Path, array: NDArray[Any]) -> None:
    """Write an array of any shape, compressed, as `Bundle.array` reads it: ``x.npy`` becomes ``x.npy.gz``.

    Level 9 takes four times as long as 6, a tenth of a table's build, for a twentieth of its size.
    """
    plain = io.BytesIO()
    np.save(plain, array, allow_pickle=False)
    file.with_name(file.name + PACKED).write_bytes(gzip.compress(plain.getbuffer(), 6, mtime=0))


@contextmanager
def write_bundle(
    path: Path, *, kind: str, schema: int, about: Mapping[str, Any], created: datetime | None = None
) -> Iterator[Path]:
    """Write a bundle: the body fills the yielded folder with flat files, which then becomes ``path``.

    An older bundle of the same kind at ``path`` is replaced (in one step where the file system can exchange
    two names); anything else there is refused with BundleError. Nothing is left behind where the body raises.
    ``created`` is now unless given; ``about`` must be JSON, and is read when the body has ended, so the body
    may still add to it.
    """
    path = Path(path).resolve()  # a link to a bundle goes on pointing at it
    refuse_foreign(path, kind)
    path.parent.mkdir(parents=True, exist_ok=True)
    written = aside(path)
    written.mkdir()
    try:
        yield written
        entries = entries_of(written)
        stamp = (created or datetime.now(UTC)).astimezone(UTC).replace(microsecond=0)
        manifest = Manifest(kind, schema, content_id(entries), stamp, f"portkin {__version__}", entries, dict(about))
        with (written / MANIFEST).open("w", encoding="utf-8") as opened:
            opened.write(manifest.to_json())
            opened.flush()
            os.fsync(opened.fileno())
        sync_folder(written)
        put_folder(written, path)
        sync_folder(path.parent)
    finally:
        shutil.rmtree(written, ignore_errors=True)


def entries_of(folder: Path) -> dict[str, FileEntry]:
    """What the manifest says of the files in a folder, each of which is on disk by then."""
    entries = {}
    for file in sorted(folder.iterdir()):
        with file.open("rb") as opened:
            entries[file.name] = FileEntry(
                os.fstat(opened.fileno()).st_size, hashlib.file_digest(opened, "sha256").hexdigest()
            )
            os.fsync(opened.fileno())
    return entries


def refuse_foreign(path: Path, kind: str) -> None:
    """Raise BundleError where something else than a bundle of the kind is at ``path``.

    `write_bundle` checks this itself; call it early before a long computation.
    """
    if not path.exists():
        return
    remedy = f"name a new folder for the {kind}"
    if not path.is_dir():
        raise BundleError(f"{path}: exists and is not a folder; {remedy}")
    if not any(path.iterdir()):
        return
    try:
        found = parsed((path / MANIFEST).read_bytes())["kind"]
    except (OSError, ValueError, KeyError, TypeError):
        raise BundleError(f"{path}: exists and is not a bundle of portkin, so it is not replaced; {remedy}") from None
    if found != kind:
        raise BundleError(f"{path}: holds a bundle of kind {found!r}, so it is not replaced; {remedy}")
