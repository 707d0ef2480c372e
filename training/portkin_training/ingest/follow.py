"""A log that grows, read as it grows and rotated under the reader, into a dataset that grows with it."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from stat import S_ISREG
from tempfile import TemporaryDirectory

import numpy as np

from portkin.errors import InputError
from portkin_training.core.dataset import exists, manifest
from portkin_training.core.dataset_writer import ProbesWriter
from portkin_training.core.places import Place
from portkin_training.core.probes import Probes
from portkin_training.ingest.captures.packets import Packets
from portkin_training.ingest.formats.delimited import MOST_BEFORE, Delimited
from portkin_training.ingest.formats.registry import BY_NAME
from portkin_training.ingest.inputs import detect, read_input, session_us
from portkin_training.ingest.probe_definition import WINDOW, FirstPackets
from portkin_training.ingest.reading import Reading
from portkin_training.ingest.run import IngestOptions
from portkin_training.ingest.streams import is_compressed
from portkin_training.ingest.tables.csv_header import header_place
from portkin_training.ingest.tail import Tail
from portkin_training.ingest.time_order import by_time

_NO_LINES = ("pcap", "parquet")
"""Kinds of which no beginning and no end can be read by itself."""


def _header_of(kind: str | None, head: bytes) -> bytes:
    """The lines of a log's head without which later ones of it mean nothing, up to the one that names the columns;
    none for a kind that has no such line, and for a log without it."""
    lines = [line + b"\n" for line in head.split(b"\n")[:-1]]
    if kind == "zeek":
        return b"".join(line for line in lines if line[:1] == b"#")
    reader = BY_NAME[kind].rows if kind in BY_NAME else None
    if not lines or (kind != "csv" and not isinstance(reader, Delimited)):
        return b""
    texts = [line.decode("utf-8", "replace").rstrip("\r\n") for line in lines[:MOST_BEFORE]]
    if isinstance(reader, Delimited):
        return b"".join(lines[: next((at for at, text in enumerate(texts, 1) if reader.header(text)), 0)])
    return b"".join(lines[: header_place(texts) + 1])


def _refuse_what_cannot_grow(path: Path) -> None:
    """Raise InputError for a pipe, a device and a compressed file; what cannot be opened is `Tail`'s to report."""
    try:
        regular = S_ISREG(path.stat().st_mode)
        compressed = regular and is_compressed(path)
    except OSError:
        return
    if not regular:
        raise InputError(f"{path}: no file that grows, but a folder, pipe or device; name a log, or ingest what comes "
                         f"out of a pipe without --follow")  # fmt: skip
    if compressed:
        raise InputError(f"{path}: compressed, so that no lines are added to it; name the log itself, or ingest this "
                         f"file without --follow")  # fmt: skip


class Follower:
    """Adds what a growing text log gets to a dataset, look by look.

    The dataset remembers how far the log was read, so that another one goes on there, also after a rotation.
    """

    def __init__(self, path: Path, output: Place, options: IngestOptions) -> None:
        """Begin where the dataset ``output`` ends, or at the start of the log.

        Raises:
            InputError: the log cannot be opened, or cannot grow; ``output`` is something else than a dataset.
        """
        _refuse_what_cannot_grow(path)
        about = manifest(output)["about"] if exists(output) else {}
        known = about.get("follow", {}).get(str(path), {})
        self._path, self._output, self._options = path, output, options
        self._tail = Tail(path, known.get("inode", 0), known.get("position", 0), known.get("end", ""))
        self._kind = options.kind
        self._month: tuple[int, int] | None = known.get("month") if options.columns.year is not None else None
        self._first: FirstPackets | None = None

    def look(self) -> Reading | None:
        """Add what the log got since, at most about `MOST` bytes of it; None where that is nothing.

        After an error make a new one: what was read and not written is read again.

        Raises:
            InputError: the log cannot be read or is of no known kind of text.
            OutputError: the dataset cannot be written.
        """
        found = self._tail.lines()
        if not found:
            return None
        self._kind = self._kind or detect(self._path)
        if self._kind in _NO_LINES:
            raise InputError(f"{self._path}: a {self._kind} file, and no log of lines; have it written in pieces "
                             f"(captures: `tcpdump -G 3600`), and --append each once it is whole")  # fmt: skip
        if self._first is None:
            window = WINDOW if self._options.window is None else round(self._options.window * 1_000_000)
            self._first = FirstPackets(window=session_us(self._kind) or window)
        reading = Reading(f"{self._path} (up to byte {self._tail.position})")
        for lost in self._tail.lost:
            reading.note(lost)
        self._tail.lost.clear()
        options = replace(self._options, kind=self._kind)
        if self._month:  # the year of the log's first stamp may have turned since
            year, month = self._month
            options = replace(options, columns=replace(options.columns, year=year, month=month))
        chunks = _probes_of(found, self._tail.head, options, self._first, reading)
        self._month = reading.month or self._month
        if reading.probes:
            place: dict[str, object] = {
                "inode": self._tail.inode,
                "position": self._tail.position,
                "end": self._tail.mark,
            }
            if self._month:
                place["month"] = self._month
            self._write(chunks, place)
        return reading

    def _write(self, chunks: list[Probes], place: dict[str, object]) -> None:
        window = WINDOW / 1_000_000 if self._options.window is None else self._options.window
        with ProbesWriter(self._output, append=exists(self._output)) as writer:
            for probes in chunks:
                writer.write(replace(probes, seq=np.arange(writer.rows, writer.rows + len(probes))))
            writer.about = {"rules": {"window_s": window}, "follow": {str(self._path): place}, "sources": []}

    def close(self) -> None:
        """Close the log."""
        self._tail.close()


def follow(
    path: Path,
    output: Place,
    options: IngestOptions,
    stop: threading.Event,
    *,
    interval: float = 60.0,
    report: Callable[[Reading], None] = lambda reading: None,
) -> None:
    """Add the probes of a growing text log to the dataset ``output`` every ``interval`` seconds, until ``stop`` is set.

    See `Follower`, whose errors are raised. ``report`` is called with what was read each time that something was.
    """
    follower = Follower(path, output, options)
    try:
        while True:
            ending = stop.is_set()  # before the last look, so that nothing written before the stop is missed
            reading = follower.look()
            if reading is not None:
                report(reading)
            elif ending:
                return
            else:
                stop.wait(interval)
    finally:
        follower.close()


def _probes_of(
    lines: bytes, head: bytes, options: IngestOptions, first: FirstPackets, reading: Reading
) -> list[Probes]:
    """The probes of some lines of a log with this head, as the readers of whole files find them."""
    with TemporaryDirectory(prefix="portkin-follow-") as folder:
        piece = Path(folder) / "lines"
        piece.write_bytes(lines if lines.startswith(head) else _header_of(options.kind, head) + lines)
        found = []
        try:
            for chunk in by_time(read_input(piece, reading, options)):
                if isinstance(chunk, Packets):
                    found.append(first.of_packets(chunk, 0))
                else:
                    found.append(first.of_probes(chunk, portless=options.window is not None))
        except InputError as error:  # of the piece, which nobody knows
            raise InputError(str(error).replace(str(piece), reading.path)) from error
        reading.probes = sum(map(len, found))
        return found
