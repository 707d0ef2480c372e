"""Bundles: folders with a manifest, which are verified byte by byte before they are used.

A bundle is a folder of flat files and a ``manifest.json`` with its kind, schema number, the size and sha256
of each file, when it was created and, under ``about``, whatever its kind records (input, options, counts,
versions). It is written under another name, synced to disk and renamed, so a reader sees the old bundle or the new
one, never half of one. A reader opens the folder once and its files relative to that, so a rename meanwhile changes
nothing for it; where the writer removes the old folder meanwhile, it starts again with the new one.
"""

from __future__ import annotations

import ctypes
import errno
import gzip
import hashlib
import io
import json
import os
import shutil
import stat
import zlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from portkin import __version__
from portkin.errors import BundleError
from portkin.files import aside, sync_folder

MANIFEST = "manifest.json"
ID_DIGITS = 12
PACKED = ".gz"
"""The suffix of files that hold a compressed array."""
_LARGEST = 1 << 28  # bytes an array may unpack to: a few kilobytes can hold a gigabyte of nothing
_EXCHANGE = 2  # RENAME_EXCHANGE of renameat2(2)
_AT_FDCWD = -100
_ATTEMPTS = 100
"""Replacements that one opening survives: each takes a writer some milliseconds, for it syncs the disk."""
T = TypeVar("T")


@dataclass(frozen=True)
class FileEntry:
    """One file, as the manifest has it."""

    bytes: int
    sha256: str


@dataclass(frozen=True)
class Manifest:
    """The manifest of one bundle.

    ``id`` is the first 12 hex digits of the sha256 of the lines ``<sha256>  <name>`` of all files in order of
    name: two bundles with equal content have equal ids, whenever they were created.
    """

    kind: str
    schema: int
    id: str
    created: datetime
    writer: str
    files: Mapping[str, FileEntry]
    about: Mapping[str, Any]

    def to_json(self) -> str:
        """The text of ``manifest.json``."""
        return (
            json.dumps(
                {
                    "kind": self.kind,
                    "schema": self.schema,
                    "id": self.id,
                    "created": self.created.strftime("%Y-%m-%dT%H:%M:%SZ"),
                    "writer": self.writer,
                    "files": {name: vars(entry) for name, entry in sorted(self.files.items())},
                    "about": self.about,
                },
                indent=2,
            )
            + "\n"
        )


@dataclass(frozen=True)
class Bundle:
    """A verified bundle: its manifest, and each file in memory as it was verified, whatever becomes of the folder.

    An array may be packed: ``x.npy`` stored as ``x.npy.gz``.
    """

    path: Path
    manifest: Manifest
    files: Mapping[str, memoryview] = field(repr=False)

    def array(self, name: str) -> NDArray[Any]:
        """The ``.npy`` file of that name, read-only; BundleError where the bundle has none, or not a usable one."""
        if name in self.files:
            view = self.files[name]
        elif name + PACKED in self.files:
            view = self._unpacked(name + PACKED)
        else:
            raise BundleError(f"{self.path}: the bundle holds no {name}; build it again")
        header = io.BytesIO(view[:4096])
        try:
            version = np.lib.format.read_magic(header)
            read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
            shape, fortran, dtype = read(header)
            if dtype.hasobject:
                raise ValueError("it holds Python objects")
            flat = np.frombuffer(view, dtype, count=int(np.prod(shape)), offset=header.tell())
        except ValueError as error:
            raise BundleError(
                f"{self.path / name}: not a usable .npy file ({error}); build the bundle again"
            ) from error
        return flat.reshape(shape, order="F" if fortran else "C")

    def _unpacked(self, name: str) -> memoryview:
        reader = zlib.decompressobj(wbits=31)
        try:
            unpacked = reader.decompress(self.files[name], _LARGEST)
        except zlib.error as error:
            raise BundleError(f"{self.path / name}: not a gzip file ({error}); build the bundle again") from None
        if not reader.eof:
            raise BundleError(f"{self.path / name}: cut off, or more than {_LARGEST} bytes; build the bundle again")
        return memoryview(unpacked)


