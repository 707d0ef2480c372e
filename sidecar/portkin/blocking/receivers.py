"""Where changes of blocks go: a program that is run, or a web address that is posted to."""

from __future__ import annotations

import http.client
import os
import signal
import ssl
import subprocess
from collections.abc import Sequence
from contextlib import suppress
from ipaddress import ip_address
from pathlib import Path
from urllib.parse import urlsplit

from portkin import __version__
from portkin.blocking.hook import DeliveryError
from portkin.errors import ConfigError

_SAID = 300
"""Characters of what a program said that are kept for the log."""
_AGAIN = frozenset({408, 425, 429})
"""Statuses below 500 that say: later."""


class Program:
    """Runs a program with the changes on its standard input; no shell is involved."""

    def __init__(self, command: Sequence[str], timeout: float) -> None:
        self._command = list(command)
        self._timeout = timeout
        self._running: subprocess.Popen[bytes] | None = None

    def deliver(self, body: bytes) -> None:
        """Run it; after ``timeout`` s it is killed.

        DeliveryError where it fails, with what it wrote to standard error.
        """
        try:
            # In a session of its own, so that what it started is killed with it.
            process = subprocess.Popen(  # noqa: S603
                self._command,
                stdin=subprocess.PIPE,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.PIPE,
                cwd="/",
                start_new_session=True,
            )
        except OSError as error:
            raise DeliveryError(f"{self._command[0]}: {error.strerror}") from None
        self._running = process
        try:
            _, said = process.communicate(body, timeout=self._timeout)
        except subprocess.TimeoutExpired:
            self.abandon()
            process.communicate()
            raise DeliveryError(f"{self._command[0]} took longer than {self._timeout:g} s, and was killed") from None
        finally:
            self._running = None
        if process.returncode:
            reason = said.decode("utf-8", "replace").strip()[-_SAID:]
            raise DeliveryError(f"{self._command[0]} ended with status {process.returncode}: {reason}")

    def abandon(self) -> None:
        """Kill the program that runs, and what it started."""
        process = self._running
        if process is not None:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)


class Webhook:
    """Posts the changes to a web address; no redirection is followed, no answer read but its status."""

    def __init__(self, url: str, timeout: float, token: Path | None = None) -> None:
        """``token``: a file whose content is sent as a bearer token. Raises ConfigError as `address_of`."""
        self._secure, self._host, self._port, self._target = address_of(url)
        self._token = token
        self._timeout = timeout
        self._tls = ssl.create_default_context() if self._secure else None

    def deliver(self, body: bytes) -> None:
        """Post them; each step may take ``timeout`` seconds. DeliveryError for anything but success."""
        headers = {"Content-Type": "application/json", "User-Agent": f"portkin/{__version__}"}
        if self._token is not None:
            try:
                # Each time, for a token may be renewed.
                headers["Authorization"] = f"Bearer {self._token.read_text(encoding='ascii').strip()}"
            except (OSError, UnicodeDecodeError) as error:
                raise DeliveryError(f"{self._token}: {error}") from None
        connection = (
            http.client.HTTPSConnection(self._host, self._port, timeout=self._timeout, context=self._tls)
            if self._secure
            else http.client.HTTPConnection(self._host, self._port, timeout=self._timeout)
        )
        try:
            connection.request("POST", self._target, body, headers)
            status = connection.getresponse().status
        except (OSError, http.client.HTTPException, ValueError) as error:
            raise DeliveryError(f"{self._host}: {error or type(error).__name__}") from None
        finally:
            connection.close()
        if not 200 <= status < 300:
            raise DeliveryError(f"{self._host} answered {status}", final=300 <= status < 500 and status not in _AGAIN)

    def abandon(self) -> None:
        """Nothing: a connection ends with the process."""


def address_of(url: str) -> tuple[bool, str, int, str]:
    """Whether TLS is used, host, port and target of a web address.

    Raises ConfigError, without quoting the address, which may be a secret, for what is none, and for http to another
    machine.
    """
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        raise ConfigError("enforce.hook.url is no web address; write one such as https://example.org/blocks") from None
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ConfigError("enforce.hook.url is no web address; write one such as https://example.org/blocks")
    if parts.username is not None:
        raise ConfigError(
            "enforce.hook.url has a user in it; put the secret into the file that enforce.hook.token names"
        )
    if not url.isascii() or not url.isprintable() or " " in url:
        raise ConfigError("enforce.hook.url has characters that no web address has; write them as %20")
    secure = parts.scheme == "https"
    if not secure and not _is_here(parts.hostname):
        raise ConfigError(f"enforce.hook.url sends blocks to {parts.hostname} unencrypted; write https://")
    target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    return secure, parts.hostname, port or (443 if secure else 80), target


def _is_here(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False
