"""The whole of ingest: recordings of any kind in, one probes dataset out."""

from __future__ import annotations

import hashlib
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from portkin.errors import InputError
from portkin_training.core.dataset import ProbesWriter
from portkin_training.core.probes import Probes
from portkin_training.core.protocols import TCP, UDP
from portkin_training.ingest import probe_definition
from portkin_training.ingest.captures.options import CaptureOptions
from portkin_training.ingest.captures.pcap import is_capture, read_capture
from portkin_training.ingest.logs.conn_log import read_conn_log
from portkin_training.ingest.reading import Reading
from portkin_training.ingest.streams import BROKEN_STREAM, open_stream
from portkin_training.ingest.tables.columns import ColumnMap, read_csv, read_parquet

KINDS = ("pcap", "zeek", "csv", "parquet")
"""Kinds of input; "pcap" is either capture format, "zeek" either form of conn.log."""


@dataclass(frozen=True)
class IngestOptions:
    """How inputs are read.

    Attributes:
        kind: one of `KINDS` for every input; None: each as its first bytes say.
        columns: map for CSV and Parquet.
        window: seconds within which a repetition is the same probe; None: `probe_definition.WINDOW` for captures,
            no such rule for other inputs.
        any_state: see `probe_definition.flow_reasons`.
        captures: how captures are read.
    """

    kind: str | None = None
    columns: ColumnMap = field(default_factory=ColumnMap)
    window: float | None = None
    any_state: bool = False
    captures: CaptureOptions = CaptureOptions()  # noqa: RUF009  (immutable)


@dataclass
class Summary:
    """What an ingest came to.

    Attributes:
        readings: the account of each input.
        probes: protocol number -> probes.
        first, last: stamps of the earliest and latest probe, us; None where there is none.
        seconds: wall time.
        forgotten: flows forgotten early for lack of room; see `FirstPackets`.
        removed: folders of earlier, killed runs that were removed.
    """

    readings: list[Reading] = field(default_factory=list)
    probes: Counter[int] = field(default_factory=Counter)
    first: int | None = None
    last: int | None = None
    seconds: float = 0.0
    forgotten: int = 0
    removed: list[Path] = field(default_factory=list)

    def count(self, probes: Probes) -> None:
        """Add a chunk."""
        if len(probes):
            udp = int(np.count_nonzero(probes.proto == UDP))
            for proto, count in ((TCP, len(probes) - udp), (UDP, udp)):
                if count:
                    self.probes[proto] += count
            first, last = int(probes.ts.min()), int(probes.ts.max())
            self.first = first if self.first is None else min(first, self.first)
            self.last = last if self.last is None else max(last, self.last)


def detect(path: Path) -> str:
    """Which of `KINDS` a file is, from its first (decompressed) bytes.

    Raises:
        InputError: no such file, or its beginning is none of theirs.
    """
    if Path(path).is_dir():
        raise InputError(f"{path}: is a folder; name the files in it")
    with open_stream(path) as stream:
        try:
            head = stream.read(4096) or b""
        except BROKEN_STREAM as error:
            raise InputError(f"{path}: byte 0: cannot be decompressed ({error})") from error
    if is_capture(head):
        return "pcap"
    if head.startswith(b"PAR1"):
        return "parquet"
    if head.startswith((b"#separator", b"#fields")) or head.lstrip()[:1] == b"{":
        return "zeek"
    line = head.partition(b"\n")[0]
    if any(mark in line for mark in b",;\t|") and b"\0" not in line:
        return "csv"
    raise InputError(
        f"{path}: byte 0: {head[:8].hex(' ') or 'nothing'} begins no capture, conn.log, CSV or Parquet file; "
        f"name the right file, or tell `portkin ingest` what it is with --format"
    )


