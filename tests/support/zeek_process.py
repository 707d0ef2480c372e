"""A real Zeek in a process of its own, with scripts of a test."""

from __future__ import annotations

import os
import socket
import subprocess
from pathlib import Path

from support.sidecar_process import until

SCRIPTS = Path(__file__).resolve().parents[2] / "zeek-scripts"
"""The Zeek package of this checkout."""


def backend_loads(zeek: str, transport: str) -> list[Path | str]:
    """What lets clients of this transport in, in a Zeek that loads nothing else: see ``backend.zeek``."""
    if transport == "websocket":
        return [SCRIPTS / "backend.zeek"]
    broker = "policy/frameworks/cluster/backend/broker"
    return [broker] if (Path(zeek).parents[1] / "share" / "zeek" / broker).is_dir() else []


def free_port() -> int:
    """A TCP port of 127.0.0.1 that nobody listens on just now."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        return server.getsockname()[1]


class ZeekProcess:
    """Runs ``zeek -b`` with these scripts, in ``folder``; what it prints is in ``out``.

    ``environment`` gives a script its ports.
    """

    def __init__(self, zeek: str, folder: Path, *scripts: Path | str, **environment: str | int) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.command = [zeek, "-b", "--no-checksums", *map(str, scripts)]
        self._folder = folder
        self._out = folder / "zeek.out"
        self._environment = {**os.environ, **{key: str(value) for key, value in environment.items()}}
        self.process: subprocess.Popen[bytes] | None = None
        self.prefix: list[str] = []
        """What becomes the process, as ``ip netns exec NAME``."""

    def start(self) -> ZeekProcess:
        with self._out.open("ab") as out:
            self.process = subprocess.Popen(
                [*self.prefix, *self.command], cwd=self._folder, stdout=out, stderr=out, env=self._environment
            )
        return self

    def __enter__(self) -> ZeekProcess:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.end()

    def end(self) -> None:
        """End it, whatever it does."""
        if self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(15)
            except subprocess.TimeoutExpired:
                self.process.kill()
        self.process.wait()

    @property
    def out(self) -> str:
        return self._out.read_text(encoding="utf-8", errors="replace")

    def wait_for(self, text: str, *, count: int = 1, timeout: float = 60.0) -> str:
        """The count-th line that holds the text, as soon as it is printed."""

        def found() -> str | None:
            assert self.process.poll() is None or text in self.out, f"zeek ended:\n{self.out}"
            return next(iter([line for line in self.out.splitlines() if text in line][count - 1 :]), None)

        return until(found, lambda: f"no {text!r} in:\n{self.out}", timeout)
