"""Text inputs in blocks of whole lines, so that an invalid line can be named by its number."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from io import RawIOBase
from pathlib import Path

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from portkin.errors import InputError
from portkin_training.ingest.logs.line_ends import line_breaks, line_ends, odd_bytes
from portkin_training.ingest.reading import Reading
from portkin_training.ingest.streams import BROKEN_STREAM, open_stream

BLOCK = 1 << 19
"""Bytes that are read at a time: few enough for the processor's cache."""
LONGEST = 1 << 20
"""Bytes of the longest line that is read."""
_MARK = b"\xef\xbb\xbf"


_LONE_RETURN = re.compile(rb"\r(?!\n)")
_COLOUR = re.compile(rb"\x1b\[[0-9;]*[A-Za-z]")
"""What programs write around words to colour them on a terminal, as `dmesg --color=always` does."""


def blocks(
    path: Path, reading: Reading, rewrite: Callable[[bytes], bytes] | None = None
) -> Iterator[tuple[int, bytes]]:
    """(number of the first line, whole lines) of a file, in blocks of about 512 KiB; the first line is 1.

    ``rewrite`` is given the bytes of the file piece by piece and returns what is read in their place.

    Where a compressed file is cut, the lines before the cut are yielded and the reading reports it. Lines longer than
    `LONGEST` are left out and reported; each leaves an empty line.
    """
    line, carried, ended, skipping, at_begin = 1, b"", False, False, True
    buffer = bytearray(BLOCK)
    with open_stream(path, reading) as stream:
        while not ended:
            size, ended = _filled(buffer, stream, reading)
            piece: bytes | bytearray = buffer
            if at_begin:
                at_begin = False
                head = bytes(buffer[:size])
                _refuse_other_text(path, head)
                piece = head.removeprefix(_MARK)
            if rewrite is not None:
                piece = rewrite(bytes(memoryview(piece)[:size]))
            size = size if piece is buffer else len(piece)
            begin = 0
            if skipping:
                begin = piece.find(b"\n", 0, size)
                if begin < 0:
                    continue
                skipping = False
            end = size if ended else piece.rfind(b"\n", begin, size) + 1
            view = memoryview(piece)
            if not end and not ended:
                carried += view[begin:size]
            elif whole := b"".join((carried, view[begin:end])):
                yield line, _cleaned(whole, line, reading)
                line += line_breaks(whole)
                carried = bytes(view[end:size])
            if len(carried) > LONGEST:
                _too_long(line, reading)
                carried, skipping = b"", True


def _filled(buffer: bytearray, stream: RawIOBase, reading: Reading) -> tuple[int, bool]:
    """Fill a buffer with what comes next, a few kilobytes at a time out of a decompressor; how much it is, and whether
    it is the end."""
    size = 0
    view = memoryview(buffer)
    while size < len(buffer):
        try:
            got = stream.readinto(view[size:])
        except BROKEN_STREAM as error:
            reading.problem("the end", f"the file is cut or damaged ({error}); what came before is kept")
            got = 0
        if not got:
            return size, True
        size += got
    return size, False


def _refuse_other_text(path: Path, head: bytes) -> None:
    if head.startswith((b"\xff\xfe", b"\xfe\xff")):
        raise InputError(f"{path}: byte 0: text in UTF-16; convert it with `iconv -f UTF-16 -t UTF-8`")
    if b"\r" in head and b"\n" not in head:
        raise InputError(f"{path}: line 1: lines end with carriage returns alone; convert it with `tr '\\r' '\\n'`")


def plain_text(data: bytes) -> str:
    """The beginning of an input as text as `blocks` yields it: without byte order mark, null bytes and colours."""
    data = _COLOUR.sub(b"", data.replace(b"\0", b"").removeprefix(_MARK))
    return data.decode("utf-8", "replace")


def _too_long(line: int, reading: Reading) -> None:
    reading.read += 1
    reading.bad_row(f"line {line}", f"longer than {LONGEST:,} bytes")


def _cleaned(block: bytes, first: int, reading: Reading) -> bytes:
    """The block without overlong lines and null bytes, and with what is no UTF-8 replaced, so that both are bad values
    and no failures. Logs that are emptied while they are written begin with null bytes."""
    odd, beyond_ascii = odd_bytes(block)
    if odd:
        block = block.replace(b"\0", b"")
        if b"\x1b" in block:
            block = _COLOUR.sub(b"", block)
        if b"\r" in block and block.count(b"\r") != block.count(b"\r\n"):
            # Readers take a carriage return by itself for the end of a line: numbers and quotes would go astray.
            block = _LONE_RETURN.sub(b" ", block)
    if beyond_ascii:
        try:
            block.decode()
        except UnicodeDecodeError:
            block = block.decode(errors="replace").encode()
    if len(block) <= LONGEST:
        return block
    ends = line_ends(block)
    lengths = np.diff(ends)
    if len(lengths) and lengths.max() > LONGEST:
        for at in np.flatnonzero(lengths > LONGEST):
            _too_long(first + int(at), reading)
        kept = (b"\n" if n > LONGEST else block[a:z] for a, z, n in zip(ends, ends[1:], lengths, strict=False))
        block = b"".join(kept)
    return block


def lines_of(block: bytes, first: int) -> tuple[pa.Array, NDArray[np.int64]]:
    """The lines of a block as text, line ends included, without copying it; and their numbers: (n,) each."""
    ends = line_ends(block)
    n = len(ends) - 1
    buffers = [None, pa.py_buffer(ends.astype(np.int32)), pa.py_buffer(block)]
    return pa.StringArray.from_buffers(n, *buffers[1:]), np.arange(first, first + n)
