"""How fast recorded traffic is replayed: the kernel against its plain reference, and a long trace from file to report.

The trace is made of the captures under tests/captures, repeated with changed addresses and later stamps, and labelled
as MAWILab labels its traces. All figures come from one run; the ratios compare what ran beside each other.
"""

from __future__ import annotations

import resource
import struct
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import numpy as np

from bench.figures import Figure, Size, Unit, Work, compare, script, timed
from portkin.bundles.table import default_table
from portkin_training.evaluation.labelled_replay import replay_labelled_captures
from portkin_training.evaluation.options import InputReport, ReplayOptions
from portkin_training.evaluation.results import CURVE_KS, CURVE_WINDOWS, ReplayResults
from portkin_training.replay.baselines import euclidean
from portkin_training.replay.blocking import Replay, Sweep, replay
from portkin_training.replay.events import SCAN, Events
from portkin_training.replay.matrices import matrix_of_rows
from portkin_training.replay.metrics import columns
from support.replay_reference import replay_plainly

CAPTURES = Path(__file__).resolve().parents[1] / "captures"
SNAPLEN = 96
PROBES = {"smoke": 5_000, "small": 100_000, "full": 200_000}
PACKETS = {"smoke": 20_000, "small": 2_000_000, "full": 100_000_000}
SPEED = Unit("probes/s", "more")