def save_packed(file: Path, array: NDArray[Any]) -> None:
    """Write an array, compressed, as `Bundle.array` reads it: ``x.npy`` becomes ``x.npy.gz``."""
    plain = io.BytesIO()
    np.save(plain, array, allow_pickle=False)
    file.with_name(file.name + PACKED).write_bytes(gzip.compress(plain.getbuffer(), 9, mtime=0))


def content_id(files: Mapping[str, FileEntry]) -> str:
    """The id of a bundle with these files; see `Manifest`."""
    lines = "".join(f"{entry.sha256}  {name}\n" for name, entry in sorted(files.items()))
    return hashlib.sha256(lines.encode()).hexdigest()[:ID_DIGITS]


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
        entries = {}
        for file in sorted(written.iterdir()):
            with file.open("rb") as opened:
                entries[file.name] = FileEntry(
                    os.fstat(opened.fileno()).st_size, hashlib.file_digest(opened, "sha256").hexdigest()
                )
                os.fsync(opened.fileno())
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


def open_bundle(path: Path, *, kind: str, schema: int) -> Bundle:
    """Open and verify the bundle at ``path``: kind, schema, and the size and sha256 of every file.

    Raises BundleError, saying what is wrong and what to do, for a bundle that is missing, damaged, of another
    kind or of a schema that this version does not read. A bundle that is being replaced is none of these.
    """
    path = Path(path)
    return _in_folder(path, kind, lambda folder: _verified(path, folder, kind, schema))


def read_manifest(path: Path, *, kind: str, schema: int) -> Manifest:
    """Only the manifest, without looking at the files; the errors are those of `open_bundle`."""
    path = Path(path)
    return _in_folder(path, kind, lambda folder: _manifest(path, folder, kind, schema))


def _in_folder(path: Path, kind: str, read: Callable[[int], T]) -> T:
    """Call ``read`` with a descriptor of the folder ``path``; again where the folder was replaced under it.

    What ``read`` misses in the folder that still has the name is missing. A folder that lost its name was replaced:
    its writer removes it, so something missing there says nothing of the new one.
    """
    for _ in range(_ATTEMPTS):
        try:
            folder = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        except OSError as error:
            missing = isinstance(error, FileNotFoundError)
            what = "there is no such folder" if missing else error.strerror
            raise BundleError(f"{path}: not a {kind} bundle ({what}); name the folder of one, or build it") from None
        try:
            return read(folder)
        except BundleError:
            if _has_name(folder, path):
                raise
        finally:
            os.close(folder)
    raise BundleError(f"{path}: replaced faster than it can be read; let one process at a time write it")


def _has_name(folder: int, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(folder), path.stat())
    except OSError:
        return False


def _read(folder: int, name: str) -> bytes:
    """The bytes of a file of the folder, never mapped: an edit in place must not reach who has read it.

    Raises OSError as the file system does, and for what is no regular file, as a pipe that would never end.
    """

    def without_waiting(file: str, flags: int) -> int:
        return os.open(file, flags | os.O_NONBLOCK, dir_fd=folder)

    with open(name, "rb", opener=without_waiting) as opened:
        if not stat.S_ISREG(os.fstat(opened.fileno()).st_mode):
            raise OSError(errno.EINVAL, "it is not a regular file")
        return opened.read()


def _manifest(path: Path, folder: int, kind: str, schema: int) -> Manifest:
    try:
        text = _read(folder, MANIFEST).decode()
    except FileNotFoundError:
        raise BundleError(
            f"{path}: not a {kind} bundle (it has no {MANIFEST}); name the folder of one, or build it"
        ) from None
    except (OSError, UnicodeDecodeError) as error:
        raise BundleError(f"{path / MANIFEST}: cannot be read ({error}); name the folder of a {kind} bundle") from None
    return _parse(path, text, kind, schema)


