"""Reading bundles: every byte is verified before it is used.

A reader opens the folder once and its files relative to that, so a rename meanwhile changes nothing for it; where the
writer removes the old folder meanwhile, it starts again with the new one.
"""

from __future__ import annotations

import errno
import hashlib
import io
import math
import os
import stat
import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from portkin.bundles.manifest import MANIFEST, PACKED, Manifest, parse
from portkin.errors import BundleError
from portkin.json_text import parsed

if TYPE_CHECKING:
    from numpy.typing import NDArray

LARGEST = 1 << 28
"""Bytes that an array may unpack to: a few kilobytes can hold a gigabyte of nothing."""
_ATTEMPTS = 100
"""Replacements that one opening survives: each takes a writer some milliseconds, for it syncs the disk."""
T = TypeVar("T")


@dataclass(frozen=True)
class Bundle:
    """A verified bundle: its manifest, and each file in memory as it was verified, whatever becomes of the folder.

    An array may be packed: ``x.npy`` stored as ``x.npy.gz``.
    """

    path: Path
    manifest: Manifest
    files: Mapping[str, memoryview] = field(repr=False)

    def array(self, name: str) -> NDArray[Any]:
        """The ``.npy`` file of that name, read-only, of the shape and type that it says.

        BundleError where the bundle has none, or not a usable one.
        """
        if name in self.files:
            view = self.files[name]
        elif name + PACKED in self.files:
            view = self._unpacked(name + PACKED)
        else:
            raise BundleError(f"{self.path}: the bundle holds no {name}; build it again")
        try:
            return _array(view)
        except Exception as error:  # numpy lets through whatever Python's parser raises for a header
            raise BundleError(
                f"{self.path / name}: not a usable .npy file ({error}); build the bundle again"
            ) from error

    def fields(self, name: str) -> dict[str, Any]:
        """The JSON object in the file of that name; BundleError where the bundle has none, or no such file."""
        try:
            fields = parsed(self.files[name])
        except KeyError:
            raise BundleError(f"{self.path}: the bundle holds no {name}; build it again") from None
        except ValueError as error:
            raise BundleError(f"{self.path / name}: not JSON ({error}); build the bundle again") from None
        if not isinstance(fields, dict):
            raise BundleError(f"{self.path / name}: no JSON object; build the bundle again")
        return fields

    def _unpacked(self, name: str) -> memoryview:
        reader = zlib.decompressobj(wbits=31)
        try:
            unpacked = reader.decompress(self.files[name], LARGEST)
        except zlib.error as error:
            raise BundleError(f"{self.path / name}: not a gzip file ({error}); build the bundle again") from None
        if not reader.eof:
            raise BundleError(f"{self.path / name}: cut off, or more than {LARGEST} bytes; build the bundle again")
        return memoryview(unpacked)


def _array(view: memoryview) -> NDArray[Any]:
    """The array of any shape in the bytes of an ``.npy`` file."""
    import numpy as np  # verifying needs none of it

    header = io.BytesIO(view[:4096])
    version = np.lib.format.read_magic(header)
    read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
    shape, fortran, dtype = read(header)
    if dtype.hasobject or min(shape, default=0) < 0:
        raise ValueError("it holds Python objects" if dtype.hasobject else f"its shape is {shape}")
    flat = np.frombuffer(view, dtype, count=math.prod(shape), offset=header.tell())
    return flat.reshape(shape, order="F" if fortran else "C")


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
    return parse(path, text, kind, schema)


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
