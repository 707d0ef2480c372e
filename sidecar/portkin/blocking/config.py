"""The ``enforce:`` section of the settings."""

from __future__ import annotations

import os
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from portkin.blocking.backends.place import ELEMENTS, Hook, Place, fault_of_name
from portkin.blocking.intervals import Intervals
from portkin.blocking.limits import Limits
from portkin.blocking.never_block import read_never_block
from portkin.config.loading import Networks, setting
from portkin.config.state_paths import state_path
from portkin.errors import ConfigError
from portkin.files import refuse_shared_secret

if TYPE_CHECKING:
    from portkin.blocking.hook import Receiver


@dataclass(frozen=True)
class NftablesConfig:
    """Where in nftables."""

    table: str = "portkin"
    """A table of the inet family that nothing else uses."""
    hook: Hook = "prerouting"
    """prerouting sees what comes for this machine and what it routes; input and forward one of these."""
    priority: int = setting(-310, low=-2_147_483_648, high=2_147_483_647)
    """Before connection tracking (-200) and everything at raw (-300): what is blocked costs nothing more."""


@dataclass(frozen=True)
class SuricataConfig:
    """Where Suricata is."""

    socket: Path | None = None
    """Its unix socket; null looks for it: as /etc/suricata/suricata.yaml says, then in the usual places."""
    timeout: float = setting(5.0, low=0.1, high=60.0)
    """Seconds that an answer may take."""


@dataclass(frozen=True)
class HookConfig:
    """What is notified of each block. Blocking never waits for it."""

    command: tuple[str, ...] = ()
    """A program and its arguments; no shell. It gets JSON on its standard input."""
    url: str | None = None
    """A web address that is posted the same."""
    token: Path | None = None
    """A file whose content is sent to ``url`` as a bearer token; others must not read it (chmod o=)."""
    timeout: float = setting(10.0, low=0.1, high=300.0)
    """Seconds that a delivery may take."""
    attempts: int = setting(5, low=1, high=20)
    """Times that a delivery is tried, a second after the first, then two, four, ..."""
    queue: int = setting(10_000, low=1, high=1_000_000)
    """Changes that may wait; further ones are dropped and counted."""
    batch: int = setting(100, low=1, high=10_000)
    """Changes that are delivered at once where so many wait."""


@dataclass(frozen=True)
class EnforceConfig:
    """What happens to the blocks that Zeek requests."""

    backend: Literal["shadow", "nftables", "suricata"] = "shadow"
    """shadow records blocks and drops nothing."""
    database: Path | None = None
    """The SQLite file; null is /var/lib/portkin/blocks.sqlite for root, ~/.local/state/portkin/ for others."""
    retention: float = setting(30.0, low=0.01, high=3650.0)
    """Days for which the database keeps blocks that have ended."""
    check: float = setting(5.0, low=0.1, high=3600.0)
    """Seconds between checks of the backend and of this machine's addresses."""
    count: float = setting(60.0, low=0.1, high=86_400.0)
    """Seconds between readings of what each block has dropped."""
    queue: int = setting(50_000, low=1, high=10_000_000)
    """Requests that may wait; further ones are rejected."""
    never_block: Path | None = None
    """A file with sources never blocked beside ``limits.never_nets``; null is never-block.txt beside the database's
    default."""
    limits: Limits = field(default_factory=Limits)
    nftables: NftablesConfig = field(default_factory=NftablesConfig)
    suricata: SuricataConfig = field(default_factory=SuricataConfig)
    hook: HookConfig = field(default_factory=HookConfig)


def database_path(config: EnforceConfig) -> Path:
    """Where the block database is."""
    return state_path(config.database, "blocks.sqlite")


def never_block_path(config: EnforceConfig) -> Path:
    """Where the never-block file is."""
    return state_path(config.never_block, "never-block.txt")


def limits_of(config: EnforceConfig) -> Limits:
    """The limits, with the sources of the never-block file. Raises ConfigError for a file that cannot be used."""
    return with_never_block(config.limits, read_never_block(never_block_path(config)))


def with_never_block(limits: Limits, more: tuple[Networks, ...]) -> Limits:
    """The limits, with ``more`` sources that are never blocked."""
    return replace(limits, never_nets=(*limits.never_nets, *more)) if more else limits


def intervals_of(config: EnforceConfig) -> Intervals:
    """How often regular work is done."""
    return Intervals(check=config.check, count=config.count, retention=config.retention * 86_400)


def place_of(config: EnforceConfig) -> Place:
    """Where in nftables. Raises ConfigError for a name that no table can have."""
    nftables = config.nftables
    fault = fault_of_name(nftables.table)
    if fault:
        raise ConfigError(f"enforce.nftables.table is {nftables.table[:80]!r}: {fault}")
    return Place(nftables.table, nftables.hook, nftables.priority, ELEMENTS * config.limits.max_blocks)


def receiver_of(config: HookConfig) -> Receiver | None:
    """Where changes of blocks go; None where to nobody. Raises ConfigError for settings that can never work."""
    if not config.command and config.url is None:
        return None
    from portkin.blocking.receivers import Program, Webhook  # here, as above

    if config.command and config.url is not None:
        raise ConfigError("enforce.hook has both a command and a url; keep one of them")
    if config.command:
        program = Path(config.command[0])
        if not program.is_absolute():
            raise ConfigError(
                f"enforce.hook.command runs {config.command[0]!r}; write its whole path, as /usr/bin/logger"
            )
        if not (program.is_file() and os.access(program, os.X_OK)):
            raise ConfigError(f"enforce.hook.command runs {program}, which is no program that can be run; correct it")
        return Program(config.command, config.timeout)
    if config.token is not None and config.token.exists():  # where there is none, each delivery says so
        refuse_shared_secret(config.token, "enforce.hook.token")
    return Webhook(str(config.url), config.timeout, config.token)
