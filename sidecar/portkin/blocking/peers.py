"""The addresses of hosts that are named in the settings, as Zeek's: looked up again and again, for they change.

A resolver may take half a minute to say that it does not know, and the thread that blocks must not wait for it. So
names are looked up in a thread of their own.
"""

from __future__ import annotations

import math
import socket
import threading
import time
from collections.abc import Callable, Iterable
from ipaddress import ip_address

from portkin.blocking.metrics import BlockingMetrics
from portkin.logs import Log
from portkin.net.addresses import number_of

EVERY = 300.0
"""Seconds between two lookups of a name that was found."""
AGAIN = 5.0
"""Seconds until a name that was not found is looked up again."""
PATIENCE = 2.0
"""Seconds that the first look waits for the resolver."""


def resolve(host: str) -> set[int]:
    """The 128-bit addresses of a host. Raises OSError where the resolver has none."""
    found = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
    return {number_of(str(peer[0]).partition("%")[0]) for *_, peer in found}


class PeerAddresses:
    """Looks hosts up. `look` is called by one thread."""

    def __init__(
        self,
        hosts: Iterable[str],
        *,
        metrics: BlockingMetrics,
        log: Log,
        clock: Callable[[], float] = time.monotonic,
        resolve: Callable[[str], set[int]] = resolve,
    ) -> None:
        self._metrics = metrics
        self._log = log
        self._clock = clock
        self._resolve = resolve
        self._numbers: set[int] = set()
        self._found: dict[str, set[int] | None] = {}  # by name; None where it was never found
        for host in filter(None, hosts):
            try:
                ip_address(host)
                self._numbers.add(number_of(host))
            except ValueError:
                self._found[host] = None
        self._missing: set[str] = set()
        self._due = -math.inf
        self._thread: threading.Thread | None = None

    def look(self) -> frozenset[int]:
        """The addresses as they are known now, 128-bit; those of a name that cannot be found any more stay."""
        first = self._thread is None
        if self._found and self._clock() >= self._due and not (self._thread and self._thread.is_alive()):
            self._thread = threading.Thread(target=self._look_up, name="resolver", daemon=True)
            self._thread.start()
            if first:
                self._thread.join(PATIENCE)
        named = (addresses for addresses in list(self._found.values()) if addresses)
        return frozenset(self._numbers.union(*named))

    def _look_up(self) -> None:
        missing = set()
        for host in self._found:
            try:
                self._found[host] = self._resolve(host)
            except (OSError, UnicodeError) as error:  # UnicodeError: no name that DNS can have
                missing.add(host)
                self._metrics.failed("resolver")
                if host not in self._missing:
                    known = "its former addresses are" if self._found[host] else "so far it is not"
                    self._log.error(f"a host has no address; {known} protected", host=host, reason=str(error))
        for host in self._missing - missing:
            self._log.info("a host has an address again, and is protected", host=host)
        self._missing = missing
        self._due = self._clock() + (AGAIN if missing else EVERY)
