"""What is known about an installation, as plain values; nothing here looks at anything."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from portkin.config.schema import Config
    from portkin.zeek.messages import StatusResponse


@dataclass(frozen=True)
class Installation:
    """This portkin and this Python."""

    portkin: str
    python: str
    executable: str
    system: str
    user: str
    missing: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """By extra, the distributions it needs that are not installed; under ``runtime`` those of portkin itself."""
    remedies: Mapping[str, str] = field(default_factory=dict)
    """By extra that is missing, the command that adds it here."""


@dataclass(frozen=True)
class SettingsFile:
    """The settings; ``config`` is None where they cannot be used, and ``error`` says why."""

    path: Path | None
    config: Config | None
    error: str = ""
    denied: bool = False
    """Whether the file is there, and this user may not read it."""


@dataclass(frozen=True)
class BundleFacts:
    """A table or models on disk. ``error`` is empty where they can be used."""

    path: Path
    id: str = ""
    created: datetime | None = None
    about: str = ""
    """K and method of a table, or how many ports models forecast."""
    shipped: bool = False
    error: str = ""


Connection = Literal[
    "open", "refused", "timeout", "unreachable", "unknown-host", "tls", "not-websocket", "not-acknowledged", "closed"
]
"""How far a connection to Zeek came: ``open`` is acknowledged."""


@dataclass(frozen=True)
class ZeekAnswers:
    """What came of asking Zeek over its WebSocket, or of opening the port of its Broker."""

    address: str
    """Without user, password and query."""
    connection: Connection
    loopback: bool = True
    """Whether the address is on this machine."""
    detail: str = ""
    version: str = ""
    """As acknowledged."""
    nodes: tuple[StatusResponse, ...] = ()
    """The nodes that said how they stand, the first one asked directly."""
    refused: str = ""
    """What Zeek said to the question, where it did not take it."""
    skew: float | None = None
    """Seconds by which the clock of the first node is ahead of ours."""
    asked: bool = True
    """Whether Zeek was asked how it stands; Broker's port is opened only."""


@dataclass(frozen=True)
class ZeekHere:
    """Zeek on this machine, as far as this user can see."""

    programs: tuple[str, ...] = ()
    processes: tuple[int, ...] = ()
    """Running ones, by process id."""
    packages: tuple[Path, ...] = ()
    """Where portkin's scripts lie in Zeek's search path."""
    local: Path | None = None
    """local.zeek."""
    loads: tuple[str, ...] = ()
    """What local.zeek, or what it loads, loads of portkin, as ``portkin/websocket``."""
    said: tuple[str, ...] = ()
    """What portkin said last in the logs of the running processes, without ``portkin: ``."""


Page = Literal["answers", "refused", "foreign", "failed", "off"]


@dataclass(frozen=True)
class SidecarAnswers:
    """What the metrics of ``portkin serve`` say."""

    address: str
    page: Page
    detail: str = ""
    samples: Mapping[str, float] = field(default_factory=dict)
    """Samples by name; those of one name with several labels are summed."""
    table: str = ""
    zeek: Mapping[str, str] = field(default_factory=dict)
    """What Zeek answered to the sidecar's hello: ``node``, ``version``, ``protocol``."""
    backend: str = ""
    """What carries its blocks out, as ``enforce.backend``; empty while it has had none to carry out."""
    pending: tuple[str, ...] = ()
    """Settings, as ``enforce.backend``, that are changed in its file and in force only after a restart."""


@dataclass(frozen=True)
class NftablesFacts:
    """nftables, for ``enforce.backend: nftables``."""

    table: str
    runner: str = ""
    """libnftables or the program; empty where neither is installed."""
    privileged: bool = False
    state: Literal["present", "missing", "unreadable"] = "unreadable"
    detail: str = ""
    held: int = 0
    hook: str = "prerouting"


@dataclass(frozen=True)
class SuricataFacts:
    """Suricata, for ``enforce.backend: suricata``."""

    socket: Path | None
    error: str = ""
    version: str = ""
    mode: str = ""
    """How it captures, as ``AF_PACKET_DEV``."""
    inline: bool | None = None
    """Whether it runs inline; None where its counters do not tell, as in its first seconds."""
    tested: tuple[str, ...] = ()
    """Of the bits asked for, those that a loaded rule tests."""
    asked: tuple[str, ...] = ()
    rules_loaded: int | None = None
    """Rules in force, of all tenants; None where Suricata did not say, as those after it."""
    rules_failed: int = 0
    rules_skipped: int = 0
    """Left out since they require what this Suricata lacks."""
    failed: tuple[str, ...] = ()
    """Where the first of the failed rules stand, as ``/etc/suricata/rules/x.rules:7``."""
    host_memcap: int | None = None
    """Bytes that its table of hosts may take, which keeps their bits; None where it names no limit."""


@dataclass(frozen=True)
class DatabaseFacts:
    """A database on disk."""

    name: str
    """The setting that names it."""
    path: Path
    state: Literal["ours", "absent", "foreign", "unreadable"]
    writable: bool = True
    """Whether this user can write it, or where it is absent create it."""
    detail: str = ""
    free: int | None = None
    """Bytes that are left on its file system; None where that is not known."""


@dataclass(frozen=True)
class ClockFacts:
    """The clock of this machine."""

    synchronised: bool | None
    """As the kernel says; None where it does not."""


@dataclass(frozen=True)
class Facts:
    """Everything that the checks look at; what could not be gathered is None."""

    now: datetime
    installation: Installation
    settings: SettingsFile
    table: BundleFacts | None = None
    models: BundleFacts | None = None
    zeek: ZeekAnswers | None = None
    zeek_here: ZeekHere = field(default_factory=ZeekHere)
    sidecar: SidecarAnswers | None = None
    nftables: NftablesFacts | None = None
    suricata: SuricataFacts | None = None
    databases: tuple[DatabaseFacts, ...] = ()
    clock: ClockFacts = field(default_factory=lambda: ClockFacts(None))
