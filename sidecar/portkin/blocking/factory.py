"""From settings to an enforcer: which backend, whose addresses."""

from __future__ import annotations

import socket
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from urllib.parse import urlsplit

from prometheus_client import CollectorRegistry

from portkin.blocking.backends.backend import Backend
from portkin.blocking.backends.libnftables import LIBRARY
from portkin.blocking.backends.nftables import Nftables
from portkin.blocking.backends.shadow import Shadow
from portkin.blocking.backends.suricata import Suricata
from portkin.blocking.config import EnforceConfig, books_path, limits_of, pace_of, place_of
from portkin.blocking.enforcer import Enforcer
from portkin.blocking.limits import Surroundings
from portkin.blocking.metrics import EnforceMetrics
from portkin.blocking.service import Enforcement
from portkin.logs import Log
from portkin.net.addresses import address_of
from portkin.net.interfaces import gateways, own_addresses

_AROUND_EVERY = 5.0
"""Seconds for which the machine's addresses are believed."""


def make_enforcer(config: EnforceConfig, *, peers: Iterable[str], metrics: EnforceMetrics, log: Log) -> Enforcer:
    """The enforcer that the settings name. ``peers`` are hosts never blocked, as Zeek's.

    Raises BackendError or ConfigError for settings that can never work here.
    """
    backend = make_backend(config)
    if isinstance(backend, Nftables) and backend.runner != LIBRARY:
        log.warning(
            f"{LIBRARY} is not here; {backend.runner} is started for each batch, which takes some milliseconds more"
        )
    return Enforcer(
        books_path(config),
        backend,
        limits=limits_of(config.limits),
        pace=pace_of(config),
        surroundings=surroundings_of(peers),
        metrics=metrics,
        log=log,
    )


def make_enforcement(
    config: EnforceConfig,
    *,
    peers: Iterable[str],
    registry: CollectorRegistry,
    log: Log,
    clock: Callable[[], float] = time.monotonic,
) -> Enforcement:
    """The part of the service that blocks."""
    metrics = EnforceMetrics(registry)
    enforcer = make_enforcer(config, peers=peers, metrics=metrics, log=log)
    # A shadow with nothing in its books leaves the disk alone until somebody asks it.
    lazily = config.backend == "shadow" and not books_path(config).exists()
    return Enforcement(enforcer, queue=config.queue, metrics=metrics, log=log, clock=clock, lazily=lazily)


def make_backend(config: EnforceConfig) -> Backend:
    """The backend that the settings name."""
    if config.backend == "nftables":
        return Nftables(place_of(config))
    if config.backend == "suricata":
        return Suricata(config.suricata.socket, timeout=config.suricata.timeout)
    return Shadow()


def surroundings_of(peers: Iterable[str], clock: Callable[[], float] = time.monotonic) -> Callable[[], Surroundings]:
    """What tells the addresses that must stay reachable: the machine's, its gateways', and those of the peers."""
    others = frozenset(_addresses(peers))
    known = Surroundings(), -_AROUND_EVERY

    def look() -> Surroundings:
        nonlocal known
        if clock() - known[1] >= _AROUND_EVERY:
            known = Surroundings(own_addresses() | others, gateways()), clock()
        return known[0]

    return look


def host_of(address: str) -> str:
    """The host in ``ws://host:port/path`` or ``host:port``; empty where there is none."""
    return urlsplit(address if "//" in address else f"//{address}").hostname or ""


def _addresses(hosts: Iterable[str]) -> set[int]:
    found = set()
    for host in filter(None, hosts):
        with suppress(OSError):
            for *_, peer in socket.getaddrinfo(host, None, type=socket.SOCK_STREAM):
                found.add(address_of(str(peer[0]).partition("%")[0]))
    return found
