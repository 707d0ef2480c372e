"""Capture files: pcap and pcapng, read once from front to back, decoded by a compiled walk over blocks of bytes.

pcap is draft-ietf-opsawg-pcap: both byte orders, micro- and nanoseconds; its other forms are in `record_sizes`.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from portkin.errors import InputError
from portkin_training.core.unaligned import kernel
from portkin_training.ingest.captures.erf import Erf, is_erf
from portkin_training.ingest.captures.joined import Joined
from portkin_training.ingest.captures.layers import decode
from portkin_training.ingest.captures.link_types import NAMES, layer_of, unknown
from portkin_training.ingest.captures.options import CaptureOptions
from portkin_training.ingest.captures.packets import Packets
from portkin_training.ingest.captures.pcapng import Pcapng
from portkin_training.ingest.captures.reasons import REASONS, STORED, UNKNOWN_LINK
from portkin_training.ingest.captures.record_sizes import record_size
from portkin_training.ingest.captures.records import (
    BAD,
    CONTROL,
    FULL,
    MAX_BLOCK,
    MORE,
    PCAP_MAGICS,
    PCAPNG_MAGIC,
    Broken,
    begins_pcap,
    store,
    u32,
)
from portkin_training.ingest.reading import Reading
from portkin_training.ingest.streams import StreamBuffer, open_stream

_MODIFIED = (b"\xa1\xb2\xcd\x34", b"\x34\xcd\xb2\xa1")

_HEAD = 1 << 16
"""Bytes from which the form of a file is recognised."""

ROWS = 1 << 15
"""Rows of a chunk: columns that stay in the processor's cache."""

MAX_PACKET = 1 << 18
"""Longest capture length believed where the file names none longer; libpcap's MAXIMUM_SNAPLEN."""


