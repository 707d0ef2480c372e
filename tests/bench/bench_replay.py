"""How fast recorded traffic is replayed: the kernel against its plain reference, and a long trace from file to report.

    python tests/bench/bench_replay.py [--probes 200000] [--packets 10000000] [--dedupe]

The trace is made of the captures under tests/captures, repeated with changed addresses and later stamps, and labelled
as MAWILab labels its traces. All figures come from one run; the ratios compare what ran beside each other.
"""

from __future__ import annotations

import argparse
import resource
import struct
import tempfile
import time
from pathlib import Path

import numpy as np

from portkin.table import default_table
from portkin_training.replay.baselines import euclidean
from portkin_training.replay.blocking import Replay, Sweep, replay
from portkin_training.replay.events import SCAN, Events
from portkin_training.replay.predictors import matrix_of
from portkin_training.replay.reference import replay_plainly
from portkin_training.replay.studies import Account, Options, study_traces
from portkin_training.replay.study import CURVE_KS, CURVE_WINDOWS

CAPTURES = Path(__file__).resolve().parents[1] / "captures"
SNAPLEN = 96


def probes(n: int) -> Events:
    """Probes of many sources, some of which sweep and some of which look for a few services."""
    rng = np.random.default_rng(5)
    group = np.minimum(rng.zipf(1.3, n), n // 4).astype(np.int64)
    service = rng.choice([22, 23, 80, 443, 445, 1433, 3306, 3389, 5900, 8080], n)
    code = np.where(group % 3 == 0, np.arange(n) % 60_000, service).astype(np.int32)
    every = np.ones(n, bool)
    ts = np.sort(rng.integers(0, 10 * 86_400_000_000, n))
    return Events(ts, group, code, every, np.full(n, SCAN, np.uint8), every, np.zeros(n, np.int32))


def kernel_and_reference(n: int) -> None:
    """Time one K and one T, and a sweep of them; the reference needs a run for each of a sweep's pairs."""
    rows, nearest = probes(n), euclidean(None, 16)  # type: ignore[arg-type]
    one, sweep = Sweep((3,), (20_000.0,)), Sweep(CURVE_KS, CURVE_WINDOWS)
    for warm in (one, sweep):
        Replay(nearest, warm).feed(rows[:1000])
    seconds = {}
    for name, chosen in (("one", one), ("sweep", sweep)):
        begun = time.perf_counter()
        replay(rows, nearest, chosen)
        seconds[name] = time.perf_counter() - begun
    begun = time.perf_counter()
    replay_plainly(rows, nearest, 3, 20_000.0)
    plain = time.perf_counter() - begun
    pairs = len(CURVE_KS) * len(CURVE_WINDOWS)
    print(f"{n:,} probes")
    print(f"  K = 3, T = 20000 s: kernel {seconds['one']:.3f} s ({n / seconds['one'] / 1e6:.1f} M probes/s), "
          f"reference {plain:.2f} s: {plain / seconds['one']:.0f} times")  # fmt: skip
    print(f"  {pairs} pairs of K and T: kernel {seconds['sweep']:.2f} s, reference about {pairs * plain:.0f} s "
          f"({pairs} times the above): {pairs * plain / seconds['sweep']:.0f} times")  # fmt: skip


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
    many = max(1, 2_000_000 // len(frames))  # repetitions in one write
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


def long_trace(packets: int, dedupe: bool) -> None:
    """Time a labelled trace from file to study, and measure the memory it took."""
    with tempfile.TemporaryDirectory() as folder:
        capture, labels = Path(folder) / "201509021400.dump", Path(folder) / "labels.csv"
        written, repetitions = make_trace(capture, packets)
        size = capture.stat().st_size
        make_labels(labels, min(repetitions, 65_536))
        small = Path(folder) / "small.dump"
        make_trace(small, 1)
        options = Options(Sweep((0, 3), (15.0,), (3, 15.0)), dedupe=dedupe)
        study_traces([small], [labels], default_table(), options, Account())  # compiles
        before = time.perf_counter()
        study = study_traces([capture], [labels], default_table(), options, Account())
        study.as_dict()
        taken = time.perf_counter() - before
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    found = next(iter(study.at().values()))
    print(f"{written:,} packets, {size / 2**30:.1f} GiB, {found.probes:,} of scans, dedupe {'on' if dedupe else 'off'}")
    print(f"  file to study, table and Euclidean side by side: {taken:.1f} s, {written / taken / 1e6:.2f} M packets/s")
    print(f"  peak memory {peak:.2f} GiB, matrix of the table included ({matrix_of(default_table()).nbytes >> 20} MiB)")


def main() -> None:
    """Print all figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--probes", type=int, default=200_000)
    parser.add_argument("--packets", type=int, default=10_000_000)
    parser.add_argument("--dedupe", action="store_true")
    arguments = parser.parse_args()
    kernel_and_reference(arguments.probes)
    long_trace(arguments.packets, arguments.dedupe)


if __name__ == "__main__":
    main()
