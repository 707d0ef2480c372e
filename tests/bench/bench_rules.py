"""What the rules cost Suricata: loading them, and packets per second with and without them.

    python tests/bench/bench_rules.py [--size smoke|small|full]
    python tests/bench/bench_rules.py --full                      loads 65,535 ports: minutes, gigabytes

Speeds are packets per second, Suricata's start and the loading of the rules taken off; look at those of processor time.
A capture is read some times over, its stamps shifted.
"""

from __future__ import annotations

import struct
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import dpkt
import numpy as np

from bench.figures import Figure, Size, Unit, Work, compare, missing, script
from bench.programs import program, quietly, watched
from portkin.table import Rows, Table, default_table, write_table
from portkin_rules.make import make_rules
from portkin_rules.plan import Plan
from support.suricata import unpacked, write_config

HERE = Path(__file__).resolve().parent
DATA = HERE.parents[2] / "shared" / "data" / "pcaps"
CAPTURES = [DATA / "benign-echo-connections.pcap.gz", DATA / "nmap.pcapng"]
OWN = HERE.parent / "captures" / "scans.pcap"
"""Where the recordings are not here."""
TIMES = {"smoke": 20, "small": 5, "full": 10}
"""How often a capture is read over."""
DISTRIBUTION = Path("/etc/suricata/rules")


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


def loading(suricata: str, config: Path, folder: Path, *, full: bool = False) -> Iterator[Figure]:
    """What `suricata -T` takes for sets of rules, beside none."""
    nothing = folder / "nothing.rules"
    nothing.write_text("")
    test = [suricata, "-T", "-c", config, "-l", folder, "-S"]
    bare = watched(*test, nothing)
    table, ports = (full_table(folder / "table", 3), 65_535) if full else (default_table(), 1_000)
    for mode in ("hostbit", "both"):
        rules = folder / f"{mode}.rules"
        make_rules(Plan(mode=mode), table, str(ports), rules)
        used = watched(*test, rules)
        what = f"rules of {ports:,} ports, K = 3, mode {mode}, loaded"
        note = f"{rules.stat().st_size / 1e6:.1f} MB of rules; suricata -T"
        yield Figure(what, used.wall, "s", "less", "no rules", bare.wall, None, used.cpu, bare.cpu, note=note)
        yield Figure(f"{what}, peak memory", used.memory, "MiB", "less", "no rules", bare.memory)


def speeds(size: Size, suricata: str, config: Path, folder: Path, captures: list[Path], times: int) -> Iterator[Figure]:
    """Suricata with the rules and without them, alone and beside those of the distribution."""
    ours = folder / "portkin.rules"
    make_rules(Plan(), default_table(), "1000", ours)
    bases = {"": ""}
    theirs = sorted(DISTRIBUTION.glob("*.rules"))
    if theirs and size != "smoke":
        text = "".join(path.read_text(encoding="utf-8") for path in theirs)
        bases[" beside the distribution's"] = text
    for capture in captures:
        # A second or so of packets a run: what is left of starting and ending is then small.
        long, packets = lengthened(capture, folder, times)
        short, few = lengthened(capture, folder, 1)
        for name, base in bases.items():
            works = []
            for kind, text in (("with", base + ours.read_text(encoding="utf-8")), ("without", base)):
                file = folder / f"{kind}{len(base)}.rules"
                file.write_text(text, encoding="utf-8")
                command = [suricata, "-c", config, "-S", file, "-l", folder, "-k", "none", "--runmode=single", "-r"]
                works.append(
                    Work(
                        f"{kind} the rules",
                        lambda command=command, at=long: quietly(*command, at),
                        packets - few,
                        lambda command=command, at=short: quietly(*command, at),
                    )
                )
            what = f"Suricata with the rules{name}, {capture.name.partition('.')[0]}"
            yield from compare(size, what, works[0], works[1:], Unit("packets/s", "more"))


def measure(size: Size, *, full: bool = False) -> Iterator[Figure]:
    """Loading, then speeds."""
    suricata = program("suricata")
    if suricata is None:
        yield missing("Suricata with the rules", "no suricata on PATH")
        return
    captures = [path for path in CAPTURES if path.exists() and size != "smoke"] or [OWN]
    with tempfile.TemporaryDirectory(prefix="portkin-bench-") as name:
        folder = Path(name)
        config = write_config(folder)
        yield from loading(suricata, config, folder, full=full)
        yield from speeds(size, suricata, config, folder, captures, TIMES[size])


def main() -> None:
    """The common table's figures, or with ``--full`` those of all ports."""
    if sys.argv[1:] == ["--full"]:
        for figure in measure("full", full=True):
            print(figure, flush=True)
    else:
        script(measure, __doc__)


if __name__ == "__main__":
    main()
