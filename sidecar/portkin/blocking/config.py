"""The ``enforce:`` section of the settings."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from portkin.blocking.backends.nftables import Hook, Place
from portkin.blocking.enforcer import Pace
from portkin.blocking.limits import Limits
from portkin.config.loading import Networks, setting
from portkin.errors import ConfigError, PortError
from portkin.net.addresses import Nets
from portkin.net.ports import Port


@dataclass(frozen=True)
class LimitsConfig:
    """What wins over every decision to block. Read again when the file changes."""

    never_nets: tuple[Networks, ...] = ()
    """Sources never blocked."""
    never_ports: tuple[str, ...] = ()
    """Destination ports never blocked: ``22/tcp`` or ``53/udp``."""
    max_ports: int = setting(1024, low=1, high=65_536)
    """Ports blocked for one source at a time: what a sweep over all ports can make us hold."""
    max_per_second: int = setting(1000, low=1, high=1_000_000)
    """New blocks per second, of all sources: a tenth of what one core can do."""
    max_blocks: int = setting(100_000, low=1, high=1_000_000)
    """Blocks at a time: about 20 MB in the kernel, and as much here."""
    max_duration: float = setting(604_800.0, low=1.0, high=31_536_000.0)
    """Seconds; a longer block is shortened to this week."""
    grace: float = setting(3600.0, low=0.0, high=31_536_000.0)
    """Seconds for which a pair that was unblocked is left alone."""
    holdout: float = setting(0.0, low=0.0, high=0.9)
    """The share of predictions that is not blocked, so that their usefulness can be seen; 0.02 is much already."""
    block_unproven: bool = False
    """Whether to block sources known from nothing but single unanswered SYNs, which anybody can forge."""
    darknet_destinations: int = setting(3, low=0, high=65_536)
    """Distinct addresses without a host that prove a scan; 0: they prove nothing."""


@dataclass(frozen=True)
class NftablesConfig:
    """Where in nftables."""

    table: str = "portkin"
    """A table of the inet family, all our own."""
    hook: Hook = "prerouting"
    """prerouting sees what comes for this machine and what it routes; input and forward one of these."""
    priority: int = setting(-310, low=-2_147_483_648, high=2_147_483_647)
    """Before connection tracking (-200) and everything at raw (-300): what is blocked costs nothing more."""


@dataclass(frozen=True)
class SuricataConfig:
    """Where Suricata is."""

    socket: Path = Path("/var/run/suricata-command.socket")
    """Its unix socket: ``unix-command.filename`` of suricata.yaml."""
    timeout: float = setting(5.0, low=0.1, high=60.0)
    """Seconds that an answer may take."""


@dataclass(frozen=True)
class EnforceConfig:
    """What becomes of the blocks that Zeek asks for."""

    backend: Literal["shadow", "nftables", "suricata"] = "shadow"
    """shadow keeps the books and touches nothing."""
    books: Path | None = None
    """The SQLite file; null is /var/lib/portkin/books.sqlite for root, ~/.local/state/portkin/ for others."""
    retention: float = setting(30.0, low=0.01, high=3650.0)
    """Days for which the books hold blocks that have ended."""
    check: float = setting(5.0, low=0.1, high=3600.0)
    """Seconds between looks whether the backend still has its table, and which addresses are ours."""
    count: float = setting(60.0, low=0.1, high=86_400.0)
    """Seconds between readings of what each block has kept away."""
    queue: int = setting(50_000, low=1, high=10_000_000)
    """Requests that may wait; what is beyond is answered with error."""
    limits: LimitsConfig = field(default_factory=LimitsConfig)
    nftables: NftablesConfig = field(default_factory=NftablesConfig)
    suricata: SuricataConfig = field(default_factory=SuricataConfig)


def books_path(config: EnforceConfig) -> Path:
    """Where the books are."""
    if config.books is not None:
        return config.books
    if os.geteuid() == 0:
        return Path("/var/lib/portkin/books.sqlite")
    state = os.environ.get("XDG_STATE_HOME")
    return (Path(state) if state else Path.home() / ".local" / "state") / "portkin" / "books.sqlite"


def limits_of(config: LimitsConfig) -> Limits:
    """The limits that the settings say. Raises ConfigError, naming the text, for what is no port."""
    try:
        ports = frozenset(Port.parse(text) for text in config.never_ports)
    except PortError as error:
        raise ConfigError(f"enforce.limits.never_ports: {error}") from None
    return Limits(
        never_nets=Nets(map(str, config.never_nets)),
        never_ports=ports,
        max_ports=config.max_ports,
        max_per_second=config.max_per_second,
        max_blocks=config.max_blocks,
        max_duration=config.max_duration,
        grace=config.grace,
        holdout=config.holdout,
        block_unproven=config.block_unproven,
        darknet_destinations=config.darknet_destinations,
    )


def pace_of(config: EnforceConfig) -> Pace:
    """How often things are looked at."""
    return Pace(check=config.check, count=config.count, retention=config.retention * 86_400)


def place_of(config: EnforceConfig) -> Place:
    """Where in nftables. Raises ConfigError for a table that cannot be called so."""
    nftables = config.nftables
    if not (nftables.table.isascii() and nftables.table.isidentifier()):
        raise ConfigError(f"enforce.nftables.table is {nftables.table!r}; write letters, digits and _")
    # Twice the cap: an element that has run out stays until the kernel sweeps, about once a second.
    return Place(nftables.table, nftables.hook, nftables.priority, 2 * config.limits.max_blocks)
