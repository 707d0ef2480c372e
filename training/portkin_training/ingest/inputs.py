"""One input of any kind: what it is, by its first bytes, and what it holds, as packets or probes."""

from __future__ import annotations

import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from portkin.errors import InputError
from portkin_training.core.probes import Probes
from portkin_training.ingest.captures.options import CaptureOptions
from portkin_training.ingest.captures.packets import Packets
from portkin_training.ingest.captures.pcap import is_capture, read_capture
from portkin_training.ingest.formats.format import Head, Source, first_bytes
from portkin_training.ingest.formats.registry import BY_NAME, FORMATS, recognised, recognised_further
from portkin_training.ingest.reading import Reading
from portkin_training.ingest.streams import modified_us
from portkin_training.ingest.tables.columns import ColumnMap, csv_rows, parquet_rows
from portkin_training.ingest.tables.csv_header import header_names, is_binary, likely_header
from portkin_training.ingest.tables.json_columns import json_rows
from portkin_training.ingest.values.stamps import Clock


@dataclass(frozen=True)
class InputOptions:
    """How an input is read.

    Attributes:
        kind: one of `formats.names.KINDS` for every input; None: each as its first bytes say.
        columns: the columns of CSV, Parquet and JSON lines, and how stamps and addresses are read.
        any_state: flows that were answered count too, as for the log of a honeypot.
        captures: how captures are read.
    """

    kind: str | None = None
    columns: ColumnMap = field(default_factory=ColumnMap)
    any_state: bool = False
    captures: CaptureOptions = CaptureOptions()  # noqa: RUF009  (immutable)


def detect(path: Path) -> str:
    """Which of `formats.names.KINDS` a file is, from its first (decompressed) bytes.

    Raises:
        InputError: no such file, or its beginning is none of theirs.
    """
    if Path(path).is_dir():
        raise InputError(f"{path}: is a folder; name the files in it")
    data = first_bytes(path)
    if not data:
        what = "holds nothing that can be decompressed" if path.stat().st_size else "is empty"
        raise InputError(f"{path}: {what}; name another file, or leave it out")
    if is_capture(data):
        return "pcap"
    if data.startswith(b"PAR1"):
        return "parquet"
    if version := _exported(data):
        raise InputError(
            f"{path}: export packets of {version} as they cross the network; have a collector read them, and name "
            f"what it writes: nfcapd and `nfdump -o json`, or Python's netflow"
        )
    if said := _refused(data):
        raise InputError(f"{path}: {said}")
    head = Head(data)
    if found := recognised(head):
        return found.name
    if head.text.lstrip()[:1] in ("{", "["):
        return "json"
    names = header_names(head.lines)
    binary = is_binary(data)
    if not binary and not likely_header(names) and (found := recognised_further(path)):
        return found.name
    if said := _no_record(data):
        raise InputError(f"{path}: {said}")
    if len(names) > 1 and not binary:
        return "csv"
    kind = next((what for magic, what in _OTHERS.items() if data.startswith(magic)), None)
    if len(data) > 3 and not any(data[1:_BEGIN:2]) and any(data[:_BEGIN]):
        kind = "byte 0: text in UTF-16; convert it with `iconv -f UTF-16LE -t UTF-8`"
    raise InputError(
        f"{path}: {kind}"
        if kind
        else f"{path}: byte 0: {data[:8].hex(' ')} begins no capture, log, CSV or Parquet file of a known "
        f"format; name the right file, or tell `portkin ingest` what it is with --format"
    )


def _refused(data: bytes) -> str:
    """What a file is that holds records, but as a whole is in no form that is read, and what to do; "" for others."""
    if data[257:262] == b"ustar":
        return "a tar archive; unpack it, and name the files in it"
    if data.startswith(b"__CURSOR="):
        return "journald's export format; have journalctl write JSON (`journalctl -o json`)"
    return ""


def _no_record(data: bytes) -> str:
    """The same of lines among which those of a format may stand."""
    first = data[:_BEGIN].partition(b"\n")[0]
    if b"CEF:0|" in first or b"LEEF:" in first:
        return "CEF or LEEF, in which no two devices say alike what was refused; have yours write a format of its own"
    if b" [**] [" in first:
        return "alerts of Suricata or Snort (fast.log), which are no probes; name Suricata's eve.json with flows"
    return ""


def _exported(data: bytes) -> str:
    """The protocol of the export packet that a file begins with; "" for none."""
    if len(data) < 16:
        return ""
    version, count = struct.unpack(">HH", data[:4])
    (seconds,) = struct.unpack_from(">I", data, 4 if version == 10 else 8)
    if not (count and seconds >= 946_684_800):  # the year 2000
        return ""
    return {5: "NetFlow v5", 9: "NetFlow v9", 10: "IPFIX"}.get(version, "")


