"""What the rules cost Suricata: loading them, and packets per second with and without them.

    python tests/bench/bench_rules.py [--size smoke|small|full]
    python tests/bench/bench_rules.py --full                      loads 65,535 ports: minutes, a gigabyte
    python tests/bench/bench_rules.py --instructions [CAPTURE..]  counts instructions under valgrind: minutes

Speeds are packets per second, Suricata's start and the loading of the rules taken off; look at those of processor time.
A capture is read some times over, its stamps shifted. Where the machine has other work to do, instructions for a packet
say more: they are the same in every run.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import numpy as np

from bench.figures import Figure, Size, Unit, Work, compare, missing, script
from bench.programs import program, quietly, watched
from bench.rules_captures import beginning, lengthened, share_of_syns, web
from portkin.bundles.table import Rows, Table, default_table, write_table
from portkin_rules.build import write_port_rules
from portkin_rules.plan import Plan
from support.suricata import write_config

HERE = Path(__file__).resolve().parent
DATA = HERE.parents[2] / "shared" / "data" / "pcaps"
CAPTURES = [DATA / "benign-echo-connections.pcap.gz", DATA / "nmap.pcapng"]
OWN = HERE.parent / "captures" / "scans.pcap"
"""Where the recordings are not here."""
PACKETS = {"smoke": 20_000, "small": 300_000, "full": 1_000_000}
"""How many packets a run reads at least; Suricata alone does more than a million a second."""
DISTRIBUTION = Path("/etc/suricata/rules")


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
        write_port_rules(Plan(mode=mode), table, str(ports), rules)
        used = watched(*test, rules)
        what = f"rules of {ports:,} ports, K = 3, mode {mode}, loaded"
        note = f"{rules.stat().st_size / 1e6:.1f} MB of rules; suricata -T"
        yield Figure(what, used.wall, "s", "less", "no rules", bare.wall, None, used.cpu, bare.cpu, note=note)
        yield Figure(f"{what}, peak memory", used.memory, "MiB", "less", "no rules", bare.memory)


def sets(folder: Path, *, alone: bool = False) -> Iterator[tuple[str, Path, Path]]:
    """What our rules stand beside, and files of rules with and without them."""
    ours = folder / "portkin.rules"
    write_port_rules(Plan(), default_table(), "1000", ours)
    bases = {"": ""}
    theirs = sorted(DISTRIBUTION.glob("*.rules"))
    if theirs and not alone:
        bases[" beside the distribution's"] = "".join(path.read_text(encoding="utf-8") for path in theirs)
    for number, (name, base) in enumerate(bases.items()):
        having, without = folder / f"with{number}.rules", folder / f"without{number}.rules"
        having.write_text(base + ours.read_text(encoding="utf-8"), encoding="utf-8")
        without.write_text(base, encoding="utf-8")
        yield name, having, without


def reading(suricata: str, config: Path, folder: Path, rules: Path) -> list[str | Path]:
    """Suricata over the capture that follows, in order of its packets."""
    return [suricata, "-c", config, "-S", rules, "-l", folder, "-k", "none", "--runmode=single", "-r"]


def speeds(size: Size, suricata: str, config: Path, folder: Path, captures: list[Path]) -> Iterator[Figure]:
    """Suricata with the rules and without them, alone and beside those of the distribution."""
    for capture in captures:
        # Some seconds of packets a run: what is left of starting and ending is then small.
        long, packets = lengthened(capture, folder, PACKETS[size])
        short, few = lengthened(capture, folder, 1)
        note = f"{100 * share_of_syns(short):.1f} % SYNs"
        for name, *files in sets(folder, alone=size == "smoke"):
            works = []
            for kind, file in zip(("with", "without"), files, strict=True):
                command = reading(suricata, config, folder, file)
                works.append(
                    Work(
                        f"{kind} the rules",
                        lambda command=command, at=long: quietly(*command, at),
                        packets - few,
                        lambda command=command, at=short: quietly(*command, at),
                        note if kind == "with" else "",
                    )
                )
            what = f"Suricata with the rules{name}, {capture.name.partition('.')[0]}"
            yield from compare(size, what, works[0], works[1:], Unit("packets/s", "more"))


def instructions(suricata: str, config: Path, folder: Path, captures: list[Path]) -> Iterator[Figure]:
    """What Suricata's processor does for a packet, with the rules and without them, its start taken off."""

    def counted(rules: Path, capture: Path) -> int:
        counting = ["valgrind", "--tool=callgrind", "--callgrind-out-file=/dev/null"]
        words = [str(word) for word in [*counting, *reading(suricata, config, folder, rules), capture]]
        said = subprocess.run(words, capture_output=True, text=True, check=True).stderr
        return int(said.rpartition("Collected :")[2].split()[0])

    for capture in captures:
        whole, packets = lengthened(capture, folder, 1)
        start = beginning(capture, folder, 2)
        for name, *files in sets(folder):
            having, without = ((counted(file, whole) - counted(file, start)) / (packets - 2) for file in files)
            what = f"Suricata with the rules{name}, {capture.name.partition('.')[0]}"
            peer = "without the rules", without, without / having
            yield Figure(what, having, "instructions/packet", "less", *peer, note=f"{packets} packets")


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
        if size != "smoke" and (made := web(folder)):
            captures.append(made)
        yield from speeds(size, suricata, config, folder, captures)


def counts(captures: list[Path]) -> Iterator[Figure]:
    """Instructions for a packet of these captures, or of those that speeds are measured with."""
    with tempfile.TemporaryDirectory(prefix="portkin-bench-") as name:
        folder = Path(name)
        if not captures:
            captures = [path for path in CAPTURES if path.exists()] or [OWN]
            captures += [made] if (made := web(folder)) else []
        yield from instructions(program("suricata") or "suricata", write_config(folder), folder, captures)


def main() -> None:
    """The common table's figures, or with ``--full`` those of all ports, or instructions."""
    if sys.argv[1:] == ["--full"]:
        for figure in measure("full", full=True):
            print(figure, flush=True)
    elif sys.argv[1:2] == ["--instructions"]:
        for figure in counts([Path(word) for word in sys.argv[2:]]):
            print(figure, flush=True)
    else:
        script(measure, __doc__)


if __name__ == "__main__":
    main()