def _parse(path: Path, text: str, kind: str, schema: int) -> Manifest:
    where = path / MANIFEST
    try:
        fields = json.loads(text)
    except json.JSONDecodeError as error:
        raise BundleError(f"{where}: damaged, it is not JSON ({error}); build the bundle again") from None
    if not isinstance(fields, dict) or fields.get("kind") != kind:
        found = fields.get("kind") if isinstance(fields, dict) else None
        raise BundleError(f"{where}: this is a bundle of kind {found!r}, not {kind!r}; name the folder of a {kind}")
    if fields.get("schema") != schema:
        raise BundleError(
            f"{where}: schema {fields.get('schema')!r}, but this version of portkin ({__version__}) reads "
            f"schema {schema}; build the bundle again with it, or install the portkin that wrote it "
            f"({fields.get('writer', 'unknown')})"
        )
    try:
        files = {name: FileEntry(int(entry["bytes"]), str(entry["sha256"])) for name, entry in fields["files"].items()}
        manifest = Manifest(
            kind,
            schema,
            str(fields["id"]),
            datetime.strptime(fields["created"], "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=UTC),
            str(fields["writer"]),
            files,
            dict(fields["about"]),
        )
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise BundleError(
            f"{where}: damaged, a field is missing or wrong ({error!r}); build the bundle again"
        ) from None
    for name in files:
        if name != Path(name).name or name in ("", ".", ".."):
            raise BundleError(f"{where}: names the file {name!r}, which is outside the bundle; do not use it")
    if manifest.id != content_id(files):
        raise BundleError(f"{where}: damaged, its id {manifest.id} is not that of its files; build the bundle again")
    return manifest


def _verified(path: Path, folder: int, kind: str, schema: int) -> Bundle:
    manifest = _manifest(path, folder, kind, schema)
    files = {}
    for name, entry in manifest.files.items():
        try:
            content = _read(folder, name)
        except OSError as error:
            raise BundleError(
                f"{path / name}: cannot be read ({error.strerror}); build the bundle again or copy the whole folder"
            ) from None
        if len(content) != entry.bytes:
            raise BundleError(
                f"{path / name}: damaged, {len(content)} bytes where the manifest says {entry.bytes}; build the "
                f"bundle again or copy the whole folder again"
            )
        digest = hashlib.sha256(content).hexdigest()
        if digest != entry.sha256:
            raise BundleError(
                f"{path / name}: damaged, its sha256 is {digest[:12]}... where the manifest says "
                f"{entry.sha256[:12]}...; build the bundle again or copy the whole folder again"
            )
        files[name] = memoryview(content)
    return Bundle(path, manifest, files)


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
        found = json.loads((path / MANIFEST).read_text(encoding="utf-8"))["kind"]
    except (OSError, ValueError, KeyError, TypeError):
        raise BundleError(f"{path}: exists and is not a bundle of portkin, so it is not replaced; {remedy}") from None
    if found != kind:
        raise BundleError(f"{path}: holds a bundle of kind {found!r}, so it is not replaced; {remedy}")


def put_folder(written: Path, path: Path) -> None:
    """Rename the folder ``written`` to ``path``; a folder that had that name is then at ``written``."""
    try:
        written.rename(path)
        return
    except OSError as error:
        if error.errno not in (errno.ENOTEMPTY, errno.EEXIST):
            raise
    if _exchange(written, path):
        return
    # No exchange on this file system or kernel: three renames, and for an instant no bundle.
    old = aside(path)
    path.rename(old)
    written.rename(path)
    old.rename(written)


def _exchange(one: Path, other: Path) -> bool:
    """Swap two names in one step (renameat2(2), Linux); False where that cannot be done here."""
    try:
        renameat2 = ctypes.CDLL(None, use_errno=True).renameat2
    except (AttributeError, OSError):
        return False
    return bool(renameat2(_AT_FDCWD, os.fsencode(one), _AT_FDCWD, os.fsencode(other), _EXCHANGE) == 0)
