"""Recordings as streams of bytes, decompressed on the way where their first bytes say so."""

from __future__ import annotations

import gzip
import io
import lzma
import shutil
import zlib
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from pathlib import Path
from stat import S_ISREG
from tempfile import TemporaryDirectory
from typing import Any, BinaryIO, Protocol

import numpy as np
import zstandard
from numpy.typing import NDArray

from portkin.errors import InputError
from portkin_training.ingest.reading import Reading

GZIP, XZ, ZSTD = b"\x1f\x8b", b"\xfd7zXZ\x00", b"\x28\xb5\x2f\xfd"
SKIPPABLE = tuple(bytes((low,)) + b"\x2a\x4d\x18" for low in range(0x50, 0x60))
"""With what frames of zstd begin that hold no data; pzstd writes such a one first."""

BROKEN_STREAM = (EOFError, OSError, lzma.LZMAError, zstandard.ZstdError, zlib.error)
"""What reading a cut or damaged compressed file raises."""


def compression(head: bytes) -> str:
    """ "gz", "xz", "zst" or "" from the first bytes of a file."""
    for magic, name in ((GZIP, "gz"), (XZ, "xz"), (ZSTD, "zst"), (SKIPPABLE, "zst")):
        if head.startswith(magic):
            return name
    return ""


def is_compressed(path: Path) -> bool:
    """Whether a file is compressed in a way that `open_stream` undoes."""
    with path.open("rb") as opened:
        return bool(compression(opened.read(6)))


@contextmanager
def spooled(stream: BinaryIO) -> Iterator[Path]:
    """A file that holds what a stream yields, for readers that look at the beginning twice; gone afterwards."""
    with TemporaryDirectory(prefix="portkin-") as folder:
        path = Path(folder) / "standard-input"
        with path.open("wb") as copy:
            shutil.copyfileobj(stream, copy, 1 << 20)
        yield path


def modified_us(path: Path) -> int | None:
    """When a file was last changed, us; None for what is no regular file."""
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_mtime_ns // 1000 if S_ISREG(status.st_mode) else None


def open_stream(path: Path, reading: Reading | None = None) -> io.RawIOBase:
    """Open a file and decompress it; the caller closes it. ``reading`` follows the position in the file.

    Raises:
        InputError: there is no such file, or it cannot be opened.
    """
    try:
        raw = path.open("rb", buffering=0)
        head = raw.read(6)
        raw.seek(0)
    except OSError as error:
        raise InputError(f"{path}: {error.strerror or error}; name a file that can be read") from error
    if reading is not None:
        reading.position = lambda: _position(raw)
    match compression(head):
        case "gz":
            return _Owning(gzip.GzipFile(fileobj=io.BufferedReader(raw, 1 << 20)), raw)
        case "xz":
            return _Owning(lzma.LZMAFile(io.BufferedReader(raw, 1 << 20)), raw)
        case "zst":
            return _Owning(_Zstd(raw), raw)
    return raw


def _position(raw: io.FileIO) -> int:
    """Where a file stands; 0 once it is closed, which the thread that reads it may do meanwhile."""
    try:
        return raw.tell()
    except (ValueError, OSError):
        return 0


class _Zstd:
    """What a file of zstd frames holds. The reader of `zstandard` takes a cut frame for a whole one."""

    def __init__(self, raw: io.FileIO) -> None:
        reader = zstandard.ZstdDecompressor(max_window_size=1 << 27)  # what the zstd tool allows unasked
        self._stream = reader.stream_reader(raw, read_size=1 << 20, read_across_frames=True, closefd=False)
        self._raw = raw

    def read1(self, size: int = -1, /) -> bytes:
        data: bytes = self._stream.read1(size)
        if not data and size:
            whole = whole_frames(self._raw)
            self._raw.seek(0, io.SEEK_END)
            if not whole:
                raise EOFError("Compressed file ended before the end of a frame")
        return data

    def close(self) -> object:
        return self._stream.close()  # type: ignore[no-untyped-call]


