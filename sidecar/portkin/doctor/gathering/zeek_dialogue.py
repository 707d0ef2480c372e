"""Asks Zeek how it stands, over its WebSocket. Zeek takes who asks for another client, not for a sidecar."""

from __future__ import annotations

import asyncio
import secrets
import socket
import ssl
from datetime import UTC, datetime
from typing import Any

from websockets.exceptions import InvalidHandshake, InvalidMessage, WebSocketException

from portkin.config.checks import tls_of
from portkin.config.schema import ZeekConfig
from portkin.doctor.facts import Connection, ZeekAnswers
from portkin.doctor.gathering.zeek import is_loopback
from portkin.zeek.event import Event, Junk
from portkin.zeek.event_codec import parse, unparse
from portkin.zeek.messages import TO_STATUS, TO_ZEEK, StatusRequest, StatusResponse
from portkin.zeek.peer_addresses import uri_of
from portkin.zeek.transport.json_v1 import acknowledged, decode, encode, subscription
from portkin.zeek.transport.link import Link, open_link

_AGAIN = 0.5
"""Seconds between questions until one is answered: the first publishes after subscribing can be lost."""
_QUIET = 1.0
"""Seconds without a further answer after which no other node is waited for."""


def talk_to_zeek(connected: socket.socket, config: ZeekConfig, address: str, timeout: float) -> ZeekAnswers:
    """What Zeek answers over this connection to it; each step, handshake, acknowledgement and answers, may take
    ``timeout`` seconds. ``address``: as people may see it."""
    return asyncio.run(_ask(connected, config, address, timeout))


async def _ask(connected: socket.socket, config: ZeekConfig, address: str, timeout: float) -> ZeekAnswers:
    uri = uri_of(config.url)
    loopback = is_loopback(uri.host)
    received: asyncio.Queue[bytes] = asyncio.Queue()
    try:
        async with asyncio.timeout(timeout):
            link = await open_link(uri, tls_of(config), received.put_nowait, connected=connected)
    except (OSError, WebSocketException) as error:
        return ZeekAnswers(address, _kind(error), loopback, str(error).strip() or type(error).__name__)
    try:
        link.say(subscription([TO_STATUS]).encode())
        first = await _next(link, received, timeout)
        if first is None:
            connection: Connection = "closed" if link.closed.done() else "not-acknowledged"
            detail = link.closed.result() if link.closed.done() else f"none within {timeout:g} s"
            return ZeekAnswers(address, connection, loopback, detail)
        ack = acknowledged(first)
        if isinstance(ack, Junk):
            return ZeekAnswers(address, "not-websocket", loopback, ack.detail)
        nodes, refused, skew = await _answers(link, received, timeout)
        return ZeekAnswers(address, "open", loopback, "", ack[1], nodes, refused, skew)
    finally:
        await link.close()


async def _next(link: Link, received: asyncio.Queue[bytes], timeout: float) -> bytes | None:
    """The next message; None where the link closes before, or none comes in time."""
    message = asyncio.ensure_future(received.get())
    either: set[asyncio.Future[Any]] = {message, link.closed}
    await asyncio.wait(either, timeout=timeout, return_when=asyncio.FIRST_COMPLETED)
    if message.done():
        return message.result()
    message.cancel()
    return None


async def _answers(
    link: Link, received: asyncio.Queue[bytes], timeout: float
) -> tuple[tuple[StatusResponse, ...], str, float | None]:
    """The answers of all nodes, what Zeek said where it did not take the question, and how far its clock is ahead."""
    loop = asyncio.get_running_loop()
    question = StatusRequest(f"doctor-{secrets.token_hex(4)}")
    frame = encode(TO_ZEEK, unparse(question)).encode()
    nodes: dict[str, StatusResponse] = {}
    refused, skew = "", None
    end = loop.time() + timeout
    while loop.time() < end and not link.closed.done():
        if not nodes:
            link.say(frame)
        message = await _next(link, received, _QUIET if nodes else _AGAIN)
        if message is None:
            if nodes:
                break
            continue
        item = decode(message)
        answer = parse(item) if isinstance(item, Event) else item
        if isinstance(answer, Junk) and answer.reason == "refused":
            refused = answer.detail
            break
        if isinstance(answer, StatusResponse) and answer.reqid == question.reqid:
            if not nodes:
                skew = (answer.clock - datetime.now(UTC)).total_seconds()
            nodes.setdefault(answer.node, answer)
            if _complete(nodes):
                break
    return tuple(nodes.values()), refused, skew


def _complete(nodes: dict[str, StatusResponse]) -> bool:
    """Whether every node that answers such questions has done so; loggers do not."""
    return all(name in nodes or name.startswith("logger") for node in nodes.values() for name in node.peers)


def _kind(error: Exception) -> Connection:
    """How far the connection came, by the error that ended it."""
    if isinstance(error, TimeoutError):
        return "timeout"
    if isinstance(error, ssl.SSLError):
        return "tls"
    if isinstance(error, InvalidHandshake | InvalidMessage):
        return "not-websocket"
    return "closed"
