"""A loopback peer that speaks as Zeek's WebSocket does: real sockets, real frames, no Zeek.

It acknowledges subscriptions, delivers what is published to it as events, and publishes events to its client.
"""

from __future__ import annotations

import asyncio
import json
import ssl
from contextlib import asynccontextmanager
from typing import Any

from websockets.asyncio.server import ServerConnection, serve
from websockets.exceptions import ConnectionClosed

from portkin.zeek.block_messages import BlockRequest, BlockResponse, BlockResponses
from portkin.zeek.event import Event, Junk, Message
from portkin.zeek.event_codec import parse, unparse
from portkin.zeek.messages import (
    TO_SIDECAR,
)
from portkin.zeek.transport.json_v1 import decode, encode
from support.enforcing import together


class ZeekPeer:
    """One listening peer; ``connections`` counts how often somebody has subscribed."""

    def __init__(self) -> None:
        self.port = 0
        self.connections = 0
        self.topics: list[str] = []
        self.headers: list[str] = []
        self.client: ServerConnection | None = None
        self.arrived: asyncio.Queue[Message | BlockResponse | Junk] = asyncio.Queue()
        self.subscribed = asyncio.Event()
        self.reading = asyncio.Event()
        self.reading.set()
        self.ack: str | None = json.dumps({"type": "ack", "endpoint": "zeek-1", "version": "8.0.9"})

    @property
    def url(self) -> str:
        return f"ws://127.0.0.1:{self.port}/v1/messages/json"

    async def serve(self, client: ServerConnection) -> None:
        self.headers = [client.request.headers.get("X-Application-Name", "")]
        self.topics = json.loads(await client.recv())
        if self.ack is None:
            await client.wait_closed()
            return
        await client.send(self.ack)
        self.client = client
        self.connections += 1
        self.subscribed.set()
        try:
            while True:
                await self.reading.wait()
                item = decode(await client.recv())
                message = parse(item) if isinstance(item, Event) else item
                for one in message.each() if isinstance(message, BlockResponses) else [message]:
                    self.arrived.put_nowait(one)
        except ConnectionClosed:
            self.subscribed.clear()

    async def say(self, message: Message | BlockRequest) -> None:
        """Publish a message to the client; a request to block as the only one of its decision."""
        if isinstance(message, BlockRequest):
            message = together(message)
        await self.client.send(encode(TO_SIDECAR, unparse(message)))

    async def hear(self, cls: type | None = None) -> Any:
        """The next message that arrived, of that class if one is named."""
        while True:
            message = await self.arrived.get()
            if cls is None or isinstance(message, cls):
                return message


@asynccontextmanager
async def zeek_peer(port: int = 0, tls: ssl.SSLContext | None = None, peer: ZeekPeer | None = None):
    """A `ZeekPeer` listening on 127.0.0.1, on a free port unless one is named."""
    peer = peer or ZeekPeer()
    async with serve(peer.serve, "127.0.0.1", port, ssl=tls, ping_interval=None) as server:
        peer.port = server.sockets[0].getsockname()[1]
        yield peer
        peer.reading.set()
