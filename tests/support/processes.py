"""What a command has started: which of it runs, and whether it ends with the command."""

from __future__ import annotations

import os
import subprocess
import time
from pathlib import Path


def descendants(process: int) -> set[int]:
    """The processes that a process has started, and these in turn, which have not ended."""
    started: dict[int, set[int]] = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            state, parent = stat.read_text().rpartition(")")[2].split()[:2]
        except OSError:
            continue
        if state != "Z":
            started.setdefault(int(parent), set()).add(int(stat.parent.name))
    found, new = set(), {process}
    while new:
        new = set().union(*(started.get(one, set()) for one in new))
        found |= new
    return found


def runs(process: int) -> bool:
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def ended(started: subprocess.Popen[bytes], number: int) -> int:
    """The status with which a command ends by a signal, once the two or more that it has started have ended too."""
    while len(found := descendants(started.pid)) < 2:
        assert started.poll() is None
        time.sleep(0.05)
    os.kill(started.pid, number)
    try:
        status = started.wait(60)
    except subprocess.TimeoutExpired:
        started.kill()
        raise
    until = time.monotonic() + 60  # idle ones stay for five minutes
    while any(map(runs, found)) and time.monotonic() < until:
        time.sleep(0.05)
    assert [] == [one for one in found if runs(one)]
    return status
