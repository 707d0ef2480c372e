"""Suricata's unix socket: where it is, and how to ask over it.

One JSON object per line each way (https://docs.suricata.io/en/latest/unix-socket.html).
"""

from __future__ import annotations

import json
import re
import select
import socket
from pathlib import Path
from typing import Any

import yaml

from portkin.errors import BackendError
from portkin.json_text import parsed

PROTOCOL = "0.2"
CONFIG = Path("/etc/suricata/suricata.yaml")
RUN = Path("/var/run/suricata")
"""Where Suricata puts a socket whose name is relative."""
USUAL = (RUN / "suricata-command.socket", Path("/var/run/suricata-command.socket"))
"""Suricata's own default, which Debian's Suricata 8 keeps, and the one in the suricata.yaml of Debian's Suricata 7."""
_SECTION = re.compile(r"^unix-command:.*(?:\n(?:[ \t#].*)?)*", re.MULTILINE)
_MOST = 1 << 20
"""Bytes of an answer."""


def candidates(named: Path | None = None, config: Path = CONFIG) -> list[Path]:
    """Where Suricata's socket may be: what is ``named``; else where ``config`` puts it, then the usual places."""
    if named is not None:
        return [named]
    configured = _configured(config)
    return list(dict.fromkeys([*([configured] if configured else []), *USUAL]))


def _configured(config: Path) -> Path | None:
    """``unix-command.filename`` of suricata.yaml; None where there is none, or the file cannot be read."""
    try:
        # This section alone: the whole file takes PyYAML most of a second.
        found = _SECTION.search(config.read_text(encoding="utf-8", errors="replace"))
        section = yaml.safe_load(found[0])["unix-command"] if found else None
        name = section.get("filename") if isinstance(section, dict) else None
    except (OSError, yaml.YAMLError):
        return None
    return RUN / name if isinstance(name, str) and name else None  # an absolute name stays as it is


class SuricataSocket:
    """One connection, reopened by `connect`. For one thread at a time."""

    def __init__(self, named: Path | None = None, *, timeout: float = 5.0, config: Path = CONFIG) -> None:
        """``named``: the socket; None to look for it, see `candidates`. ``timeout``: seconds an answer may take."""
        self._named = named
        self._timeout = timeout
        self._config = config
        self._opened: socket.socket | None = None
        self.path: Path | None = named
        """Where it is, once that is known."""

    def connect(self) -> None:
        """Connect to the first candidate that is Suricata's. Raises BackendError, with what each of them said."""
        self.close()
        failed = []
        for path in candidates(self._named, self._config):
            try:
                self._open(path)
                return
            except BackendError as error:
                failed.append(str(error))
        raise BackendError(
            f"Suricata's socket: {'; '.join(failed)}; start Suricata with unix-command.enabled, or set "
            "enforce.suricata.socket"
        )

    def _open(self, path: Path) -> None:
        opened = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        opened.settimeout(self._timeout)
        try:
            opened.connect(str(path))
        except OSError as error:
            opened.close()
            raise BackendError(f"{path}: {error.strerror or error}") from None
        self._opened, self.path = opened, path
        if self.ask({"version": PROTOCOL}).get("return") != "OK":
            self.close()
            raise BackendError(f"{path} is not Suricata's socket, or does not speak version {PROTOCOL}")

    def ask(self, message: dict[str, Any]) -> dict[str, Any]:
        """Send one message and read its answer, since Suricata takes no second one before. Raises BackendError."""
        opened = self._opened
        if opened is None:
            raise BackendError("Suricata is not connected")
        try:
            opened.sendall(json.dumps(message).encode() + b"\n")
            return _answer(opened)
        except (OSError, ValueError) as error:
            self.close()
            raise BackendError(f"Suricata's socket {self.path}: {error or type(error).__name__}") from None

    def command(self, name: str, **arguments: str | int) -> dict[str, Any]:
        """`ask` for a command; its answer has ``return``, OK or NOK, and ``message``."""
        return self.ask({"command": name, "arguments": arguments} if arguments else {"command": name})

    @property
    def closed(self) -> bool:
        """Whether the connection has ended: Suricata stopped, or was never reached."""
        if self._opened is not None and select.select([self._opened], [], [], 0)[0]:
            # No request is open, so only the end of the connection can be read.
            self.close()
        return self._opened is None

    def close(self) -> None:
        """Close the connection."""
        if self._opened is not None:
            self._opened.close()
            self._opened = None


def _answer(opened: socket.socket) -> dict[str, Any]:
    """The next JSON object; Suricata's versions end it with a newline or not."""
    read = b""
    while len(read) < _MOST:
        part = opened.recv(65_536)
        if not part:
            raise ConnectionError("it closed the connection")
        read += part
        if read[:1] == b"{" and not part.rstrip().endswith(b"}"):  # to look at all of it for each part takes long
            continue
        try:
            reply = parsed(read)
        except ValueError:
            continue
        if type(reply) is not dict:
            raise ValueError("the answer is no JSON object")
        return reply
    raise ValueError("the answer has no end")
