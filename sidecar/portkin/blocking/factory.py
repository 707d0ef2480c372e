"""Builds the enforcer and its service from the settings."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterable, Sequence
from urllib.parse import urlsplit

from prometheus_client import CollectorRegistry

from portkin.blocking.backends.backend import Backend
from portkin.blocking.changes import Change
from portkin.blocking.config import (
    EnforceConfig,
    HookConfig,
    database_path,
    intervals_of,
    limits_of,
    place_of,
    receiver_of,
)
from portkin.blocking.enforcer import Enforcer
from portkin.blocking.hook import Hook, HookMetrics
from portkin.blocking.metrics import BlockingMetrics
from portkin.blocking.peers import PeerAddresses
from portkin.blocking.protected import ProtectedAddresses
from portkin.blocking.service import BlockingService
from portkin.logs import Log
from portkin.net.interfaces import gateways, own_addresses

_PAUSE = 1.0
"""Seconds between the first two attempts to deliver to the hook."""
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


def make_hook(config: HookConfig, registry: CollectorRegistry, log: Log) -> Hook | None:
    """Where changes of blocks are reported; None where nowhere. Raises ConfigError for settings that can never work."""
    metrics, receiver = HookMetrics(registry), receiver_of(config)
    if receiver is None:
        return None
    return Hook(
        receiver,
        queue=config.queue,
        batch=config.batch,
        attempts=config.attempts,
        pause=_PAUSE,
        metrics=metrics,
        log=log,
    )


def make_blocking_service(
    config: EnforceConfig,
    *,
    peers: Iterable[str],
    registry: CollectorRegistry,
    log: Log,
    clock: Callable[[], float] = time.monotonic,
) -> BlockingService:
    """The part of the service that blocks."""
    metrics = BlockingMetrics(registry)
    hook = make_hook(config.hook, registry, log)
    notify = hook.notify if hook else None
    enforcer = make_enforcer(config, peers=peers, metrics=metrics, log=log, notify=notify)
    # A shadow without a database writes nothing until the first request.
    lazy = config.backend == "shadow" and not database_path(config).exists()
    return BlockingService(
        enforcer,
        queue=config.queue,
        metrics=metrics,
        log=log,
        clock=clock,
        lazy=lazy,
        close=hook.close if hook else lambda: None,
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


def host_of(address: str) -> str:
    """The host in ``ws://host:port/path`` or ``host:port``; empty where there is none."""
    return urlsplit(address if "//" in address else f"//{address}").hostname or ""
