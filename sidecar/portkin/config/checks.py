"""What is not seen of a setting until it is used, looked at before anything is begun."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

from portkin.blocking.config import database_path, limits_of, place_of, receiver_of
from portkin.blocking.database_tables import APPLICATION as BLOCKS
from portkin.blocking.database_tables import WHAT
from portkin.config.schema import Checks, Config, ZeekConfig
from portkin.errors import ConfigError
from portkin.rates.config import rates_database_path
from portkin.rates.store_schema import APPLICATION as RATES
from portkin.web.config import token_of
from portkin.zeek.peer_addresses import peer_of, tls_context, uri_of

if TYPE_CHECKING:
    import ssl
    from pathlib import Path


def tls_of(zeek: ZeekConfig) -> ssl.SSLContext | None:
    """TLS as the settings want it; None where the URL wants none."""
    files = [str(path) if path else None for path in (zeek.tls.ca, zeek.tls.certificate, zeek.tls.key)]
    return tls_context(*files) if uri_of(zeek.url).secure else None


def checks() -> Checks:
    """Every check, by the setting that it is about."""
    # Both addresses, whichever is used: their hosts are never blocked.
    return {
        "zeek.url": _url,
        "zeek.broker": _broker,
        "zeek.tls": lambda config: tls_of(config.zeek),
        "table.path": _table,
        "rates.model": _models,
        "metrics.host": _host,
        "page.token": lambda config: token_of(config.page),
        "enforce.never_block": lambda config: limits_of(config.enforce),
        "enforce.nftables.table": lambda config: place_of(config.enforce),
        "enforce.hook": lambda config: receiver_of(config.enforce.hook),
    }


def database_checks() -> Checks:
    """Whether the databases that are there are portkin's: `portkin serve` goes on without one that is not."""
    return {
        "enforce.database": lambda config: _ours(database_path(config.enforce), BLOCKS, WHAT),
        "rates.database": lambda config: _ours(rates_database_path(config.rates), RATES, "a rates database"),
    }


def _ours(path: Path, application: int, what: str) -> None:
    from portkin.sqlite import refuse_foreign  # here, for checks come before most that is loaded

    with suppress(OSError):  # another user than the sidecar's may not read it
        refuse_foreign(path, application, what)


def _url(config: Config) -> None:
    uri_of(config.zeek.url)


def _broker(config: Config) -> None:
    peer_of(config.zeek.broker)


def _host(config: Config) -> None:
    if not config.metrics.host.strip():
        raise ConfigError("metrics.host is empty: that is every address; write 127.0.0.1, or 0.0.0.0 if it is meant")


def _table(config: Config) -> None:
    if config.table.path is not None:
        from portkin.bundles.table import Table  # here, for it needs numpy

        Table.load(config.table.path)


def _models(config: Config) -> None:
    if config.rates.model is not None:
        from portkin.bundles.forecast import Forecaster  # onnxruntime is not small

        Forecaster.load(config.rates.model)