def whole_frames(raw: io.RawIOBase) -> bool:
    """Whether a file of zstd frames ends with one (RFC 8878, 3.1); only the heads of blocks are read."""
    size, at = raw.seek(0, io.SEEK_END), 0

    def bytes_at(place: int, count: int) -> bytes:
        raw.seek(place)
        return raw.read(count) or b""

    while at < size:
        head = bytes_at(at, 14)
        if head[:4] in SKIPPABLE:
            at += 8 + int.from_bytes(head[4:8], "little")
            continue
        if head[:4] != ZSTD or len(head) < 6:
            return False
        what = head[4]
        single = what >> 5 & 1
        at += 5 + (not single) + (0, 1, 2, 4)[what & 3] + ((single, 2, 4, 8)[what >> 6])
        last = 0
        while not last:
            block = bytes_at(at, 3)
            if len(block) < 3:
                return False
            value = int.from_bytes(block, "little")
            last, kind = value & 1, value >> 1 & 3
            at += 3 + (1 if kind == 1 else value >> 3)  # a run of one byte is that byte
        at += 4 * (what >> 2 & 1)
    return at == size


class _Decompressor(Protocol):
    def read1(self, size: int = ..., /) -> bytes: ...

    def close(self) -> object: ...


class _Owning(io.RawIOBase):
    """A decompressor that closes the file below it."""

    def __init__(self, stream: _Decompressor, raw: io.RawIOBase) -> None:
        self._stream, self._raw = stream, raw

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        # What one step of decompression yields, so that a cut file loses nothing that came before the cut.
        data = self._stream.read1(len(buffer))
        buffer[: len(data)] = data
        return len(data)

    def close(self) -> None:
        if not self.closed:
            self._stream.close()
            self._raw.close()
        super().close()


class StreamBuffer:
    """A moving window over a stream: a buffer whose unread tail is carried to the front of another when more is asked
    for.

    Attributes:
        data: (size,) uint8; bytes [0, filled) are valid.
        filled: how many bytes are valid.
        offset: offset in the (decompressed) stream of ``data[0]``.
        error: what broke the stream; None while it is sound.
    """

    def __init__(
        self,
        stream: io.RawIOBase,
        size: int = 1 << 20,
        *,
        taken: Callable[[NDArray[np.uint8]], Future[None]] | None = None,
    ) -> None:
        """``taken`` is given each piece that is read, which does not change until the future is done."""
        self._stream = stream
        self._ended = False
        self._taken = taken
        self.data = np.empty(size, np.uint8)
        self._other = np.empty(size, np.uint8)
        self._data_free: Future[None] | None = None
        self._other_free: Future[None] | None = None
        self.filled = 0
        self.offset = 0
        self.error: Exception | None = None

    def head(self, pos: int, size: int) -> bytes:
        """At most ``size`` valid bytes from ``pos`` on."""
        return bytes(self.data[pos : min(self.filled, pos + size)])

    def more(self, used: int) -> bool:
        """Forget the first ``used`` bytes, read on; whether bytes came. Doubles where nothing could be
        forgotten."""
        tail = self.filled - used
        if used:
            self._turn()
            self.data[:tail] = self._other[used : self.filled]
        elif self.filled == len(self.data):
            self.data = np.concatenate((self.data, np.empty_like(self.data)))
        self.offset += used
        self.filled = tail
        view = self.data.data
        while not self._ended and self.filled < len(self.data):
            try:
                got = self._stream.readinto(view[self.filled :])
            except BROKEN_STREAM as error:
                self.error, got = error, 0
            self._ended = not got
            self.filled += got or 0
        if self._taken and self.filled > tail:
            self._data_free = self._taken(self.data[tail : self.filled])
        return self.filled > tail

    def _turn(self) -> None:
        """Have the other buffer be ``data``, as soon as nobody reads it."""
        if self._other_free:
            self._other_free.result()
        if len(self._other) < len(self.data):
            self._other = np.empty_like(self.data)
        self.data, self._other = self._other, self.data
        self._data_free, self._other_free = None, self._data_free
