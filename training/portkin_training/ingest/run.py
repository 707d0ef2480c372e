"""The whole of ingest: recordings of any kind in, one probes dataset out."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from portkin_training.core.dataset import exists
from portkin_training.core.dataset_writer import ProbesWriter
from portkin_training.core.doubtful_times import doubtful_times
from portkin_training.core.places import Place
from portkin_training.core.probes import Probes
from portkin_training.core.protocols import TCP, UDP
from portkin_training.ingest import probe_definition, twice
from portkin_training.ingest.ahead import ahead
from portkin_training.ingest.captures.packets import Packets
from portkin_training.ingest.inputs import InputOptions, read_input, refuse_nothing, session_us
from portkin_training.ingest.reading import Reading
from portkin_training.ingest.streams import is_compressed
from portkin_training.ingest.time_order import EMPTY, by_time, in_time_order
from portkin_training.ingest.values.stamps import DAY


@dataclass(frozen=True)
class IngestOptions(InputOptions):
    """How inputs are read, and what is one probe.

    Attributes:
        window: seconds within which a repetition is the same probe; None: `probe_definition.WINDOW`, and none for
            records that name no source port.
    """

    window: float | None = None


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
        days: day since 1970, UTC -> probes.
        warnings: what is odd about the result as a whole, for people.
    """

    readings: list[Reading] = field(default_factory=list)
    probes: Counter[int] = field(default_factory=Counter)
    first: int | None = None
    last: int | None = None
    seconds: float = 0.0
    forgotten: int = 0
    removed: list[str] = field(default_factory=list)
    days: Counter[int] = field(default_factory=Counter)
    warnings: list[str] = field(default_factory=list)

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
            if first // DAY == last // DAY:
                self.days[first // DAY] += len(probes)
            else:
                days, counts = np.unique(probes.ts // DAY, return_counts=True)
                self.days.update(dict(zip(days.tolist(), counts.tolist(), strict=True)))

    def doubtful_times(self) -> Iterator[str]:
        """A sentence for each group of probes whose stamps cannot be, or lie far from all others."""
        yield from doubtful_times(self.days, "probes")


def ingest(
    inputs: Sequence[Path],
    output: Place,
    options: IngestOptions | None = None,
    *,
    force: bool = False,
    append: bool = False,
    again: bool = False,
    watch: Callable[[int], None] = lambda done: None,
) -> Summary:
    """Write the probes of the inputs as the dataset ``output``, a folder or a URL.

    Inputs are taken in the order given, those of one kind that stand together by their times (`in_time_order`).
    Flows are remembered from one input to the next, as rotated files need it. An input that turns out to be broken
    midway keeps what came before (`Reading.problems`).

    Args:
        force: replace a dataset that is there, when the new one is whole.
        append: add to the dataset that is there; to nothing where there is none yet.
        again: count an input that is in the dataset already, or is another input (`twice`).
        watch: called now and then with the bytes of the inputs taken so far.

    Raises:
        InputError: an input cannot be opened or is of no known kind, or would count twice; ``output`` is taken, or
            no input gave a probe; no dataset is written then, and none replaced.
    """
    options = options or IngestOptions()
    begun = time.perf_counter()
    ordered = in_time_order([Path(path) for path in inputs], options)
    inputs = [one.path for one in ordered]
    window = probe_definition.WINDOW if options.window is None else round(options.window * 1_000_000)
    memories = {
        session: probe_definition.FirstPackets(window=session or window)
        for session in {session_us(one.kind) if options.window is None else 0 for one in ordered}
    }
    summary = Summary()
    done = 0
    adding = ProbesWriter(output, force=force, append=append and exists(output))
    with ThreadPoolExecutor(1, thread_name_prefix="sha256") as pool, adding as writer:
        seq = writer.rows
        digests = [twice.Digest(path, pool) for path in inputs]
        if not again:
            twice.refuse_known(inputs, digests, writer.before)
        for one, digest in zip(ordered, digests, strict=True):
            if one.kind != "pcap" or is_compressed(one.path):
                digest.begin()
        for one, digest in zip(ordered, digests, strict=True):
            reading = Reading(str(one.path), one.kind, taken=None if digest.begun else digest.take)
            summary.readings.append(reading)
            if one.kind == EMPTY:
                continue
            first = memories[session_us(one.kind) if options.window is None else 0]
            how = replace(options, kind=one.kind, columns=replace(options.columns, year=one.year))
            for found in _probes(one.path, how, first, reading):
                probes = replace(found, seq=np.arange(seq, seq + len(found)))
                seq += len(probes)
                reading.probes += len(probes)
                summary.count(probes)
                writer.write(probes)
                watch(done + reading.position())
            done += one.path.stat().st_size
            watch(done)
        refuse_nothing(summary.readings, sum(summary.probes.values()))
        summary.forgotten = sum(first.forgotten for first in memories.values())
        summary.warnings = [*summary.doubtful_times()]
        writer.about = _about(summary, options, window, [digest.result() for digest in digests])
    summary.removed = writer.removed
    summary.seconds = time.perf_counter() - begun
    return summary


def _probes(
    path: Path, options: IngestOptions, first: probe_definition.FirstPackets, reading: Reading
) -> Iterator[Probes]:
    """The probes of one input; ``first`` knows what came in those before it."""
    before = first.skipped.copy()
    chunks = read_input(path, reading, options)
    for chunk in ahead(chunks) if options.kind == "pcap" else by_time(chunks):
        if isinstance(chunk, Packets):
            yield first.of_packets(chunk, 0)
        else:
            yield first.of_probes(chunk, portless=options.window is not None)
    reading.skipped.update(first.skipped - before)


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
            "tz": options.columns.tz,
        },
        "protos": {str(proto): count for proto, count in sorted(summary.probes.items())},
        "sources": [
            {
                "name": Path(reading.path).name,
                "kind": reading.kind,
                "bytes": Path(reading.path).stat().st_size,
                "sha256": digest,
                "begin": twice.begin(Path(reading.path)),
                **reading.account(),
            }
            for reading, digest in zip(summary.readings, digests, strict=True)
        ],
    }
