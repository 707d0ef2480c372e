"""Builds the part of the sidecar that blocks from the settings: the enforcer, its service and its hook."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable

from prometheus_client import CollectorRegistry

from portkin.blocking.config import EnforceConfig, HookConfig, database_path, receiver_of
from portkin.blocking.enforcer_factory import make_enforcer
from portkin.blocking.hook import Hook, HookMetrics
from portkin.blocking.metrics import BlockingMetrics
from portkin.blocking.service import BlockingService
from portkin.logs import Log

_PAUSE = 1.0
"""Seconds between the first two attempts to deliver to the hook."""


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
