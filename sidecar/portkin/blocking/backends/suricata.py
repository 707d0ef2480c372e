"""Blocks in Suricata: a host bit per source and port, which static rules test; no rule is ever reloaded.

Bits are ``pk<port>`` for TCP and ``pk<port>u`` for UDP, set by ``add-hostbit`` over Suricata's unix socket
(one JSON object per line, https://docs.suricata.io/en/suricata-7.0.10/unix-socket.html). Suricata removes a
bit when its time is over, and all bits when it stops: then `lost_blocks` is true, and all are sent again.
"""

from __future__ import annotations

import json
import select
import socket
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

from portkin.blocking.backends.backend import Batch, Dropped, HeldBlock
from portkin.blocking.backends.host_bits import bit_of
from portkin.blocking.block import BlockKey, Mode
from portkin.errors import BackendError
from portkin.net.addresses import text_of

PROTOCOL = "0.2"
_MOST = 1 << 20
"""Bytes of an answer."""


class Suricata:
    """A `Backend`: one connection, reopened by `setup`. For one thread at a time."""

    mode: Mode = "suricata"

    def __init__(self, path: Path, *, timeout: float = 5.0) -> None:
        self._path = path
        self._timeout = timeout
        self._socket: socket.socket | None = None

    def setup(self) -> None:
        """Connect."""
        self.close()
        opened = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        opened.settimeout(self._timeout)
        try:
            opened.connect(str(self._path))
        except OSError as error:
            opened.close()
            raise BackendError(
                f"Suricata's socket {self._path}: {error.strerror or error}; start Suricata with "
                "unix-command.enabled, or set enforce.suricata.socket"
            ) from None
        self._socket = opened
        if self.ask({"version": PROTOCOL}).get("return") != "OK":
            self.close()
            raise BackendError(f"{self._path} is not Suricata's socket, or does not speak version {PROTOCOL}")

    def apply(self, batch: Batch) -> Collection[BlockKey]:
        """Carry out the batch; returns the keys whose bit no rule tests."""
        without_rule = []
        for key, seconds in batch.extend:
            # Setting a bit again does not change its time.
            self._command("remove-hostbit", key)
            if not self._add(key, seconds):
                without_rule.append(key)
        without_rule += [key for key, seconds in batch.add if not self._add(key, seconds)]
        for key in batch.remove:
            self._command("remove-hostbit", key)
        return without_rule

    def held(self) -> Mapping[BlockKey, HeldBlock] | None:
        return None

    def dropped(self) -> Dropped | None:
        return None

    def lost_blocks(self) -> bool:
        """Whether the connection has closed: Suricata stopped, and its bits are gone."""
        if self._socket is None:
            return True
        readable, _, _ = select.select([self._socket], [], [], 0)
        if readable:
            # No request is open, so only the end of the connection can be read.
            self.close()
        return self._socket is None

    def close(self) -> None:
        if self._socket is not None:
            self._socket.close()
            self._socket = None

    def _add(self, key: BlockKey, seconds: float) -> bool:
        """Set a bit; False where no rule of Suricata tests it."""
        # Whole seconds, rounded down: a block must not outlive its time.
        if int(seconds) < 1:
            return True
        reply = self._command("add-hostbit", key, expire=int(seconds))
        if reply.get("message") == "hostbit not found":
            return False
        if reply.get("return") != "OK":
            raise BackendError(f"Suricata refused the bit {bit_of(key.port)}: {reply.get('message')}")
        return True

    def _command(self, command: str, key: BlockKey, **more: int) -> dict[str, Any]:
        arguments = {"ipaddress": text_of(key.src), "hostbit": bit_of(key.port), **more}
        return self.ask({"command": command, "arguments": arguments})

    def ask(self, message: dict[str, Any]) -> dict[str, Any]:
        """Send one message and read its answer, since Suricata takes no second one before. Raises BackendError."""
        opened = self._socket
        if opened is None:
            raise BackendError("Suricata is not connected")
        try:
            opened.sendall(json.dumps(message).encode() + b"\n")
            return _answer(opened)
        except (OSError, ValueError) as error:
            self.close()
            raise BackendError(f"Suricata's socket {self._path}: {error or type(error).__name__}") from None


def _answer(opened: socket.socket) -> dict[str, Any]:
    """The next JSON object; Suricata's versions end it with a newline or not."""
    read = b""
    while len(read) < _MOST:
        part = opened.recv(65_536)
        if not part:
            raise ConnectionError("it closed the connection")
        read += part
        try:
            reply = json.loads(read)
        except ValueError:
            continue
        if type(reply) is not dict:
            raise ValueError("the answer is no JSON object")
        return reply
    raise ValueError("the answer has no end")
