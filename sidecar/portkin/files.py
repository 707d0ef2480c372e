"""Files and folders that are replaced whole or not at all."""

from __future__ import annotations

import ctypes
import errno
import fcntl
import os
import re
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from portkin.errors import ConfigError, OutputError, PortkinError

_EXCHANGE = 2  # RENAME_EXCHANGE of renameat2(2)
_AT_FDCWD = -100
_OTHERS = 0o007


def aside(path: Path) -> Path:
    """An unused, hidden name beside ``path``, with the same suffix."""
    return path.parent / f".{path.stem}.{uuid.uuid4().hex[:8]}{path.suffix}"


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Write a file beside ``path``: the body writes to the yielded path, which is then synced and renamed to ``path``.

    Folders that are missing are made. Where the body raises, ``path`` is as it was and nothing is left behind. A link
    stays, and the file it names is replaced. Raises OutputError for a device, pipe or socket, and OSError as the file
    system does, naming ``path``; the command line says it in a line.
    """
    path = _replaceable(path)
    written = aside(path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        yield written
        with written.open("rb") as opened:
            os.fsync(opened.fileno())
        written.replace(path)
        sync_folder(path.parent)
    except OSError as error:
        if error.filename is not None and Path(os.fsdecode(error.filename)) not in (written, path, path.parent):
            raise
        raise OSError(error.errno, error.strerror or str(error), str(path)) from error
    finally:
        with suppress(OSError):
            written.unlink(missing_ok=True)


def _replaceable(path: Path) -> Path:
    """The file to replace: ``path``, or what it links to. Raises OutputError where that is no file."""
    if path.exists() and not (path.is_file() or path.is_dir()):
        raise OutputError(f"{path}: is no file (a device, pipe or socket), and is left as it is; name a file")
    return path.resolve() if path.is_symlink() else path


def create_private(path: Path) -> None:
    """Create an empty file for its owner alone, where there is none.

    Made by root, it belongs to the owner of its folder, as SQLite has it for the files beside a database: the service
    could not open it otherwise. Raises OSError as the file system does.
    """
    with suppress(FileExistsError):
        created = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600)
        try:
            if os.geteuid() == 0:
                folder = path.parent.stat()
                with suppress(OSError):  # root without the capability, as in a container
                    os.fchown(created, folder.st_uid, folder.st_gid)
        finally:
            os.close(created)


def sync_folder(folder: Path) -> None:
    """Sync the directory entries of a folder to disk."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextmanager
def claimed(path: Path, refused: PortkinError) -> Iterator[None]:
    """For one process at a time: lock a file or folder, which the kernel releases when the process ends, however.

    Raises ``refused`` where another process has it, and OSError where it cannot be opened.
    """
    lock = os.open(path, os.O_RDONLY)
    try:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise refused from None
        yield
    finally:
        os.close(lock)


def refuse_shared_secret(path: Path, setting: str) -> None:
    """Raise ConfigError where everybody on the machine can read or write the file of a secret, named in ``setting``.

    Raises OSError where there is none.
    """
    if path.stat().st_mode & _OTHERS:
        raise ConfigError(f"{setting}: {path}: everybody can read or write it; chmod o= {path}")


def claim_folder(folder: Path, ours: str, what: str) -> None:
    """Make the folder, or take one that holds nothing but names that the regular expression ``ours`` matches whole.

    Hidden names are not looked at. Raises OutputError for a folder with anything else in it, and touches nothing: it is
    somebody else's, and ``what`` it should have been.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        foreign = sorted(
            path.name for path in folder.iterdir() if path.name[0] != "." and not re.fullmatch(ours, path.name)
        )
    except OSError as error:
        raise OutputError(f"{folder}: cannot be used ({error.strerror}); name another folder for {what}") from None
    if foreign:
        raise OutputError(
            f"{folder}: holds {foreign[0]!r}, which is not of {what}, and is left as it is; name a new folder"
        )


def put_folder(written: Path, path: Path) -> None:
    """Rename the folder ``written`` to ``path``; a folder that had that name is then at ``written``."""
    try:
        written.rename(path)
        return
    except OSError as error:
        if error.errno not in (errno.ENOTEMPTY, errno.EEXIST):
            raise
    if exchange_names(written, path):
        return
    # No exchange on this file system or kernel: three renames, and for an instant no bundle.
    old = aside(path)
    path.rename(old)
    written.rename(path)
    old.rename(written)


def exchange_names(one: Path, other: Path) -> bool:
    """Swap two names in one step (renameat2(2), Linux); False where that cannot be done here."""
    try:
        renameat2 = ctypes.CDLL(None, use_errno=True).renameat2
    except (AttributeError, OSError):
        return False
    return bool(renameat2(_AT_FDCWD, os.fsencode(one), _AT_FDCWD, os.fsencode(other), _EXCHANGE) == 0)
