"""The lines that a log gets, also when it is rotated meanwhile, or was while nobody looked."""

from __future__ import annotations

import os
from pathlib import Path

from portkin.errors import InputError
from portkin_training.ingest.rotations import END, behind, found_again, mark, opened, rotations

MOST = 1 << 26
"""Bytes that are read at a time."""
_HEAD = 1 << 16
"""Bytes at the beginning of a log in which its header stands."""


class Tail:
    """The lines that a file gets, also when another takes its name or it is emptied.

    Attributes:
        position: bytes of the present file, decompressed, that were taken.
        inode: of the present file.
        head: the first lines of the present file, about `_HEAD` bytes of them, as far as they are there.
        lost: sentences about files whose rest could not be found.
    """

    def __init__(self, path: Path, inode: int = 0, position: int = 0, known: str = "") -> None:
        """Begin at ``position`` of the file with ``inode``, or with the mark ``known``, which may have been renamed,
        copied or compressed since (`found_again`); at the start of the log where there is none.

        Raises:
            InputError: the file cannot be opened.
        """
        self._path = path
        self.lost: list[str] = []
        before = found_again(path, inode, position, known) if position else None
        if position and before is None:
            self._lose(position)
        self._open(before or path, position if before else 0)

    def _lose(self, position: int) -> None:
        self.lost.append(
            f"the file of which {position:,} bytes were read is gone: lines behind them are not in the dataset. Have "
            f"rotation keep it in the log's folder, with a name that begins with the log's"
        )

    def _open(self, path: Path, position: int) -> None:
        try:
            self._file, size = opened(path)
            status = path.stat()
        except OSError as error:
            raise InputError(f"{path}: {error.strerror or error}; name a file that can be read") from error
        self._name, self.inode = path.name, status.st_ino
        self.position = position if position <= size else 0
        self.head = self._file.read(_HEAD) if self.position else b""
        self.head = self.head[: self.head.rfind(b"\n") + 1]
        self._file.seek(max(0, self.position - END))
        self._end = self._file.read(min(END, self.position))

    @property
    def mark(self) -> str:
        """By what the file is known again."""
        return mark(self._end)

    def lines(self) -> bytes:
        """The whole lines that came since, at most about `MOST` bytes; empty where none did.

        Raises:
            InputError: the file was replaced, and the new one cannot be opened.
        """
        if self._emptied():
            self._next(emptied=True)
        data = self._file.read(MOST)
        end = data.rfind(b"\n") + 1
        if not end and not self._replaced():
            self._file.seek(self.position)
            return b""
        if not end and data:  # what stands behind the last line end of a file that was moved away is its last line
            self.position += len(data)
            self._end = (self._end + data)[-END:]
            return data + b"\n"
        if not end:
            self._next(emptied=False)
            return self.lines()
        if self.position <= len(self.head) < _HEAD:
            self.head += data[len(self.head) - self.position : end]
        self.position += end
        self._end = (self._end + data[max(0, end - END) : end])[-END:]
        self._file.seek(self.position)
        return data[:end]

    def _replaced(self) -> bool:
        """Whether the name is another file's."""
        try:
            return self._path.stat().st_ino != self.inode
        except OSError:
            return False  # between the two steps of a rotation

    def _emptied(self) -> bool:
        """Whether what was read is no longer in the file, which may have grown again since."""
        return os.pread(self._file.fileno(), len(self._end), self.position - len(self._end)) != self._end

    def _next(self, *, emptied: bool) -> None:
        """Open what comes behind the present file, which is read to its end; of one that was emptied, the copy that
        holds what came before that, if there is one."""
        position, inode, known = self.position, self.inode, self.mark
        self._file.close()
        if emptied:
            copy = found_again(self._path, 0, position, known)
            self._open(copy or self._path, position if copy else 0)
            return
        now = next((one for one, status in rotations(self._path).items() if status.st_ino == inode), None)
        now = now or found_again(self._path, 0, position, known)
        self._open(behind(self._path, now.name) if now else self._path, 0)

    def close(self) -> None:
        """Close the file."""
        self._file.close()
