"""A real ``portkin serve`` in a process of its own."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any


class SidecarProcess:
    """Runs ``portkin serve`` with settings in a file; its log, JSON lines, is in ``log``."""

    def __init__(self, folder: Path, settings: dict[str, Any], *flags: str) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._file = folder / "portkin.yaml"
        self._file.write_text(json.dumps(settings), encoding="utf-8")  # JSON is YAML
        self._log = folder / "sidecar.log"
        self._flags = flags
        self.process: subprocess.Popen[bytes] | None = None
        self.prefix: list[str] = []
        """What becomes the process, as ``ip netns exec NAME``."""

    def start(self) -> SidecarProcess:
        command = [*self.prefix, sys.executable, "-m", "portkin.cli", "serve", "-c", str(self._file), *self._flags]
        with self._log.open("ab") as log:
            self.process = subprocess.Popen(command, stdout=log, stderr=log)
        return self

    def __enter__(self) -> SidecarProcess:
        return self.start()

    def __exit__(self, *_: object) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()

    def signal(self, number: int) -> None:
        os.kill(self.process.pid, number)

    @property
    def text(self) -> str:
        return self._log.read_text(encoding="utf-8")

    @property
    def log(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.text.splitlines() if line.startswith("{")]

    def wait_for(self, event: str, *, count: int = 1, timeout: float = 60.0) -> dict[str, Any]:
        """The entry of that event in the log, the count-th; AssertionError, with the log, where none comes."""
        return until(
            lambda: next(iter([e for e in self.log if e["event"] == event][count - 1 :]), None),
            lambda: f"no {event!r} in:\n{self.text}",
            timeout,
        )

    def metrics(self) -> dict[str, float]:
        """The metrics without labels, and those with them under their whole name."""
        address = next(entry["metrics"] for entry in reversed(self.log) if entry["event"] == "serving")
        with urllib.request.urlopen(address, timeout=10) as page:
            lines = page.read().decode().splitlines()
        return {name: float(number) for name, number in (re.split(r" (?=\S+$)", x) for x in lines if x[0] != "#")}

    def rss(self) -> float:
        """Resident memory in MB (10^6 bytes)."""
        pages = int(Path(f"/proc/{self.process.pid}/statm").read_text().split()[1])
        return pages * os.sysconf("SC_PAGE_SIZE") / 1e6


def until(found: Callable[[], Any], complaint: Callable[[], str], timeout: float = 60.0) -> Any:
    """What ``found`` gives as soon as it is true; AssertionError with the complaint after the time-out."""
    end = time.monotonic() + timeout
    while not (value := found()):
        assert time.monotonic() < end, complaint()
        time.sleep(0.02)
    return value
