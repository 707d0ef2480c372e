"""The folder of `--work`: what was fitted, kept in files that name what went into them, so that a run goes on."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from portkin.errors import OutputError
from portkin.files import claim_folder, claimed, replacing

NAMES = r"[0-9a-f]{16}-.+\.(npz|json)"
"""Of files in a work folder."""
Kept = TypeVar("Kept")


@contextmanager
def work_folder(folder: Path, run: str) -> Iterator[None]:
    """Make or take the folder, for one process at a time that does this `run`; others may be under way in it.

    Two processes would fit everything twice. Raises OutputError for a folder of something else, and where another
    process has this run under way.
    """
    claim_folder(folder, NAMES, "a work folder of portkin rates")
    lock = folder / f".{run}.lock"
    lock.touch()
    refused = OutputError(
        f"{folder}: another process fits the same there now; wait until it has ended, which leaves its results to you, "
        "or name another --work"
    )
    with claimed(lock, refused):
        yield


def kept(file: Path, load: Callable[[Path], Kept]) -> Kept | None:
    """What `load` reads of a file; None where there is none, or a damaged one, which is then computed again.

    Raises OSError where it cannot be read.
    """
    try:
        return load(file)
    except FileNotFoundError:
        return None
    except (zipfile.BadZipFile, EOFError, KeyError, TypeError, ValueError):
        return None


def save(file: Path, fields: Mapping[str, Any], **arrays: Any) -> None:
    """Write fields (JSON) and arrays of any shape aside and rename them into place: the file is whole or absent."""
    with replacing(file) as aside:
        np.savez(aside, **arrays, fields=np.frombuffer(json.dumps(fields).encode(), dtype=np.uint8))


def fields_of(saved: Mapping[str, NDArray[Any]]) -> dict[str, Any]:
    """The fields in a file that `save` wrote; `saved` are its arrays, of any shape. Raises KeyError or ValueError."""
    fields: dict[str, Any] = json.loads(saved["fields"].tobytes())
    return fields
