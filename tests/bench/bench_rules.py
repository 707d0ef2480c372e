"""What the rules cost Suricata: loading them, and packets per second with and without them.

    python tests/bench/bench_rules.py [--repeats N] [--times N] [--full] [CAPTURE ...]

Speeds are packets per second of Suricata's processor time (user and system), its start and the loading of the rules
taken off: wall time on a shared machine says more about the neighbors. Runs with and without the rules take turns, and
the ratio is the median of those of neighboring runs. Captures are read `--times` times over, their stamps shifted.
"""

from __future__ import annotations

import argparse
import os
import statistics
import struct
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import dpkt
import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from portkin.table import Rows, Table, default_table, write_table
from portkin_rules.make import make_rules
from portkin_rules.plan import Plan
from support.suricata import unpacked, write_config

HERE = Path(__file__).resolve().parent
DATA = HERE.parents[2] / "shared" / "data" / "pcaps"
CAPTURES = [DATA / "benign-echo-connections.pcap.gz", DATA / "nmap.pcapng"]
DISTRIBUTION = Path("/etc/suricata/rules")


def run(*command: str | Path) -> tuple[float, float, float]:
    """Wall seconds, processor seconds and MiB at most of a command that must succeed."""
    began = time.monotonic()
    process = subprocess.Popen([str(word) for word in command], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    memory = 0.0
    # What wait4 says of memory would count that of this process, from which the other was forked.
    while not (ended := os.wait4(process.pid, os.WNOHANG))[0]:
        memory = max(memory, peak(process.pid))
        time.sleep(0.01)
    _, status, used = ended
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise SystemExit(f"{' '.join(map(str, command))}: status {process.returncode}")
    return time.monotonic() - began, used.ru_utime + used.ru_stime, memory


def peak(pid: int) -> float:
    """MiB at most that a process has had in memory so far; 0 where it is gone."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) / 1024
    return 0.0


def lengthened(capture: Path, folder: Path, times: int) -> tuple[Path, int]:
    """The capture so many times over, one second between the copies, and how many packets that is."""
    plain = unpacked(capture, folder)
    with plain.open("rb") as opened:
        reader = dpkt.pcapng.Reader(opened) if plain.suffix == ".pcapng" else dpkt.pcap.Reader(opened)
        link, packets = reader.datalink(), [(float(ts), bytes(frame)) for ts, frame in reader]
    first = packets[0][0]
    length = packets[-1][0] - first + 1
    long = folder / f"{capture.stem}-{times}.pcap"
    with long.open("wb") as opened:
        opened.write(struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 65535, link))
        for copy in range(times):
            for ts, frame in packets:
                when = ts + copy * length
                head = struct.pack("<IIII", int(when), int(when % 1 * 1e6), len(frame), len(frame))
                opened.write(head + frame)
    return long, len(packets) * times


def full_table(folder: Path, k: int) -> Table:
    """A table that knows every TCP port but 0, its nearest ports drawn by chance (seed 1)."""
    rng = np.random.default_rng(1)
    ports = np.arange(1, 65536, dtype=np.uint16)
    offsets = np.sort(rng.choice(np.arange(1, 65535), (len(ports), k)), axis=1)
    near = ((ports[:, None].astype(np.int64) - 1 + offsets) % 65535 + 1).astype(np.uint16)
    distances = np.tile(np.arange(1, k + 1, dtype=np.float32), (len(ports), 1))
    return write_table(folder, {"tcp": Rows(ports, near, distances)}, method="by chance")


def loading(suricata: str, config: Path, folder: Path, full: bool) -> None:
    """Print what `suricata -T` takes for sets of rules."""
    nothing = folder / "nothing.rules"
    nothing.write_text("")
    sets = [("no rules", nothing)]
    for mode in ("hostbit", "both"):
        rules = folder / f"{mode}.rules"
        make_rules(Plan(mode=mode), default_table(), "1000", rules)
        sets.append((f"1,000 ports, K = 3, {mode}", rules))
    if full:
        table = full_table(folder / "table", 3)
        for mode in ("hostbit", "both"):
            rules = folder / f"full-{mode}.rules"
            began = time.monotonic()
            make_rules(Plan(mode=mode), table, "65535", rules)
            size = rules.stat().st_size / 1e6
            print(f"  (65,535 ports, {mode}: written in {time.monotonic() - began:.1f} s, {size:.0f} MB)", flush=True)
            sets.append((f"65,535 ports, K = 3, {mode}", rules))
    print(f"{'suricata -T':34} {'wall s':>8} {'cpu s':>8} {'MiB':>7}", flush=True)
    for name, rules in sets:
        wall, cpu, memory = run(suricata, "-T", "-c", config, "-S", rules, "-l", folder)
        print(f"{name:34} {wall:8.2f} {cpu:8.2f} {memory:7.0f}", flush=True)


def speeds(suricata: str, config: Path, folder: Path, captures: list[Path], times: int, repeats: int) -> None:
    """Print packets per second with and without the rules, alone and beside those of the distribution."""
    ours = folder / "portkin.rules"
    make_rules(Plan(), default_table(), "1000", ours)
    bases = {"no other rules": ""}
    theirs = sorted(DISTRIBUTION.glob("*.rules"))
    if theirs:
        bases["the distribution's"] = "".join(path.read_text(encoding="utf-8") for path in theirs)
    print(f"\n{'capture':26} {'beside':20} {'without /s':>11} {'with /s':>11} {'ratio':>6}  of each turn", flush=True)
    for capture in captures:
        # A second or so of packets a run: what is left of starting and ending is then small.
        long, packets = lengthened(capture, folder, times)
        short, few = lengthened(capture, folder, 1)
        for name, base in bases.items():
            files = []
            for kind, text in (("without", base), ("with", base + ours.read_text(encoding="utf-8"))):
                file = folder / f"{kind}.rules"
                file.write_text(text, encoding="utf-8")
                files.append(file)
            rates: list[list[float]] = [[], []]
            for _ in range(repeats):
                for at, file in enumerate(files):
                    options = ["-c", config, "-S", file, "-l", folder, "-k", "none", "--runmode=single"]
                    cpu = run(suricata, *options, "-r", long)[1] - run(suricata, *options, "-r", short)[1]
                    rates[at].append((packets - few) / cpu)
            ratios = [there / bare for bare, there in zip(*rates, strict=True)]
            turns = " ".join(f"{ratio:.2f}" for ratio in ratios)
            without, having = map(statistics.median, rates)
            ratio = statistics.median(ratios)
            print(
                f"{capture.stem[:26]:26} {name:20} {without:11,.0f} {having:11,.0f} {ratio:6.2f}  {turns}", flush=True
            )


def main() -> None:
    """Print loading times and speeds."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("captures", nargs="*", type=Path, default=[path for path in CAPTURES if path.exists()])
    parser.add_argument("--times", type=int, default=10, help="read each capture so many times over [10]")
    parser.add_argument("--repeats", type=int, default=5, help="turns with and without the rules [5]")
    parser.add_argument("--full", action="store_true", help="also load 65,535 ports: minutes, gigabytes")
    parser.add_argument("--suricata", default="suricata")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="portkin-bench-") as name:
        folder = Path(name)
        config = write_config(folder)
        loading(options.suricata, config, folder, options.full)
        if options.captures:
            speeds(options.suricata, config, folder, options.captures, options.times, options.repeats)


if __name__ == "__main__":
    main()