def probes(n: int) -> Events:
    """Probes of many sources, some of which sweep and some of which look for a few services."""
    rng = np.random.default_rng(5)
    group = np.minimum(rng.zipf(1.3, n), n // 4).astype(np.int64)
    service = rng.choice([22, 23, 80, 443, 445, 1433, 3306, 3389, 5900, 8080], n)
    code = np.where(group % 3 == 0, np.arange(n) % 60_000, service).astype(np.int32)
    every = np.ones(n, bool)
    ts = np.sort(rng.integers(0, 10 * 86_400_000_000, n))
    return Events(ts, group, code, every, np.full(n, SCAN, np.uint8), every, np.zeros(n, np.int32))


def kernel_and_reference(size: Size) -> Iterator[Figure]:
    """One K and one T, and a sweep of them, for which the reference needs a run for each pair."""
    n = PROBES[size]
    rows, nearest = probes(n), euclidean(None, 16)  # type: ignore[arg-type]
    one, sweep = Sweep((3,), (20_000.0,)), Sweep(CURVE_KS, CURVE_WINDOWS)
    pairs = len(CURVE_KS) * len(CURVE_WINDOWS)
    kept: dict[str, Any] = {}

    def kernel(sweep: Sweep) -> None:
        kept["kernel"] = replay(rows, nearest, sweep)

    def plainly() -> None:
        kept["reference"] = replay_plainly(rows, nearest, 3, 20_000.0)

    for warm in (one, sweep):
        Replay(nearest, warm, capacity=1).feed(rows[:1000])  # one that has to grow: all that is compiled is loaded
    reference = Work("plain Python", plainly, n)
    yield from compare(size, "replay, K = 3, T = 20000 s", Work("portkin", lambda: kernel(one), n), [reference], SPEED)
    found = {name: column.sum() for name, column in columns(kept["kernel"], 3, 20_000.0).items()}
    wanted = vars(kept["reference"])
    assert all(abs(wanted[name] - found[name]) < 1e-6 * max(1, wanted[name]) for name in wanted), (wanted, found)
    ours = Work("portkin", lambda: kernel(sweep), n * pairs, note=f"probes times {pairs} pairs of K and T")
    yield from compare(size, "replay, a sweep", ours, [reference], SPEED)


def records(path: Path) -> list[tuple[bytes, int, int]]:
    """The IPv4 frames of a small pcap, cut at the snap length, with their stamps (us) and original lengths."""
    data = path.read_bytes()
    found, at = [], 24
    while at + 16 <= len(data):
        seconds, fraction, captured, size = struct.unpack_from("<IIII", data, at)
        frame = data[at + 16 : at + 16 + min(captured, SNAPLEN)]
        if frame[12:14] == b"\x08\x00":
            found.append((frame, seconds * 1_000_000 + fraction, size))
        at += 16 + captured
    return found


def make_trace(path: Path, packets: int) -> tuple[int, int]:
    """Write about so many packets; (packets, repetitions) written. Every repetition has addresses of its own, the
    first 65,536 at least."""
    frames = [frame for name in ("scans", "browsing") for frame in records(CAPTURES / f"{name}.pcap")]
    first = min(stamp for _, stamp, _ in frames)
    frames.sort(key=lambda frame: frame[1])
    block, stamps, sources, at = bytearray(), [], [], 0
    for frame, stamp, size in frames:
        block += struct.pack("<IIII", 0, (stamp - first) % 1_000_000, len(frame), size) + frame
        stamps.append((at, (stamp - first) // 1_000_000))
        sources.append(at + 16 + 14 + 12)
        at += 16 + len(frame)
    many = max(1, min(packets, 2_000_000) // len(frames))  # repetitions in one write
    template = np.frombuffer(bytes(block) * many, np.uint8).copy()
    shift = np.repeat(np.arange(many) * len(block), len(frames))
    stamp_at = np.tile([a for a, _ in stamps], many) + shift
    source_at = np.tile(sources, many) + shift
    repetition = np.repeat(np.arange(many), len(frames))
    written = 0
    with path.open("wb") as out:
        out.write(struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, SNAPLEN, 1))
        for turn in range(max(1, -(-packets // (many * len(frames))))):
            number = repetition + turn * many
            seconds = 1_441_180_800 + (number * 900 // max(1, packets // len(frames))) + np.tile(
                [s for _, s in stamps], many
            )  # fmt: skip
            for byte in range(4):
                template[stamp_at + byte] = (seconds >> (8 * byte)) & 255
            for offset in (1, 2, 5, 6):  # the middle bytes of source and destination
                template[source_at + offset] = (number >> (8 if offset in (1, 5) else 0)) & 255
            out.write(template.tobytes())
            written += many * len(frames)
    return written, written // len(frames)


def make_labels(path: Path, repetitions: int) -> None:
    """Label the scanner of a hundred of the repetitions, and some of what MAWILab calls other things."""
    lines = ["anomalyID, srcIP, srcPort, dstIP, dstPort, taxonomy, heuristic, distance, nbDetectors, label"]
    for i in range(100):
        number = i * repetitions // 100
        lines.append(f"{i},198.{number >> 8 & 255}.{number & 255}.10,,,,ntscSYN,0.1,3,anomalous")
        lines.append(f"{i + 100},,443,198.{number >> 8 & 255}.{number & 255}.77,,mptp,0.1,3,suspicious")
    path.write_text("\n".join(lines) + "\n")


def long_trace(size: Size, *, dedupe: bool = False) -> Iterator[Figure]:
    """A labelled trace from file to results, once, and the memory it took."""
    with tempfile.TemporaryDirectory() as folder:
        capture, labels = Path(folder) / "201509021400.dump", Path(folder) / "labels.csv"
        written, repetitions = make_trace(capture, PACKETS[size])
        gib = capture.stat().st_size / 2**30
        make_labels(labels, min(repetitions, 65_536))
        small = Path(folder) / "small.dump"
        make_trace(small, 1)
        options = ReplayOptions(Sweep((0, 3), (15.0,), (3, 15.0)), dedupe=dedupe)
        if size != "smoke":
            replay_labelled_captures([small], [labels], default_table(), options, InputReport())  # compiles
        found: list[ReplayResults] = []
        spent = timed(
            lambda: found.append(replay_labelled_captures([capture], [labels], default_table(), options, InputReport()))
        )
    scans = next(iter(found[0].at().values())).probes
    note = f"{written:,} packets, {gib:.1f} GiB, {scans:,} of scans; table and Euclidean side by side"
    yield Figure(
        "labelled trace, file to results", written / spent.wall, "packets/s", "more", cpu=written / spent.cpu, note=note
    )
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    table = default_table()
    matrix = matrix_of_rows(table.rows, table.k).nbytes >> 20
    yield Figure("its peak memory", peak, "GiB", "less", note=f"the table's matrix of {matrix} MiB included")


def measure(size: Size) -> Iterator[Figure]:
    """The kernel, then a trace."""
    yield from kernel_and_reference(size)
    yield from long_trace(size)


if __name__ == "__main__":
    script(measure, __doc__)
