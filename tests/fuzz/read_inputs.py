"""What holds of every reader of `portkin ingest`, whole or in pieces: what the targets of its formats check."""

from __future__ import annotations

import io
import os
import re
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, redirect_stderr, redirect_stdout
from dataclasses import dataclass
from functools import cache
from itertools import accumulate
from pathlib import Path
from typing import Any
from unittest.mock import patch

import duckdb
import numpy as np

from fuzz.harness import choice, noticed, printable, refused
from portkin.errors import InputError
from portkin_training.commands.ingest_summary import print_json, print_reading, print_table
from portkin_training.core.probes import Probes
from portkin_training.ingest.captures import pcap
from portkin_training.ingest.captures.joined import Joined
from portkin_training.ingest.captures.options import CaptureOptions
from portkin_training.ingest.captures.packets import Packets
from portkin_training.ingest.contacts import Contacts, contacts_from_packets
from portkin_training.ingest.inputs import InputOptions, detect, read_input
from portkin_training.ingest.logs import gathering, text_blocks
from portkin_training.ingest.probe_definition import FirstPackets
from portkin_training.ingest.reading import Reading
from portkin_training.ingest.run import Summary
from portkin_training.ingest.streams import StreamBuffer
from portkin_training.ingest.tables.columns import ColumnMap

CHANGED = 1_767_312_000
"""When every input was last changed, s: 2026-01-02."""
LATEST = 253_402_300_800_000_000
"""Stamps, us, lie before the year 10000."""
_CONNECT = cache(lambda connect=duckdb.connect: connect(config={"threads": 1}))
"""A connection takes fifty times as long as a reading: all of them have one."""
_PLACE = re.compile(r": (?:(?:line|byte|row|after row|quoted text) [\d,]+|the end|an interface)\b")


@dataclass(frozen=True)
class Outcome:
    """What one reading came to: rows as columns, or None where it was refused; and the account of it."""

    columns: tuple[np.ndarray, ...] | None
    packets: bool
    counts: tuple[int, Counter[str], int, Counter[str]]
    local: list[str]

    def differs(self, other: Outcome) -> str:
        """In what another reading of the same bytes differs; "" where in nothing."""
        if (self.columns is None) != (other.columns is None):
            return "one of them is refused"
        if self.columns is None or other.columns is None:
            return ""
        if self.counts != other.counts:
            return f"{self.counts} and {other.counts}"
        if self.local != other.local:
            return f"{self.local} and {other.local}"
        for one, another in zip(self.columns, other.columns, strict=True):
            if one.shape != another.shape or (one != another).any():
                return f"rows {one.tolist()} and {another.tolist()}"
        return ""


def options_of(data: bytes, kind: str | None, columns: dict[str, Any] | None = None) -> InputOptions:
    """How some bytes are read."""
    given: dict[str, Any] = {
        "tz": choice(data, ("UTC", "Europe/Berlin", "America/St_Johns"), 1),
        "unit": choice(data, ("auto", "auto", "auto", "s", "ms", "us", "ns"), 2),
        "year": choice(data, (None, None, 1970, 2026, 9999), 3),
        "names": choice(data, (False, True), 4),
        "dst": "192.0.2.10" if kind in (None, "endlessh") else None,
    }
    captures = CaptureOptions(choice(data, (False, True), 5), choice(data, ("none", "vlan", "vni"), 6))
    return InputOptions(kind, ColumnMap(**(given | (columns or {}))), choice(data, (False, True), 7), captures)


def written(folder: Path, data: bytes, name: str = "input") -> Path:
    """A file of these bytes."""
    path = folder / name
    path.write_bytes(data)
    os.utime(path, (CHANGED, CHANGED))
    return path


def outcome(path: Path, options: InputOptions) -> Outcome:
    """Read an input to its end, and check what no reading may break."""
    reading = Reading(str(path))

    def read() -> list[Packets | Probes]:
        return [*read_input(path, reading, options)]

    with patch.object(duckdb, "connect", lambda **_: _CONNECT()):
        chunks = refused(read, InputError, naming=str(path))
    if chunks is None:
        return Outcome(None, False, (0, Counter(), 0, Counter()), [])
    _sound(chunks)
    rows = sum(map(len, chunks))
    assert reading.read == rows + sum(reading.skipped.values()) + reading.bad, reading.account()
    assert reading.bad == sum(reading.bad_reasons.values()), reading.account()
    assert bool(reading.bad) <= bool(reading.problems), reading.account()
    for problem in reading.problems:
        assert problem.startswith(str(path)) and _PLACE.match(problem, len(str(path))), problem
    _told(reading, rows)
    counted = sorted((reason, count.bit_length()) for reason, count in (reading.skipped + reading.bad_reasons).items())
    noticed(reading.kind, rows.bit_length(), counted, len(reading.problems))
    packets = bool(chunks) and isinstance(chunks[0], Packets)
    columns = (Packets if packets else Probes).concat(chunks).columns()
    counts = reading.read, reading.skipped, reading.bad, reading.bad_reasons
    return Outcome(
        columns,
        packets,
        counts,
        [note.removeprefix(str(path)) for note in reading.notes if " is a record of " not in note],
    )