def ingest(
    inputs: Sequence[Path],
    output: Path,
    options: IngestOptions | None = None,
    *,
    force: bool = False,
    append: bool = False,
    watch: Callable[[int], None] = lambda done: None,
) -> Summary:
    """Write the probes of the inputs, in the order given, as the dataset ``output``.

    Flows are remembered from one capture to the next, as rotated captures need it. An input that turns out
    to be broken midway keeps what came before (`Reading.problems`).

    Args:
        force: replace a dataset that is there, when the new one is whole.
        append: add to the dataset that is there; to nothing where there is none yet.
        watch: called now and then with the bytes of the inputs taken so far.

    Raises:
        InputError: an input cannot be opened or is of no known kind, ``output`` is taken, or the inputs were
            broken and gave nothing; no dataset is written then.
    """
    options = options or IngestOptions()
    begun = time.perf_counter()
    inputs = [Path(path) for path in inputs]
    kinds = [options.kind or detect(path) for path in inputs]
    window = probe_definition.WINDOW if options.window is None else round(options.window * 1_000_000)
    first = probe_definition.FirstPackets(window=window)
    summary = Summary()
    done = 0
    adding = ProbesWriter(output, force=force, append=append and Path(output).exists())
    with ThreadPoolExecutor(1, thread_name_prefix="sha256") as pool, adding as writer:
        seq = writer.rows
        digests = [pool.submit(_digest, path) for path in inputs]
        for path, kind in zip(inputs, kinds, strict=True):
            reading = Reading(str(path))
            summary.readings.append(reading)
            for found in _probes(path, kind, options, first, reading):
                probes = replace(found, seq=np.arange(seq, seq + len(found)))
                seq += len(probes)
                reading.probes += len(probes)
                summary.count(probes)
                writer.write(probes)
                watch(done + reading.position())
            done += path.stat().st_size
            watch(done)
        problems = [problem for reading in summary.readings for problem in reading.problems]
        if problems and not any(reading.read - reading.bad > 0 for reading in summary.readings):
            raise InputError(f"nothing could be read. {problems[0]}")
        summary.forgotten = first.forgotten
        summary.removed = writer.removed
        writer.about = _about(summary, options, window, [digest.result() for digest in digests])
    summary.seconds = time.perf_counter() - begun
    return summary


def _probes(
    path: Path, kind: str, options: IngestOptions, first: probe_definition.FirstPackets, reading: Reading
) -> Iterator[Probes]:
    if kind == "pcap":
        before = first.skipped.copy()
        for packets in read_capture(path, reading, options.captures):
            yield first.of_packets(packets, 0)
        reading.skipped.update(first.skipped - before)
        return
    match kind:
        case "zeek":
            chunks = read_conn_log(path, reading, any_state=options.any_state)
        case "csv":
            chunks = read_csv(path, options.columns, reading)
        case "parquet":
            chunks = read_parquet(path, options.columns, reading)
    if options.window is None:
        yield from chunks
        return
    before = first.skipped.copy()
    for probes in chunks:
        yield first.of_probes(probes)
    reading.skipped.update(first.skipped - before)


def _digest(path: Path) -> str:
    with path.open("rb") as opened:
        return hashlib.file_digest(opened, "sha256").hexdigest()


def _about(summary: Summary, options: IngestOptions, window: int, digests: list[str]) -> dict[str, Any]:
    """The manifest's account of where the probes came from."""
    return {
        "rules": {
            "version": probe_definition.VERSION,
            "window_s": window / 1_000_000,
            "any_state": options.any_state,
            "outer": options.captures.outer,
            "context": options.captures.context,
        },
        "columns": {
            "map": dict(options.columns.columns),
            "proto": options.columns.proto,
            "dst": options.columns.dst,
            "names": options.columns.names,
            "unit": options.columns.unit,
        },
        "protos": {str(proto): count for proto, count in sorted(summary.probes.items())},
        "sources": [
            {
                "name": Path(reading.path).name,
                "kind": reading.kind,
                "bytes": Path(reading.path).stat().st_size,
                "sha256": digest,
                "read": reading.read,
                "probes": reading.probes,
                "skipped": dict(reading.skipped.most_common()),
                "bad": reading.bad,
                "problems": reading.problems,
            }
            for reading, digest in zip(summary.readings, digests, strict=True)
        ],
    }