_BEGIN = 1 << 10
"""Bytes in which the first line of a log ends, or most of it stands."""
_OTHERS = {
    b"PK\x03\x04": "a ZIP archive; unpack it, and name the files in it",
    b"BZh": "compressed with bzip2; decompress it (`bzip2 -d`), or use gzip, xz or zstd",
    b"\x1f\x8b": "compressed twice; decompress it once (`gzip -d`)",
    b"]\0\0": "compressed with the old lzma; decompress it (`xz -d`)",
    b"\x04\x22\x4d\x18": "compressed with lz4; decompress it (`lz4 -d`), or use gzip, xz or zstd",
    b"\x0c\xa5": "a file of nfcapd; have nfdump print it (`nfdump -r FILE -o json`)",
    b"\xa5\x0c": "a file of nfcapd; have nfdump print it (`nfdump -r FILE -o json`)",
    b"\x83\x00\x00\x20": "a file of argus; have ra print it (`ra -r FILE -c , -n -u`)",
    b"\x83\x10\x00\x20": "a file of argus; have ra print it (`ra -r FILE -c , -n -u`)",
    b"\xde\xad\xbe\xef": "a file of SiLK; have rwcut print it",
    b"Date first seen": "what nfdump prints for people; have it print JSON (`nfdump -o json`)",
    b"LPKSHHRH": "a binary file of journald; have journalctl print it (`journalctl --file FILE -o json`)",
    b"ElfFile\0": "an event log of Windows, which is not read",
    b"SQLite format 3\0": "a database of SQLite; write the rows as CSV",
    b"%PDF": "a PDF, which is not read",
    b"<": "HTML or XML, which is not read",
}
"""First bytes of files that people name by mistake -> what they are, and what to do."""


def read_input(
    path: Path, reading: Reading | None = None, options: InputOptions | None = None
) -> Iterator[Packets | Probes]:
    """What an input holds, in chunks: packets of captures and of logs of packets, else the rows that are probes.

    Raises:
        InputError: no such file, none of these kinds, or it lacks what is needed.
    """
    path, options = Path(path), options or InputOptions()
    reading = Reading(str(path)) if reading is None else reading
    kind = options.kind or detect(path)
    if kind == "pcap":
        yield from read_capture(path, reading, options.captures)
        return
    if options.kind == "csv" and is_binary(first_bytes(path)):  # else `detect` has looked
        raise InputError(f"{path}: binary, and no CSV; name the right file, or another --format")
    reading.kind = kind
    reading.foreign = lambda text: _other_format(Head(text.encode()), kind)
    decoder = options.columns.decoder(reading, latest=modified_us(path))
    chosen = BY_NAME.get(kind)
    if chosen is not None:
        chunks = chosen.rows(Source(path, reading, options.any_state))
    else:
        chunks = {"csv": csv_rows, "parquet": parquet_rows, "json": json_rows}[kind](path, options.columns, reading)
    seq = 0
    for rows in chunks:
        found = decoder.packets(rows) if chosen is not None and chosen.packets else decoder.probes(rows, seq)
        reading.yearless = bool(decoder.clock.yearless)
        seq += len(found)
        yield found
    _note_clock(decoder.clock, reading, options.columns.year)


def has_outcomes(kind: str) -> bool:
    """Whether records of a format say of each flow whether it was answered."""
    return kind in BY_NAME and BY_NAME[kind].outcomes


def read_flows(path: Path, reading: Reading, kind: str) -> Iterator[tuple[Probes, NDArray[np.uint8]]]:
    """All flows of a log of a format `has_outcomes`, answered ones too, in chunks of n, and the place of each one's
    outcome in `records.OUTCOMES`, (n,).

    Raises:
        InputError: no such file, or it lacks what is needed.
    """
    reading.kind = kind
    decoder = ColumnMap().decoder(reading, latest=modified_us(path))
    for rows in BY_NAME[kind].rows(Source(path, reading, outcomes=True)):
        yield decoder.flows(rows)


def _other_format(head: Head, kind: str) -> str | None:
    """The format of lines whose records are lines, where it is another than ``kind``."""
    found = next((one for one in FORMATS if one.lines and one.name != kind and one.recognise(head)), None)
    return found.name if found else None


def session_us(kind: str) -> int:
    """How far apart, us, records of one session may lie in a format; 0 where it has one record for each."""
    chosen = BY_NAME.get(kind)
    return (chosen.session or 0) * 1_000_000 if chosen else 0


def _note_clock(clock: Clock, reading: Reading, year: int | None) -> None:
    if clock.local:
        reading.note(
            f"{clock.local:,} times name no zone, or a mere abbreviation, and were taken for {clock.tz}"
            + ("; --tz names another" if clock.tz == "UTC" else "")
        )
    if clock.ambiguous:
        reading.note(
            f"{clock.ambiguous:,} times lie in an hour that a change of clocks in {clock.tz} repeats or skips; "
            f"each was taken for the earlier one. Log in UTC to keep them apart"
        )
    if clock.year is not None and clock.month:
        reading.month = clock.year, clock.month
    if clock.yearless:
        reading.note(f"{clock.yearless:,} times name no year; {_years(clock, year)}")


def _years(clock: Clock, year: int | None) -> str:
    """Which years times without one were taken for; ``year`` is that of the first one, where it is known."""
    if year is not None:
        return f"the first is of {year}"
    if clock.back:
        return (
            "each was taken for the last before the file was changed, and so they go back by a year: they are of more "
            "than one, and --year is needed, the year of the first"
        )
    return "each was taken for the last before the file was changed (--year names the first one's)"


def refuse_nothing(readings: Sequence[Reading], probes: int) -> None:
    """Raise InputError where the inputs gave no probe at all: a result of nothing must not take the place of a good
    one. The message says what became of their rows."""
    if probes:
        return
    read = any(reading.read - reading.bad > 0 for reading in readings)
    raise InputError(("nothing usable. " if read else "nothing could be read. ") + "; ".join([
        sentence for reading in readings for sentence in (reading.nothing_usable(), *reading.problems[:2])
    ]))  # fmt: skip