def _sound(chunks: list[Packets | Probes]) -> None:
    """Columns of one length and type, protocols and stamps in their ranges; probes and contacts can be made of them."""
    first = FirstPackets()
    for chunk in chunks:
        assert {len(chunk)} == {len(column) for column in chunk.columns()}
        assert (chunk.sport.dtype, chunk.dport.dtype) == (np.uint16, np.uint16)
        assert ((chunk.ts >= 0) & (chunk.ts < LATEST)).all(), chunk.ts.tolist()
        if isinstance(chunk, Packets):
            assert np.isin(chunk.proto, (1, 6, 17, 58)).all()
            probes = first.of_packets(chunk, 0)
        else:
            probes = first.of_probes(chunk)
        assert np.isin(probes.proto, (6, 17)).all()
        assert len(probes) <= len(chunk)
    packets = [chunk for chunk in chunks if isinstance(chunk, Packets)]
    contacts = Contacts.concat(contacts_from_packets(packets))
    assert len(contacts) <= sum(map(len, packets))


def _told(reading: Reading, rows: int) -> None:
    """What the command line says of a reading changes nothing of a terminal but its text."""
    reading.probes = rows
    summary = Summary([reading], seconds=1.0)
    tables = (
        [lambda _: print_table(summary, Path("out"))] if choice(str(reading.account()).encode(), range(16)) == 0 else []
    )
    for say in (print_reading, lambda _: print_json(summary, Path("out")), *tables):  # tables take long
        with redirect_stdout(io.StringIO()) as out, redirect_stderr(io.StringIO()) as errors:
            say(reading)
        printable(out.getvalue() + errors.getvalue())


def kind_of(path: Path, data: bytes, kinds: tuple[str, ...]) -> str | None:
    """What an input is read as: of these kinds, the one it is recognised as, now and then or else any of them; None
    where nothing is forced."""
    found = refused(lambda: detect(path), InputError, naming=str(path))
    if found in kinds:
        return choice(data, (None, found, found, choice(data, kinds)), 8)
    return choice(data, kinds)


@contextmanager
def in_pieces(size: int) -> Iterator[None]:
    """Text inputs are read ``size`` bytes at a time, and few rows taken together."""
    with ExitStack() as patches:
        patches.enter_context(patch.object(text_blocks, "BLOCK", size))
        patches.enter_context(patch.object(gathering, "ROWS", 1 + size % 5))
        yield


def text_is_sound(folder: Path, data: bytes, kinds: tuple[str, ...], before: int = 1) -> None:
    """Read a text as one of ``kinds``, whole and in pieces, and compare; the first ``before`` lines that hold something
    are one piece, as in a file whose blocks are larger than its header."""
    path = written(folder, data)
    kind = kind_of(path, data, kinds)
    options = options_of(data, kind)
    whole = outcome(path, options)
    ends = [*accumulate(len(line) + 1 for line in data.split(b"\n")[:-1])]
    held = [end for end, line in zip(ends, data.split(b"\n"), strict=False) if line.strip(b"\r\0")]
    least = held[min(before, len(held)) - 1] if held else len(data)
    size = max(least, choice(data, range(len(data) // 3, len(data) + 1), 9))
    if size >= len(data):
        return
    with in_pieces(size):
        pieces = outcome(path, options)
    difference = whole.differs(pieces)
    assert not difference, f"whole, and in pieces of {size} bytes: {difference}"


def capture_is_sound(folder: Path, data: bytes) -> None:
    """Read a capture whole, and through a window of few bytes that moves over it, and compare."""
    path = written(folder, data)
    options = options_of(data, "pcap")
    whole = outcome(path, options)
    size, walked = choice(data, range(64, 400), 9), pcap._chunks

    def through(
        walker: Any, window: StreamBuffer, reading: Reading, how: int, rows: int, joined: Joined
    ) -> Iterator[Packets]:
        small = StreamBuffer(io.BytesIO(bytes(window.data[: window.filled])), size)  # type: ignore[arg-type]
        small.more(0)
        return walked(walker, small, reading, how, 1 + size % 7, joined)

    with patch.object(pcap, "_chunks", through):
        pieces = outcome(path, options)
    difference = whole.differs(pieces)
    assert not difference, f"whole, and through a window of {size} bytes: {difference}"
