"""A real sidecar with a page, fed through a peer that speaks as Zeek does."""

from __future__ import annotations

import asyncio
import http.client
import json
import shutil
import urllib.error
import urllib.request
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from portkin.net.ports import Port
from portkin.zeek.block_messages import BlockRequest, BlockResponse
from portkin.zeek.messages import (
    PROTOCOL,
    Count,
    HelloRequest,
    HelloResponse,
    RatesReport,
    RatesResponse,
)
from support.sidecar_process import SidecarProcess
from support.zeek_peer import ZeekPeer, zeek_peer

PROVEN = "evidence=TRW answered=1 refused=4 repeated=0 darknet=0"
TOKEN = "not a secret, but long enough"
FLAGS = (
    "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync",
)  # fmt: skip


@dataclass
class Watched:
    """A serving sidecar, its peer in the place of Zeek, and where its page is."""

    sidecar: SidecarProcess
    peer: ZeekPeer
    url: str
    asked: int = 0

    async def greet(self, node: str = "zeek", version: str = "8.0.9") -> None:
        """Answer the sidecar's hello."""
        hello = await asyncio.wait_for(self.peer.hear(HelloRequest), 60)
        await self.peer.say(HelloResponse(hello.reqid, Count(PROTOCOL), node, version))

    async def probe(
        self, src: str, port: str, predicted: Sequence[str] = (), *, why: str = PROVEN, seconds: float = 3600.0
    ) -> list[str]:
        """A scanner probes a port, and Zeek asks to block it and what is predicted; the outcomes."""
        probed = Port.parse(port)
        for rank, each in enumerate([port, *predicted]):
            self.asked += 1
            reason = f"{why} probe=1" if rank == 0 else why
            await self.peer.say(
                BlockRequest(
                    f"b{self.asked}", ip_address(src), Port.parse(each), timedelta(seconds=seconds), "0123456789ab",
                    probed, Count(rank), reason,
                )
            )  # fmt: skip
        wanted = {f"b{self.asked - n}" for n in range(1 + len(predicted))}
        found: dict[str, str] = {}
        while wanted - found.keys():
            answer = await asyncio.wait_for(self.peer.hear(BlockResponse), 60)
            found[answer.reqid] = answer.outcome
        return [found[reqid] for reqid in sorted(wanted, key=lambda reqid: int(reqid[1:]))]

    async def report(self, start: float, counts: Mapping[Port, int], *, width: float = 3600.0) -> None:
        """One node of Zeek reports what was probed in a bin."""
        self.asked += 1
        await self.peer.say(
            RatesReport(
                f"r{self.asked}", "worker-1", datetime.fromtimestamp(start, UTC), timedelta(seconds=width),
                tuple(counts), tuple(map(Count, counts.values())),
            )
        )  # fmt: skip
        while (await asyncio.wait_for(self.peer.hear(RatesResponse), 60)).reqid != f"r{self.asked}":
            pass

    async def get(self, path: str, **headers: str) -> Any:
        """The JSON at a path."""
        status, value = await self.ask(path, **headers)
        assert 200 == status, value
        return value

    async def ask(self, path: str, body: Any = None, **headers: str) -> tuple[int, Any]:
        """Status and JSON of a request; POST where there is a body."""
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        data = None if body is None else json.dumps(body).encode()
        if data is not None:
            named.setdefault("Content-Type", "application/json")
        request = urllib.request.Request(self.url + path, data, named)

        def send() -> tuple[int, Any]:
            try:
                with urllib.request.urlopen(request, timeout=30) as answer:
                    return answer.status, json.load(answer)
            except urllib.error.HTTPError as error:
                return error.code, json.load(error)

        return await asyncio.to_thread(send)

    async def until(self, path: str, found: Any) -> Any:
        """The JSON at a path as soon as ``found`` of it is true."""
        for _ in range(600):
            value = await self.get(path)
            if found(value):
                return value
            await asyncio.sleep(0.1)
        raise AssertionError(f"{path}: {value}\n{self.sidecar.text}")


@asynccontextmanager
async def watched(folder: Path, **sections: dict[str, Any]) -> AsyncIterator[Watched]:
    """A sidecar with the table that ships; ``sections`` are settings over those of a test."""
    async with zeek_peer() as peer:
        settings: dict[str, Any] = {
            "zeek": {"url": peer.url, "backoff": {"first": 0.05, "cap": 0.2}},
            "metrics": {"port": 0},
            "page": {},
            "enforce": {
                "database": str(folder / "blocks.sqlite"), "check": 0.2, "never_block": str(folder / "never-block.txt"),
            },
        }  # fmt: skip
        for name, section in sections.items():
            settings[name] = {**settings.get(name, {}), **section}
        (folder / "sidecar" / "sidecar.log").unlink(missing_ok=True)  # of a run before
        with SidecarProcess(folder / "sidecar", settings) as sidecar:
            serving = await asyncio.to_thread(sidecar.wait_for, "serving")
            yield Watched(sidecar, peer, serving["metrics"].removesuffix("/metrics"))


def with_actions(folder: Path) -> dict[str, Any]:
    """The section ``page`` of a page that may change things, its token in a file."""
    folder.mkdir(parents=True, exist_ok=True)
    token = folder / "token"
    token.write_text(f"{TOKEN}\n")
    token.chmod(0o600)
    return {"actions": True, "token": str(token)}


@asynccontextmanager
async def browser(start: Path | None = None) -> AsyncIterator[Any]:
    """Debian's Chromium, with a profile of its own; skips where there is none.

    ``start`` is a script that becomes it, as for another network namespace.
    """
    program = shutil.which("chromium")
    if program is None:
        pytest.skip("no chromium on PATH")
    program = str(start or program)
    api = pytest.importorskip("playwright.async_api", reason="playwright is not installed")
    async with api.async_playwright() as playwright:
        chromium = await playwright.chromium.launch(executable_path=program, args=list(FLAGS))
        try:
            yield chromium
        finally:
            await chromium.close()


@pytest.fixture(scope="module")
def one(tmp_path_factory):
    """A sidecar that may be changed, for single questions: asks with method, path, headers and body."""
    folder = tmp_path_factory.mktemp("one")
    loop = asyncio.new_event_loop()
    stack = AsyncExitStack()
    site = loop.run_until_complete(stack.enter_async_context(watched(folder, page=with_actions(folder))))
    parts = urlsplit(site.url)

    def ask(method, path, body=None, **headers):
        connection = http.client.HTTPConnection(parts.hostname, parts.port, timeout=30)
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        connection.request(method, path, None if body is None else json.dumps(body).encode(), named)
        answer = connection.getresponse()
        text = answer.read()
        connection.close()
        ask.headers = {name.lower(): value for name, value in answer.getheaders()}
        return answer.status, json.loads(text) if text.startswith(b"{") else text

    yield ask
    loop.run_until_complete(stack.aclose())
    loop.close()
