"""The machine that figures come from."""

from __future__ import annotations

import os
import platform
import re
import subprocess
from importlib import metadata
from pathlib import Path

from bench.programs import program

PACKAGES = (
    "numpy", "numba", "scipy", "duckdb", "pyarrow", "torch", "onnxruntime", "websockets",
    "networkx", "igraph", "dpkt", "scapy",
)  # fmt: skip
PROGRAMS = {
    "zeek": ("zeek", "--version"),
    "suricata": ("suricata", "-V"),
    "tshark": ("tshark", "--version"),
    "nft": ("nft", "--version"),
}


def describe() -> dict[str, str]:
    """Processor, memory, kernel, and the version of everything that is measured; "absent" where it is not here."""
    kib = int(_first(r"MemTotal:\s*(\d+)", "/proc/meminfo"))
    found = {
        "processor": _first(r"model name\s*: (.*)", "/proc/cpuinfo"),
        "cores": str(len(os.sched_getaffinity(0))),
        "memory": f"{kib / 2**20:.1f} GiB",
        "kernel": platform.release(),
        "python": platform.python_version(),
    }
    for name in PACKAGES:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            found[name] = "absent"
    for name, (command, option) in PROGRAMS.items():
        found[name] = _version(command, option)
    return found


def _version(command: str, option: str) -> str:
    path = program(command)
    if path is None:
        return "absent"
    ended = subprocess.run([path, option], capture_output=True, text=True, timeout=30, check=False)
    number = re.search(r"\d+\.\d[\w.-]*", ended.stdout + ended.stderr)
    return number[0] if number else "unknown"


def _first(pattern: str, path: str) -> str:
    found = re.search(pattern, Path(path).read_text(encoding="utf-8"))
    return found[1].strip() if found else "0"
