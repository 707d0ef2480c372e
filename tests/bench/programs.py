"""Other people's programs: where they are, and running them."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path


def program(name: str) -> str | None:
    """Where a program is, in PATH or where its package puts it; None where it is not."""
    return shutil.which(name) or shutil.which(name, path="/opt/zeek/bin:/usr/sbin:/sbin")


def quietly(*command: str | Path) -> None:
    """Run a command that must succeed; nobody reads what it says."""
    subprocess.run([str(word) for word in command], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=True)


@dataclass(frozen=True)
class Used:
    """Seconds by the clock, seconds of the processor, and MiB at most in memory."""

    wall: float
    cpu: float
    memory: float


def watched(*command: str | Path) -> Used:
    """Run a command that must succeed, and look at its memory. CalledProcessError where it fails."""
    words = [str(word) for word in command]
    began = time.monotonic()
    process = subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    memory = 0.0
    # What wait4 says of memory would count that of this process, from which the other was forked.
    while not (ended := os.wait4(process.pid, os.WNOHANG))[0]:
        memory = max(memory, _peak(process.pid))
        time.sleep(0.01)
    _, status, used = ended
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise subprocess.CalledProcessError(process.returncode, words)
    return Used(time.monotonic() - began, used.ru_utime + used.ru_stime, memory)


def _peak(pid: int) -> float:
    """MiB at most that a process has had in memory so far; 0 where it is gone."""
    found = re.search(r"VmHWM:\s+(\d+)", Path(f"/proc/{pid}/status").read_text(encoding="utf-8"))
    return int(found[1]) / 1024 if found else 0.0
