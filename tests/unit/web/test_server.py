"""The HTTP server against real sockets: clients that do not read, or do not ask."""

from __future__ import annotations

import asyncio
import socket
import threading
from contextlib import suppress

import pytest
from starlette.routing import Route

from portkin.web.app import Events, make_app
from portkin.web.server import PageServer
from support.enforcing import Lines
from support.sidecar_process import until

EVENT = b"event: a\ndata: %s\n\n" % (b"x" * 60_000)


@pytest.fixture
def served():
    """A server that streams without end, with half a second of patience; how much it could send is counted."""
    log, sent, ended = Lines(), [0], threading.Event()

    async def events():
        try:
            while True:
                yield EVENT
                sent[0] += len(EVENT)
                await asyncio.sleep(0)
        finally:
            ended.set()

    class Impatient(Events):
        patience = 0.5

    async def stream(request):
        return Impatient(events())

    server = PageServer(make_app([Route("/", stream)], log), "127.0.0.1", 0, patience=0.5)
    yield server, log, sent, ended
    server.close()


def test_a_reader_that_reads_nothing_is_dropped(served):
    """Its stream ends, the kernel keeps less than 2 MB for it, and its connection is gone."""
    server, _, sent, ended = served
    with socket.create_connection(("127.0.0.1", server.port)) as client:
        client.sendall(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
        assert ended.wait(30)
        assert sent[0] < 2_000_000
        until(lambda: not _connections(server.port), lambda: f"{_connections(server.port)} connections are left")


def test_a_reader_that_reads_is_kept(served):
    """Ten megabytes, many times what the kernel keeps, reach who reads."""
    server, log, _, ended = served
    with socket.create_connection(("127.0.0.1", server.port)) as client:
        client.sendall(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
        got = 0
        while got < 10_000_000:
            got += len(client.recv(65_536))
        assert (False, []) == (ended.is_set(), log.events("warning"))


def _connections(port):
    """The server's ends of established or closing connections, by /proc: all but the listening one."""
    local = f":{port:04X}"
    lines = [line.split() for line in open("/proc/self/net/tcp").readlines()[1:]]  # noqa: PTH123, SIM115
    return [line for line in lines if line[1].endswith(local) and line[3] not in ("0A", "06")]


def test_it_ends_while_readers_hang_on(served):
    """Closing the server waits a second at most for open streams."""
    server, *_ = served
    with socket.create_connection(("127.0.0.1", server.port)) as client:
        client.sendall(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
        assert client.recv(1)
        closing = threading.Thread(target=server.close)
        closing.start()
        closing.join(60)
        assert not closing.is_alive()


def test_who_asks_nothing_is_hung_up_on(monkeypatch):
    """A connection without a request is closed, so that nobody can hold all of them."""
    monkeypatch.setattr("portkin.web.server.PATIENCE", 0.05)
    server = PageServer(make_app([], Lines()), "127.0.0.1", 0)
    try:
        with socket.create_connection(("127.0.0.1", server.port), timeout=30) as client:
            client.sendall(b"GET / HT")
            with suppress(ConnectionResetError):
                assert b"" == client.recv(1)
    finally:
        server.close()
