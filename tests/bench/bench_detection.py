"""What the package costs Zeek for a packet: instructions with it, with the cluster backend under its WebSocket too, and
without, of a scan and of benign traffic.

    python tests/bench/bench_detection.py [--size smoke|small|full]

Counted under valgrind's callgrind, for minutes: instructions are the same in every run, whatever else the machine does.
Zeek runs with its default scripts; what its start costs is taken off.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from bench.figures import Figure, Size, missing, script
from bench.programs import program
from bench.rules_captures import beginning, lengthened
from support.zeek_process import SCRIPTS

HERE = Path(__file__).resolve().parent
DATA = HERE.parents[2] / "shared" / "data" / "pcaps"
CAPTURES = {
    "a scan by nmap": (DATA / "nmap.pcapng", "192.168.181.1/32"),
    "benign connections": (DATA / "benign-echo-connections.pcap.gz", "127.0.0.1/32"),
}
"""Each with the nets that are protected in it."""
OWN = HERE.parent / "captures" / "scans.pcap", "192.0.2.0/24"
"""Where the recordings are not here."""


def counted(zeek: str, folder: Path, capture: Path, *scripts: str) -> int:
    """Instructions of Zeek over a capture."""
    command = ["valgrind", "--tool=callgrind", "--callgrind-out-file=/dev/null", zeek, "-C", "-r", str(capture)]
    ran = subprocess.run([*command, *scripts], cwd=folder, capture_output=True, text=True, check=True)
    return int(ran.stderr.rpartition("Collected :")[2].split()[0])


def measure(size: Size) -> Iterator[Figure]:
    """With the package and without it, per packet."""
    zeek = program("zeek")
    name = "Zeek with the package"
    if zeek is None or program("valgrind") is None or size == "smoke":
        yield missing(name, "needs zeek, valgrind, and more than the smallest size")
        return
    captures = {what: one for what, one in CAPTURES.items() if one[0].exists()} or {"own scans": OWN}
    with tempfile.TemporaryDirectory(prefix="portkin-bench-") as place:
        folder = Path(place)
        for what, (capture, protected) in captures.items():
            whole, packets = lengthened(capture, folder, 1)
            start = beginning(capture, folder, 2)
            package = [str(SCRIPTS), f"Portkin::protected_nets={{{protected}}}"]
            # not the WebSocket itself: decisions that no sidecar answers end sooner, and there would be more of them
            backend = [*package, str(SCRIPTS / "backend.zeek"), str(HERE / "end-of-capture.zeek")]

            def cost(*scripts: str, whole: Path = whole, start: Path = start, packets: int = packets) -> float:
                used = counted(zeek, folder, whole, *scripts) - counted(zeek, folder, start, *scripts)
                return used / (packets - 2)

            without = cost()
            for more, scripts in (("", package), (" and its cluster backend", backend)):
                having = cost(*scripts)
                note = f"{packets} packets; {having / without:.3f} times as many"
                peer = "without it", without, without / having
                yield Figure(f"{name}{more}, {what}", having, "instructions/packet", "less", *peer, note=note)


if __name__ == "__main__":
    script(measure, __doc__)
