"""Logs that grow and are rotated while they are followed."""

from __future__ import annotations

import re
from dataclasses import replace
from functools import partial
from pathlib import Path

from fuzz.harness import choice, refused, target
from fuzz.ingest_targets import DELIMITED, LINES, delimited_logs_seeds, line_logs_seeds
from fuzz.read_inputs import options_of, written
from portkin.errors import InputError
from portkin_training.ingest.follow import _probes_of
from portkin_training.ingest.inputs import detect
from portkin_training.ingest.probe_definition import FirstPackets
from portkin_training.ingest.reading import Reading
from portkin_training.ingest.run import IngestOptions
from portkin_training.ingest.tail import Tail

HEADER = re.compile(rb"(?:[^\n]*\n){1,50}")
"""Lines in which a header stands."""


@target(lambda: [*line_logs_seeds(), *delimited_logs_seeds()])
def growing(folder: Path, data: bytes) -> None:
    """A log that grows in pieces and is rotated: its lines come once each, and mean what they mean in one file."""
    path = written(folder, data)
    kind = refused(lambda: detect(path), InputError, naming=str(path))
    begin = HEADER.match(data)
    sizes = [begin.end() if begin else 1, *(choice(data, range(1, 700), salt) for salt in range(5))]
    moved = choice(data, range(len(data)), 9) + 1 if data and choice(data, (False, True), 8) else len(data)
    tail, pieces, at = Tail(written(folder, b"", "growing")), [], 0
    try:
        while at < len(data):
            size = sizes[min(len(pieces), 5)]
            end = moved if at < moved < at + size else at + size
            with (folder / "growing").open("ab") as opened:
                opened.write(data[at:end])
            pieces.append((tail.lines(), tail.head))
            if end == moved < len(data):
                (folder / "growing").replace(folder / "growing.1")
                written(folder, b"", "growing")
                pieces += [(tail.lines(), tail.head)]
            at = end
    finally:
        tail.close()
    before, after = (data[:moved], data[moved:]) if moved < len(data) else (b"", data)
    torn = b"\n" if before and not before.endswith(b"\n") else b""
    expected = before + torn + after[: after.rfind(b"\n") + 1]
    assert expected == b"".join(lines for lines, _ in pieces)
    if before or kind not in (*LINES, *DELIMITED):
        return
    options = IngestOptions(kind, replace(options_of(data, kind).columns, year=None))

    def probes(lines: bytes, head: bytes) -> int:
        first = FirstPackets(window=0)
        return sum(map(len, _probes_of(lines, head, options, first, Reading("growing"))))

    rows = [refused(partial(probes, *piece), InputError) for piece in [(expected, b""), *pieces] if piece[0]]
    if None not in rows and rows:
        assert rows[0] == sum(rows[1:]), rows
