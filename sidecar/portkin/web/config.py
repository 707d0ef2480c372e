"""The ``page:`` section of the settings."""

from __future__ import annotations

from dataclasses import dataclass
from ipaddress import ip_network
from pathlib import Path

from portkin.config.loading import Networks, setting
from portkin.errors import ConfigError
from portkin.files import refuse_shared_secret

SHORTEST = 16
"""Characters of a token: what is typed once can be long."""


@dataclass(frozen=True)
class PageConfig:
    """The page for operators, on the address and port of the metrics."""

    enabled: bool = True
    clients: tuple[Networks, ...] = (ip_network("127.0.0.0/8"), ip_network("::1/128"))
    """From where it may be opened: this machine, since it has no password."""
    hosts: tuple[str, ...] = ()
    """Names under which it is opened, beside localhost and the address; others are refused (DNS rebinding)."""
    viewers: int = setting(20, low=1, high=1000)
    """Pages that update themselves at a time."""
    actions: bool = False
    """Whether it can end blocks and add to the never-block file."""
    token: Path | None = None
    """A file whose first line is the token that actions ask for."""


def token_of(config: PageConfig) -> str | None:
    """The token; None where nothing can be changed. Raises ConfigError for a file that cannot be used."""
    if not config.actions:
        return None
    make = "umask 077; openssl rand -hex 24 > /etc/portkin/page-token"
    if config.token is None:
        raise ConfigError(f"page.actions needs a token; write one to a file ({make}), and name the file in page.token")
    try:
        with config.token.open(encoding="utf-8") as file:
            token = file.readline().strip()
            refuse_shared_secret(config.token, "page.token")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"page.token: {config.token}: cannot be read ({error}); {make}") from None
    if len(token) < SHORTEST or not token.isascii():
        raise ConfigError(f"page.token: {config.token}: its first line is no token of {SHORTEST} characters; {make}")
    return token