@kernel
def walk_pcap(buf, pos, filled, big, units, head, layer, how, longest, row, out, counts):
    """Decode the records of buf[pos:filled] into the columns from ``row`` on.

    Args:
        big, units, head, layer, how, longest: byte order, stamp units in a microsecond, bytes of a record header,
            the options of `decode`, longest record believed.
        out: the columns of `Packets`.
        counts: (len(REASONS),) int64, one more for each packet by what became of it.

    Returns:
        (position of the first record not used, rows filled, FULL | MORE | BAD | CONTROL); CONTROL: no record stands
        there, but the header of another file.
    """
    base = np.int64(buf.ctypes.data)
    rows = len(out[0])
    while row < rows:
        at = base + pos
        if pos + head > filled:
            return pos, row, MORE
        captured = u32(at + 8, big)
        if captured > longest:
            return pos, row, BAD
        if captured == 0 and begins_pcap(at):  # its time zone, always 0, stands where a record has its length
            return pos, row, CONTROL
        if pos + head + captured > filled:
            return pos, row, MORE
        fields = decode(at + head, at + head + captured, layer, how)
        counts[fields[0]] += 1
        if fields[0] == STORED:
            fraction = u32(at + 4, big)
            stamp = u32(at, big) * 1_000_000 + (fraction if units == 1 else fraction // units)
            store(fields, row, stamp, out)
            row += 1
        pos += head + captured
    return pos, row, FULL


def is_capture(head: bytes) -> bool:
    """Whether a file that begins with ``head`` is a capture: pcap, pcapng or ERF."""
    return head[:4] in PCAP_MAGICS or head[:4] == PCAPNG_MAGIC or is_erf(head)


def read_capture(
    path: Path,
    reading: Reading | None = None,
    options: CaptureOptions = CaptureOptions(),  # noqa: B008  (immutable)
    *,
    rows: int = ROWS,
) -> Iterator[Packets]:
    """The TCP, UDP and port-unreachable packets of a capture file, in chunks of at most ``rows``.

    A file that breaks off or turns to nonsense ends the stream there: the chunks before it stand, and
    ``reading.problems`` says at which byte it broke. Where another capture begins, of any of these forms but ERF, as
    in files joined by ``cat``, it is read on.

    Args:
        path: pcap, pcapng or ERF, plain or compressed by gzip, xz or zstd.
        reading: filled in while the chunks are taken.

    Raises:
        InputError: the file cannot be opened, its first bytes are those of no capture file, or it holds nothing but
            link types that are not read.
    """
    path = Path(path)
    reading = Reading(str(path)) if reading is None else reading
    with open_stream(path, reading) as stream:
        window = StreamBuffer(stream, taken=reading.taken)
        window.more(0)
        head = window.head(0, _HEAD)
        if not is_capture(head):
            broken = f" ({window.error})" if window.error else ""
            raise InputError(
                f"{path}: byte 0: {head[:4].hex(' ') or 'nothing'} is not how a pcap, pcapng or ERF file begins{broken}"
            )
        try:
            walker = _walker(head, options.bits)
        except Broken as error:
            raise InputError(f"{path}: byte 0: {error}") from error
        reading.kind = walker.kind
        joined = Joined()
        for chunk in _chunks(walker, window, reading, options.bits, rows, joined):
            joined.look_at(chunk)
            yield chunk
        joined.tell(reading)


def _walker(head: bytes, how: int) -> _Pcap | Pcapng | Erf:
    """What reads the capture that begins with ``head``. Raises Broken where its header is cut."""
    if head[:4] in PCAP_MAGICS:
        return _Pcap(head, how)
    return Pcapng(how) if head[:4] == PCAPNG_MAGIC else Erf(how)


def _chunks(
    walker: _Pcap | Pcapng | Erf, window: StreamBuffer, reading: Reading, how: int, rows: int, joined: Joined
) -> Iterator[Packets]:
    """The chunks of a capture, and of those behind it, of which ``joined`` is told."""
    counts = np.zeros(len(REASONS), np.int64)
    pos, row, out = walker.start, 0, Packets.empty(rows)
    links: set[int] = set()  # of the captures before this one
    try:
        while True:
            pos, row, status = walker.walk(window.data, pos, window.filled, row, out, counts)
            if status == FULL:
                yield out
                row, out = 0, Packets.empty(rows)
                continue
            try:
                if status in (BAD, CONTROL) and joined.begins(window.head(pos, 12), window.offset + pos):
                    if row:
                        yield out[:row]
                        row, out = 0, Packets.empty(rows)
                    joined.begin(window.offset + pos)
                    more = True
                    while more and window.filled - pos < _HEAD:
                        more, pos = window.more(pos), 0
                    links |= walker.links
                    walker = _walker(window.head(pos, _HEAD), how)
                    pos += walker.start
                    continue
                size = walker.control(window.data, pos, window.filled, status)
            except Broken as error:
                reading.problem(f"byte {window.offset + pos}", f"{error}; what came before is kept")
                break
            if size:
                pos += size
            elif window.more(pos):
                pos = 0
            else:
                _end(window, reading)
                break
        _unknown_links(links | walker.links, reading, counts)
        if row:
            yield out[:row]
    finally:
        reading.read += int(counts.sum())
        for name, count in zip(REASONS, counts, strict=True):
            if count and name != REASONS[STORED]:
                reading.skipped[name] += int(count)


def _unknown_links(links: set[int], reading: Reading, counts: NDArray[np.int64]) -> None:
    """Say which link types were not read; raise InputError where no packet had another one."""
    foreign = sorted(links - NAMES.keys())
    if foreign and counts.sum() == counts[UNKNOWN_LINK] > 0:
        raise InputError(f"{reading.path}: {unknown(foreign[0])}")
    for link in foreign:
        reading.problem("an interface", unknown(link))


def _end(window: StreamBuffer, reading: Reading) -> None:
    """Say so where the last bytes are no whole record, or the compressed stream broke."""
    if window.error:
        reading.problem(
            f"byte {window.offset + window.filled} of the decompressed stream",
            f"the file is cut or damaged ({window.error}); what came before is kept",
        )
    elif window.filled:
        reading.problem(
            f"byte {window.offset}",
            f"the last record is cut after {window.filled} bytes; what came before is kept",
        )


class _Pcap:
    """A pcap file: one header, then records."""

    kind = "pcap"
    start = 24

    def __init__(self, head: bytes, how: int) -> None:
        if len(head) < 24:
            raise Broken(f"the file ends after {len(head)} of the 24 bytes of a pcap header")
        self._big, self._units = PCAP_MAGICS[head[:4]]
        order = ">" if self._big else "<"
        _, _, _, _, snap, network = struct.unpack(f"{order}HHiIII", head[4:24])
        link = network & 0x03FF_FFFF  # above: whether and how long a frame check sequence is
        self.links = {link}
        self._layer, self._how = layer_of(link, big=self._big), how
        self._longest = min(max(snap, MAX_PACKET), MAX_BLOCK)
        self._head = record_size(
            head,
            24,
            big=self._big,
            nano=self._units > 1,
            modified=head[:4] in _MODIFIED,
            longest=self._longest,
        )

    def walk(
        self, data: NDArray[np.uint8], pos: int, filled: int, row: int, out: Packets, counts: NDArray[np.int64]
    ) -> tuple[int, int, int]:
        pos, row, status = walk_pcap(
            data,
            pos,
            filled,
            self._big,
            self._units,
            self._head,
            self._layer,
            self._how,
            self._longest,
            row,
            out.columns(),
            counts,
        )
        return pos, row, status

    def control(self, data: NDArray[np.uint8], pos: int, filled: int, status: int) -> int:
        if status == BAD:
            claimed = int.from_bytes(data[pos + 8 : pos + 12], "big" if self._big else "little")
            raise Broken(f"a record claims {claimed} captured bytes, more than {self._longest}")
        return 0
