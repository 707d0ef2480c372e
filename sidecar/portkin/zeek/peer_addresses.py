"""Where Zeek is, as the settings say it. A module of its own, since checking settings needs none of the transports."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from portkin.errors import TransportError

if TYPE_CHECKING:
    import ssl

    from websockets.uri import WebSocketURI


def uri_of(url: str) -> WebSocketURI:
    """The parts of a WebSocket's address. TransportError for what can be none."""
    from websockets.exceptions import InvalidURI  # here: orders by hand want the host alone
    from websockets.uri import parse_uri

    try:
        uri = parse_uri(url)
        uri.host.encode("idna")
    except (InvalidURI, ValueError):  # '[bad' and 'a..b' are ValueErrors
        raise no_address(url) from None
    return uri


def no_address(url: str) -> TransportError:
    """What is wrong with an address that no WebSocket of Zeek can have."""
    return TransportError(f"{url!r} is no address of a WebSocket; write ws://127.0.0.1:27759/v1/messages/json")


def tls_context(ca: str | None, certificate: str | None, key: str | None) -> ssl.SSLContext:
    """How to verify a ``wss`` peer (``ca``: a PEM file; the system's where None), and who to be for it.

    Raises TransportError, naming the file, where one cannot be used.
    """
    import ssl  # which a ws:// URL needs not

    named = ca
    try:
        context = ssl.create_default_context(cafile=ca)
        if certificate is not None:
            # OpenSSL does not tell which of the two is not there.
            for named in filter(None, (certificate, key)):
                with Path(named).open("rb"):
                    pass
            named = f"{certificate} with the key {key}" if key is not None else certificate
            context.load_cert_chain(certificate, key)
    except OSError as error:
        raise TransportError(
            f"{named}: cannot be used for TLS ({error.strerror or error}); name a PEM file in zeek.tls"
        ) from None
    return context


def peer_of(address: str) -> tuple[str, int]:
    """Host and port of ``host:port``. TransportError for what can be none."""
    host, _, port = address.rpartition(":")
    try:
        urlsplit(f"//{address}")  # ValueError for brackets that do not hold an IPv6 address
        host.encode("idna")
        if host and port.isdigit() and int(port) < 65536:
            return host.strip("[]"), int(port)
    except ValueError:
        pass
    raise TransportError(f"{address!r} is no Broker address; write host:port, as 127.0.0.1:27760")


def host_of(address: str) -> str:
    """The host in ``ws://host:port/path`` or ``host:port``; empty where there is none."""
    return urlsplit(address if "//" in address else f"//{address}").hostname or ""
