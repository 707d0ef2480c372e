"""All settings of the sidecar: defaults, then the file (``-c``), then flags; the later one wins."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from portkin.blocking.config import EnforceConfig
from portkin.config.loading import build, setting
from portkin.config.sections import Section, overlay, read_yaml
from portkin.errors import ConfigError, PortkinError
from portkin.logs import Format, Level
from portkin.rates.config import RatesConfig
from portkin.web.config import PageConfig


@dataclass(frozen=True)
class TlsConfig:
    """Files (PEM) for a ``wss`` URL."""

    ca: Path | None = None
    """Trusted certificate authorities; the system's where null."""
    certificate: Path | None = None
    """Client certificate, for a Zeek that verifies it (``enable_peer_verification``)."""
    key: Path | None = None
    """The certificate's private key, where it is not in the same file."""


@dataclass(frozen=True)
class BackoffConfig:
    """Seconds between attempts to connect: ``first``, doubled up to ``cap``, with jitter."""

    first: float = setting(0.2, low=0.01, high=60.0)
    """A Zeek that restarts is back in a second or two."""
    cap: float = setting(10.0, low=0.01, high=3600.0)
    """A Zeek that stays away costs one refused connection in ten seconds."""


@dataclass(frozen=True)
class ZeekConfig:
    """The connection to Zeek."""

    transport: Literal["websocket", "broker"] = "websocket"
    """Zeek's WebSocket; or Broker, for which the Python bindings of that Zeek must be found."""
    url: str = "ws://127.0.0.1:27759/v1/messages/json"
    """Where ``Cluster::listen_websocket`` listens, with Zeek's own default port."""
    broker: str = "127.0.0.1:27760"
    """Where ``Broker::listen`` listens: the port that ``portkin/broker`` opens in a Zeek without a cluster."""
    outbox: int = setting(10_000, low=1, high=10_000_000)
    """Messages kept for a slow or absent Zeek: some seconds at full speed, and some 20 MB."""
    tls: TlsConfig = field(default_factory=TlsConfig)
    backoff: BackoffConfig = field(default_factory=BackoffConfig)


@dataclass(frozen=True)
class TableConfig:
    """The table of nearest ports."""

    path: Path | None = None
    """Its folder; the table that ships with the package where null."""
    poll: float = setting(2.0, low=0.05, high=86_400.0)
    """Seconds between checks for a new table."""


@dataclass(frozen=True)
class MetricsConfig:
    """Prometheus metrics by HTTP, and beside them /healthz and /readyz."""

    enabled: bool = True
    """Without it nothing listens, and there is no page."""
    host: str = "127.0.0.1"
    """Only this machine, since there is no password."""
    port: int = setting(9477, low=0, high=65535)
    """0 takes a free port; the log says which."""


@dataclass(frozen=True)
class LogConfig:
    """Logs, to standard error."""

    level: Level = "info"
    format: Format = "auto"
    """auto is key=value on a terminal and JSON elsewhere."""


@dataclass(frozen=True)
class Config:
    """All settings of ``portkin serve``, a field a section."""

    zeek: ZeekConfig = field(default_factory=ZeekConfig)
    table: TableConfig = field(default_factory=TableConfig)
    metrics: MetricsConfig = field(default_factory=MetricsConfig)
    page: PageConfig = field(default_factory=PageConfig)
    log: LogConfig = field(default_factory=LogConfig)
    enforce: EnforceConfig = field(default_factory=EnforceConfig)
    rates: RatesConfig = field(default_factory=RatesConfig)


SAMPLE = Path(__file__).parents[1] / "data" / "portkin.yaml"
"""A file with every setting, its default and what it does."""


Checks = Mapping[str, Callable[[Config], object]]
"""By setting (``zeek.url``), what raises PortkinError where its value cannot be used."""


def load_config(
    path: Path | None = None, flags: Mapping[str, Any] | None = None, checks: Checks | None = None
) -> Config:
    """The settings: defaults, the file's over them, the flags' (``{"zeek.url": ...}``) over both.

    ConfigError names the line, the value, the remedy; also for what does not pass one of the checks.
    """
    given = Section({}, "defaults")
    if path is not None:
        try:
            text = path.read_text(encoding="utf-8")
        except PermissionError:
            raise ConfigError(f"{path}: this user may not read it; run this as root") from None
        except (OSError, UnicodeDecodeError) as error:
            raise ConfigError(
                f"{path}: cannot be read ({error}); name a file such as `portkin config --sample` prints"
            ) from None
        given = read_yaml(text, str(path))
    section = overlay(given, flags or {})
    config = build(Config, section)
    for name, check in (checks or {}).items():
        try:
            check(config)
        except PortkinError as error:
            message = str(error)
            named = message if message.startswith(name) else f"{name}: {message}"
            raise ConfigError(f"{section.place(name)}: {named}") from None
    return config
