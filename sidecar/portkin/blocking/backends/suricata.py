"""Blocks in Suricata: a bit per source and port, which static rules ask for; no rule is ever reloaded.

Bits are ``pk<port>`` for TCP and ``pk<port>u`` for UDP, set by ``add-hostbit`` over Suricata's unix socket
(one JSON object per line, https://docs.suricata.io/en/suricata-7.0.10/unix-socket.html). Suricata lets go of a
bit when its time is over, and of all bits when it ends: then `forgot` tells, and all are sent again.
"""

from __future__ import annotations

import json
import select
import socket
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

from portkin.blocking.backends.backend import Batch, Dropped, Held
from portkin.blocking.backends.host_bits import bit_of
from portkin.blocking.block import Mode, Pair, text_of
from portkin.errors import BackendError

PROTOCOL = "0.2"
_MOST = 1 << 20
"""Bytes of an answer."""


class Suricata:
    """A `Backend`: one connection, opened anew by `setup`. For one thread at a time."""

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
            raise BackendError(f"{self._path} is not Suricata's socket, or speaks no version {PROTOCOL}")

    def apply(self, batch: Batch) -> Collection[Pair]:
        """Gives the pairs whose bit no rule asks for."""
        without_rule = []
        for pair, seconds in batch.extend:
            # Setting a bit that is set leaves its time as it is.
            self._command("remove-hostbit", pair)
            if not self._add(pair, seconds):
                without_rule.append(pair)
        without_rule += [pair for pair, seconds in batch.add if not self._add(pair, seconds)]
        for pair in batch.remove:
            self._command("remove-hostbit", pair)
        return without_rule

    def held(self) -> Mapping[Pair, Held] | None:
        return None

    def dropped(self) -> Dropped | None:
        return None

    def forgot(self) -> bool:
        """Whether the connection has ended: Suricata did, and its bits with it."""
        if self._socket is None:
            return True
        readable, _, _ = select.select([self._socket], [], [], 0)
        if readable:
            # Nothing is asked, so nothing but the end can come.
            self.close()
        return self._socket is None

    def close(self) -> None:
        if self._socket is not None:
            self._socket.close()
            self._socket = None

    def _add(self, pair: Pair, seconds: float) -> bool:
        """Set a bit; False where Suricata knows no rule that asks for it."""
        # Whole seconds; a fraction less is better than a block that outlives its time.
        if int(seconds) < 1:
            return True
        reply = self._command("add-hostbit", pair, expire=int(seconds))
        if reply.get("message") == "hostbit not found":
            return False
        if reply.get("return") != "OK":
            raise BackendError(f"Suricata refused the bit {bit_of(pair.port)}: {reply.get('message')}")
        return True

    def _command(self, command: str, pair: Pair, **more: int) -> dict[str, Any]:
        arguments = {"ipaddress": text_of(pair.src), "hostbit": bit_of(pair.port), **more}
        return self.ask({"command": command, "arguments": arguments})

    def ask(self, message: dict[str, Any]) -> dict[str, Any]:
        """Send one message and read its answer: Suricata takes no second one before. BackendError where none comes."""
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
