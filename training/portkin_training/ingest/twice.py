"""What would count twice: an input that is another one, or a recording of the dataset, also compressed or grown since.

Equal files are known by all their bytes. A log and its .gz, and a log that has grown, are known by how they begin once
decompressed: no two recordings that are not the same one have their first packets or lines in common.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from portkin.errors import InputError
from portkin_training.core.dataset import recordings
from portkin_training.ingest.formats.format import first_bytes

BEGIN = 1 << 16
"""Bytes of an input, decompressed, by which it is known again; all of a shorter one."""
_LEAST = 1 << 10
"""Bytes that the shorter of two must have: fewer may be a header, with which many files begin."""
_WITHOUT_RECORDS = 24
"""Bytes of a pcap without a packet, as an idle interface leaves them."""
_HEADER = 1 << 13
"""Bytes of the longest line of text that may be a header and nothing else."""

_PIECE = 1 << 18
"""Bytes that are read at a time for a digest alone."""

_REMEDY = "would count twice; leave it out, or insist with --again"


class Digest:
    """sha256 of a file as it is, computed in a thread: of bytes that are read anyway, or of a file read for this."""

    def __init__(self, path: Path, thread: ThreadPoolExecutor) -> None:
        """Nothing is read yet; ``thread`` is an executor of one thread."""
        self._path, self._thread = path, thread
        self._sum = hashlib.sha256()
        self._taken = 0
        self._whole: Future[str] | None = None

    @property
    def begun(self) -> bool:
        """Whether the file is read for this: nothing can be taken any more."""
        return self._whole is not None

    def take(self, piece: NDArray[np.uint8]) -> Future[None]:
        """Take the next bytes (n,) of the file, from its first on; they must not change until the future is done."""
        self._taken += len(piece)
        return self._thread.submit(self._sum.update, piece.data)

    def begin(self) -> Future[str]:
        """Read what was not taken; the digest in hexadecimal."""
        if self._whole is None:
            self._whole = self._thread.submit(self._rest)
        return self._whole

    def result(self) -> str:
        """The digest in hexadecimal, waited for."""
        return self.begin().result()

    def _rest(self) -> str:
        room = memoryview(bytearray(_PIECE))
        with self._path.open("rb", buffering=0) as opened:
            opened.seek(self._taken)
            while size := opened.readinto(room):
                self._sum.update(room[:size])
        return self._sum.hexdigest()


def begin(path: Path) -> dict[str, Any]:
    """How an input begins: how many of its ``bytes``, decompressed, have which ``sha256``.

    Raises:
        InputError: no such file, or its beginning cannot be decompressed.
    """
    return _summed(_head(path))


def _head(path: Path) -> bytes:
    return first_bytes(path)[:BEGIN]


def _summed(head: bytes) -> dict[str, Any]:
    return {"bytes": len(head), "sha256": hashlib.sha256(head).hexdigest()}


def refuse_known(inputs: Sequence[Path], digests: Sequence[Digest], before: Mapping[str, Any] | None) -> None:
    """Raise InputError for an input that is another, or is in the dataset already, of which ``before`` is the manifest.

    Inputs without a record are never refused. Digests are waited for only where a recording has as many bytes.
    """
    held = recordings(before["about"] if before else {})
    known = {
        (source["bytes"], source["sha256"]): f"in the dataset already, as {source['name']} (the same bytes)"
        for source in held
    }
    sizes = [path.stat().st_size for path in inputs]
    alike = Counter([*sizes, *{size for size, _ in known}])
    begun = _Begins(held)
    for path, size, found in zip(inputs, sizes, digests, strict=True):
        head = _head(path)
        if len(head) <= _WITHOUT_RECORDS or (len(head) < _HEADER and head.count(b"\n") < 2 and b"\0" not in head):
            continue
        if alike[size] > 1:
            if said := known.get((size, found.result())):
                raise InputError(f"{path}: {said}, and {_REMEDY}")
            known[size, found.result()] = f"the same bytes as {path}"
        begun.add(path, head)


class _Begins:
    """How recordings begin, found by the first `_LEAST` bytes of them, or by all of shorter ones."""

    def __init__(self, held: Sequence[Mapping[str, Any]]) -> None:
        """Those that are in the dataset."""
        self._held = [(str(one["name"]), one["begin"]) for one in held if "begin" in one and one["read"]]
        self._inputs: dict[bytes, list[Path]] = {}

    def add(self, path: Path, head: bytes) -> None:
        """Add an input, or raise InputError where it begins as one before."""
        sums = {len(head): _summed(head)["sha256"]}
        for name, begin in self._held:
            n = begin["bytes"]
            if n == len(head) or _LEAST <= n < len(head):
                sums.setdefault(n, _summed(head[:n])["sha256"])
                if sums[n] == begin["sha256"]:
                    raise InputError(f"{path}: begins with all that {name} begins with, which is in the dataset "
                                     f"already: the same, or grown since, and {_REMEDY}")  # fmt: skip
        alike = self._inputs.setdefault(head[:_LEAST], [])
        for other in alike:
            short, long = sorted((head, _head(other)), key=len)
            if long.startswith(short):
                raise InputError(f"{path}: begins as {other} does, for {len(short):,} bytes: "
                                 f"the same, compressed or grown since, and {_REMEDY}")  # fmt: skip
        alike.append(path)
