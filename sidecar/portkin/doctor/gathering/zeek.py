"""Whether Zeek can be reached, and if so, what it answers."""

from __future__ import annotations

import ipaddress
import socket

from portkin.config.schema import ZeekConfig
from portkin.doctor.facts import Connection, ZeekAnswers
from portkin.doctor.redaction import shown_url
from portkin.zeek.peer_addresses import peer_of, uri_of


def ask_zeek(config: ZeekConfig, timeout: float) -> ZeekAnswers:
    """What Zeek answers; each step, connection, acknowledgement and answers, may take ``timeout`` seconds."""
    broker = config.transport == "broker"
    if broker:
        address, (host, port) = config.broker, peer_of(config.broker)
    else:
        uri = uri_of(config.url)
        address, host, port = shown_url(config.url), uri.host, uri.port
    loopback = is_loopback(host)
    try:
        connected = socket.create_connection((host, port), timeout=timeout)
    except OSError as error:
        return ZeekAnswers(address, _kind(error), loopback, str(error), asked=not broker)
    with connected:
        if broker:
            return ZeekAnswers(address, "open", loopback, asked=False)
        # Here, since what speaks WebSocket takes longer to load than all else.
        from portkin.doctor.gathering.zeek_dialogue import talk_to_zeek

        return talk_to_zeek(connected, config, address, timeout)


def _kind(error: OSError) -> Connection:
    """How far the connection came, by the error that ended it."""
    if isinstance(error, ConnectionRefusedError):
        return "refused"
    if isinstance(error, TimeoutError):
        return "timeout"
    return "unknown-host" if isinstance(error, socket.gaierror) else "unreachable"


def is_loopback(host: str) -> bool:
    """Whether the host is this machine by its loopback address."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
