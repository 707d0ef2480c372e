"""Builds the enforcer from the settings: its backend, and what it never blocks."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterable, Sequence

from portkin.blocking.backends.backend import Backend
from portkin.blocking.changes import Change
from portkin.blocking.config import EnforceConfig, database_path, intervals_of, limits_of, place_of
from portkin.blocking.enforcer import Enforcer
from portkin.blocking.metrics import BlockingMetrics
from portkin.blocking.peers import PeerAddresses
from portkin.blocking.protected import ProtectedAddresses
from portkin.logs import Log
from portkin.net.interfaces import gateways, own_addresses

_CACHED = 5.0
"""Seconds for which the addresses of this machine are cached."""


def make_enforcer(
    config: EnforceConfig,
    *,
    peers: Iterable[str],
    metrics: BlockingMetrics,
    log: Log,
    notify: Callable[[Sequence[Change]], None] | None = None,
) -> Enforcer:
    """The enforcer that the settings name. ``peers`` are hosts never blocked, as Zeek's; ``notify`` as Enforcer has it.

    Raises BackendError or ConfigError for settings that can never work here.
    """
    backend = make_backend(config)
    return Enforcer(
        database_path(config),
        backend,
        limits=limits_of(config),
        intervals=intervals_of(config),
        addresses=protected_addresses(PeerAddresses(peers, metrics=metrics, log=log)),
        metrics=metrics,
        log=log,
        notify=notify,
    )


def make_backend(config: EnforceConfig) -> Backend:
    """The backend that the settings name; it alone is loaded, since nftables' needs numpy."""
    if config.backend == "nftables":
        from portkin.blocking.backends.nftables import Nftables

        return Nftables(place_of(config))
    if config.backend == "suricata":
        from portkin.blocking.backends.suricata import Suricata

        return Suricata(config.suricata.socket, timeout=config.suricata.timeout)
    from portkin.blocking.backends.shadow import Shadow

    return Shadow()


def protected_addresses(
    peers: PeerAddresses, clock: Callable[[], float] = time.monotonic
) -> Callable[[], ProtectedAddresses]:
    """A function that returns the addresses that must stay reachable: this machine's, its gateways', the peers'."""
    known = ProtectedAddresses()
    read = -math.inf

    def look() -> ProtectedAddresses:
        nonlocal known, read
        if clock() - read >= _CACHED:
            known, read = ProtectedAddresses(own_addresses() | peers.look(), gateways()), clock()
        return known

    return look
