"""Viewers of the page: how many there may be, and what becomes of one that does not read."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from portkin.net.ports import Port
from portkin.zeek.messages import Count, NearestRequest, NearestResponse
from support.sidecar_process import until
from support.watched import watched

pytestmark = pytest.mark.timeout(120)


async def stream(site):
    """A connection that has asked for events; what the server wrote stays in the kernel until it is read."""
    parts = urlsplit(site.url)
    reader, writer = await asyncio.open_connection(parts.hostname, parts.port, limit=2**22)
    writer.write(b"GET /api/v1/events HTTP/1.1\r\nHost: localhost\r\n\r\n")
    return reader, writer


def test_more_viewers_than_allowed_are_refused(tmp_path):
    """The third of two gets 503 and when to come again; when one leaves there is room."""

    async def scenario():
        async with watched(tmp_path, page={"viewers": 2}) as site:
            open_ = [await stream(site) for _ in range(2)]
            for reader, _ in open_:
                assert b"event: status" in await asyncio.wait_for(reader.readuntil(b"event: status"), 30)
            reader, _ = await stream(site)
            head = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 30)
            assert (True, True) == (b" 503 " in head, b"retry-after: 30" in head.lower())
            open_[0][1].close()
            for _ in range(100):
                reader, writer = await stream(site)
                if b" 200 " in await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 30):
                    break
                writer.close()
                await asyncio.sleep(0.1)
            else:
                raise AssertionError("there was never room again")

    asyncio.run(scenario())


def test_questions_are_answered_while_a_viewer_does_not_read(tmp_path):
    """A viewer that never reads holds up neither Zeek's questions nor other viewers, nor the end of the process."""

    async def scenario():
        async with watched(tmp_path) as site:
            await site.greet()
            _, stuck = await stream(site)
            reader, _ = await stream(site)
            for n in range(20):
                await site.probe(f"203.0.113.{n}", "80/tcp", ["8080/tcp"])
                await site.peer.say(NearestRequest(f"q{n}", Port(80, "tcp"), Count(3), -1.0))
                answer = await asyncio.wait_for(site.peer.hear(NearestResponse), 20)
                assert f"q{n}" == answer.reqid
            await asyncio.wait_for(reader.readuntil(b'"src":"203.0.113.19"'), 30)
            site.sidecar.process.terminate()
            assert 0 == await asyncio.to_thread(site.sidecar.process.wait, 30)
            stuck.close()

    asyncio.run(scenario())


def test_the_page_is_idle_while_nobody_looks(tmp_path):
    """Without viewers and requests the database is not even opened for reading."""

    async def scenario():
        async with watched(tmp_path) as site:
            await site.greet()
            await site.probe("203.0.113.7", "80/tcp")
            assert [] == _open_read_only(site)
            _, writer = await stream(site)
            await asyncio.to_thread(until, lambda: _open_read_only(site), lambda: "it was never opened")
            writer.close()

    asyncio.run(scenario())


def _open_read_only(site):
    """The block database's files that the process has open for reading alone."""
    found = []
    for link in Path(f"/proc/{site.sidecar.process.pid}/fd").iterdir():
        try:
            name, flags = link.readlink().name, (link.parents[1] / "fdinfo" / link.name).read_text()
        except FileNotFoundError:
            continue
        mode = int(flags.split("flags:")[1].split()[0], 8) & os.O_ACCMODE
        if name == "blocks.sqlite" and mode == os.O_RDONLY:
            found.append(name)
    return found
