"""The API of a serving sidecar: what it answers, whom it refuses, and what becomes of readers that do not read."""

from __future__ import annotations

import asyncio
import http.client
import json
import os
import socket
import subprocess
import sys
from contextlib import AsyncExitStack
from pathlib import Path
from urllib.parse import urlsplit

import pytest
import yaml

from portkin.net.ports import Port
from portkin.web.app import SECTIONS
from portkin.zeek.messages import Count, NearestRequest, NearestResponse
from support.sidecar_process import until
from support.watched import TOKEN, watched, with_actions
from support.zeek_peer import zeek_peer

pytestmark = pytest.mark.timeout(120)
NUMBER, MAYBE, WORDS = (int, float), (int, float, type(None)), (str, type(None))
EVIDENCE = {"kind": str, "answered": int, "refused": int, "repeated": int, "darknet": int}
FIGURES = {
    **dict.fromkeys(
        ("probes", "blocked", "new", "new_blocked", "blocks", "useful", "predicted", "predicted_useful"), int
    ),
    **dict.fromkeys(("blocking_ratio", "usefulness", "predicted_usefulness", "new_port_recall"), MAYBE),
}
CONTRACT = {
    "status": {
        "portkin": str, "ready": bool, "not_ready": list, "rates": bool, "actions": bool,
        "zeek": {
            "connected": bool, "since": NUMBER, "peer": str, "reason": str, "answers": bool, "node": str,
            "version": str, "protocol": {"ours": int, "theirs": MAYBE},
        },
        "table": {"id": str, "method": str, "k": int, "built": NUMBER, "min_chance": MAYBE, "chances": bool},
        "blocking": {"backend": str, "active": dict},
        "health": {
            "verdict": str, "summary": str,
            "findings": [{"code": str, "level": str, "what": str, "remedy": str}],
        },
    },
    "scanners": {
        "window": NUMBER, "active": int,
        "shown": [
            {
                "src": str, "first": NUMBER, "latest": NUMBER, "evidence": EVIDENCE, "probed": int, "ports": [str],
                "predicted": int, "came": int, "held_out": int, "blocked": int, "veto": str,
            }
        ],
    },
    "blocks": {
        "active": int,
        "shown": [
            {
                "src": str, "port": str, "service": WORDS, "rank": int, "probed": str, "reason": str,
                "evidence": EVIDENCE, "table": str, "since": NUMBER, "until": NUMBER, "extensions": int, "mode": str,
                "came": bool, "packets": int, "bytes": int, "outcome": WORDS, "ended": MAYBE,
            }
        ],
    },
    "figures": {
        "since": NUMBER, "start": {"shadow": FIGURES, "holdout": FIGURES},
        "days": [{"day": NUMBER, "mode": str, **FIGURES}],
    },
    "rates": {"scored": bool, "shown": list},
    "alarms": {"scored": bool, "shown": list},
    "kin?port=80/tcp&k=3": {
        "port": str, "service": WORDS, "known": bool, "table": str, "chances": bool,
        "nearest": [{"port": str, "service": WORDS, "distance": NUMBER, "chance": MAYBE, "predicted": bool}],
        "links": [{"from": str, "to": str, "chance": MAYBE}],
    },
    "rates/series?port=80/tcp": {"port": str, "width": int, "bins": list},
}  # fmt: skip
"""Path, and its fields with their types."""


def check(value, shape, where):
    """The value has exactly these fields, of these types."""
    if isinstance(shape, dict):
        assert shape.keys() == value.keys(), where
        for name, inner in shape.items():
            check(value[name], inner, f"{where}.{name}")
    elif isinstance(shape, list):
        assert value, f"{where} is empty"
        for item in value:
            check(item, shape[0], where)
    else:
        assert isinstance(value, shape), f"{where} is {value!r}"


async def with_something(site):
    """A scanner with something of everything."""
    await site.greet()
    await site.probe("203.0.113.7", "80/tcp", ["8080/tcp", "443/tcp"])
    await site.probe("203.0.113.7", "8080/tcp")
    await site.until("/api/v1/figures", lambda value: value.get("days") and value["days"][0]["probes"] == 2)


def test_every_endpoint_has_its_documented_fields(tmp_path):
    """Names and types of every field, of every section and question."""

    async def scenario():
        async with watched(tmp_path) as site:
            await with_something(site)
            for path, shape in CONTRACT.items():
                check(await site.get(f"/api/v1/{path}"), shape, path)
            assert {f"/api/v1/{name}" for name in SECTIONS} <= (await site.get("/api/v1"))["endpoints"].keys()

    asyncio.run(scenario())


def test_values_are_those_of_what_happened(tmp_path):
    """Probed 80 and 8080; of the two predicted 8080 came; the second probe was of a new port, and blocked."""

    async def scenario():
        async with watched(tmp_path) as site:
            await with_something(site)
            (scanner,) = (await site.get("/api/v1/scanners"))["shown"]
            assert ("203.0.113.7", ["8080/tcp", "80/tcp"], 2, 1, 3) == tuple(
                scanner[name] for name in ("src", "ports", "predicted", "came", "blocked")
            )
            figures = await site.get("/api/v1/figures")
            # Of three blocks 8080's was tried, and it is one of two predicted ones.
            for counts in (figures["start"]["shadow"], figures["days"][0]):
                assert (2, 3, 1, 0.5, 1.0) == tuple(
                    counts[name] for name in ("probes", "blocks", "useful", "predicted_usefulness", "new_port_recall")
                )
            blocks = await site.get("/api/v1/blocks?port=8080")
            assert [("8080/tcp", 1, "80/tcp", True)] == [
                tuple(block[name] for name in ("port", "rank", "probed", "came")) for block in blocks["shown"]
            ]
            assert [] == (await site.get("/api/v1/blocks?src=203.0.113.99&state=all"))["shown"]

    asyncio.run(scenario())


def test_figures_by_day_survive_a_restart(tmp_path):
    """After a restart the figures since the start begin anew, and those of the day go on."""

    async def scenario():
        async with watched(tmp_path, enforce={"check": 3600.0}) as site:
            await site.greet()
            await site.probe("203.0.113.7", "80/tcp", ["8080/tcp", "443/tcp"])
            await site.probe("203.0.113.7", "8080/tcp")
            site.sidecar.process.terminate()
            assert 0 == await asyncio.to_thread(site.sidecar.process.wait, 30)
        async with watched(tmp_path) as site:
            await site.greet()
            await site.probe("203.0.113.8", "22/tcp")
            figures = await site.until(
                "/api/v1/figures", lambda value: value["days"] and value["days"][0]["probes"] == 3
            )
            assert (1, 4) == (figures["start"]["shadow"]["probes"], figures["days"][0]["blocks"])

    asyncio.run(scenario())


@pytest.mark.parametrize(
    ("path", "status", "words"),
    [
        ("/nowhere", 404, "nothing is here"),
        ("/api/v2/status", 404, "nothing is here"),
        ("/static/../app.py", 404, "nothing is here"),
        ("/static/%2e%2e/app.py", 404, "nothing is here"),
        ("/metrics/", 404, "nothing is here"),
        ("/api/v1/kin", 400, "'' is not a port"),
        ("/api/v1/kin?port=70000", 400, "'70000' is not a port"),
        ("/api/v1/kin?port=80&k=0", 400, "k is '0'"),
        ("/api/v1/blocks?src=nobody", 400, "'nobody'"),
        ("/api/v1/blocks?state=some", 400, "'some'"),
        ("/api/v1/blocks?limit=1001", 400, "'1001'"),
        ("/api/v1/rates/series?port=80&bins=x", 400, "'x'"),
    ],
)
def test_what_cannot_be_answered_says_why(one, path, status, words):
    """JSON with the wrong value, and its status."""
    found, value = one("GET", path)
    assert (status, True) == (found, words in value["error"]), value


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


@pytest.mark.parametrize("host", ["evil.example", "127.0.0.1.evil.example", "", "localhost@evil.example", "a b"])
def test_other_names_are_refused(one, host):
    """A page elsewhere whose name points here gets nothing (DNS rebinding), but for what monitoring asks."""
    assert [403, 403, 403] == [one("GET", path, Host=host)[0] for path in ("/", "/api/v1/blocks", "/api/v1/events")]
    assert [200, 200] == [one("GET", path, Host=host)[0] for path in ("/metrics", "/healthz")]


@pytest.mark.parametrize("host", ["localhost", "LOCALHOST:9477", "127.0.0.1:1", "[::1]:9477", "localhost."])
def test_our_names_are_taken(one, host):
    """Whatever the port: a tunnel has another one."""
    assert 200 == one("GET", "/api/v1", Host=host)[0]


def test_every_answer_has_a_strict_policy(one):
    """Scripts and styles from here alone, none inline; also on errors."""
    for path in ("/", "/api/v1", "/nowhere", "/static/js/main.js"):
        one("GET", path)
        headers = one.headers
        policy = dict(part.strip().partition(" ")[::2] for part in headers["content-security-policy"].split(";"))
        assert ("'none'", "'self'", "'self'", "'none'") == tuple(
            policy[name] for name in ("default-src", "script-src", "style-src", "frame-ancestors")
        )
        assert "unsafe" not in headers["content-security-policy"]
        assert ("nosniff", "no-referrer") == (headers["x-content-type-options"], headers["referrer-policy"])


ORDER = {"src": "203.0.113.7", "port": "80/tcp"}
RIGHT = {"Authorization": f"Bearer {TOKEN}", "Content_Type": "application/json"}


@pytest.mark.parametrize(
    ("status", "headers"),
    [
        (200, {}),
        (200, {"Origin": "http://localhost:9477", "Host": "localhost:9477", "Sec_Fetch_Site": "same-origin"}),
        (401, {"Authorization": ""}),
        (401, {"Authorization": "Bearer something else"}),
        (401, {"Authorization": f"Basic {TOKEN}"}),
        (403, {"Origin": "http://evil.example", "Host": "localhost:9477"}),
        (403, {"Origin": "null"}),
        (403, {"Origin": "http://localhost:8000", "Host": "localhost:9477"}),
        (403, {"Sec_Fetch_Site": "cross-site"}),
        (403, {"Sec_Fetch_Site": "same-site"}),
        (403, {"Host": "evil.example"}),
        (415, {"Content_Type": "text/plain"}),
        (415, {"Content_Type": "application/x-www-form-urlencoded"}),
    ],
)
def test_orders_from_elsewhere_are_refused(one, status, headers):
    """Without the token, from another site, under another name, or as a form can send it."""
    assert status == one("POST", "/api/v1/blocks/remove", ORDER, **{**RIGHT, **headers})[0]


@pytest.mark.parametrize("path", ["blocks/remove", "never-block"])
@pytest.mark.parametrize(
    ("body", "words"),
    [
        ([], "send a JSON object"),
        ({}, "src is 'None'"),
        ({"src": "x"}, "src is 'x'"),
        ({"src": ["192.0.2.1"]}, "src is "),
        ({"src": "192.0.2.0/24"}, "src is '192.0.2.0/24'"),
        ({"src": "fe80::1%x\n0.0.0.0/0"}, "src is "),  # a zone may be any text, and the file has lines
    ],
)
def test_orders_that_are_none_are_refused(one, path, body, words):
    """The wrong value is named, and nothing is written."""
    status, value = one("POST", f"/api/v1/{path}", body, **RIGHT)
    assert (400, True) == (status, words in value["error"]), value


def test_an_order_without_a_port_is_refused(one):
    """What is to be unblocked is a source and a port."""
    status, value = one("POST", "/api/v1/blocks/remove", {"src": "::1"}, **RIGHT)
    assert (400, True) == (status, "'' is not a port" in value["error"]), value


def test_a_read_only_page_takes_no_order(tmp_path):
    """Without the settings no token helps; and GET changes nothing."""

    async def scenario():
        async with watched(tmp_path) as site:
            for path in ("/api/v1/blocks/remove", "/api/v1/never-block"):
                status, value = await site.ask(path, ORDER, Authorization=f"Bearer {TOKEN}")
                assert (403, True) == (status, "read-only" in value["error"])
                assert 405 == (await site.ask(path))[0]

    asyncio.run(scenario())


def test_guessing_tokens_ends(tmp_path):
    """After ten wrong ones not even the right one is looked at."""

    async def scenario():
        async with watched(tmp_path, page=with_actions(tmp_path)) as site:
            tried = [(await site.ask("/api/v1/never-block", ORDER, Authorization=f"Bearer {n}"))[0] for n in range(11)]
            assert [401] * 10 + [429] == tried
            assert 429 == (await site.ask("/api/v1/never-block", ORDER, Authorization=f"Bearer {TOKEN}"))[0]

    asyncio.run(scenario())


def test_health_and_readiness_tell_the_truth(tmp_path):
    """Alive from the start; ready only while Zeek is connected and has greeted in our protocol."""

    async def scenario():
        async with AsyncExitStack() as zeek:
            peer = await zeek.enter_async_context(zeek_peer())
            async with watched(tmp_path, zeek={"url": peer.url}) as site:
                site.peer = peer
                await asyncio.wait_for(peer.subscribed.wait(), 60)
                assert (200, {"status": "ok", "reasons": []}) == await site.ask("/healthz")
                # Zeek has the subscription; the sidecar still has to read the acknowledgement of it.
                await site.until("/api/v1/status", lambda status: status["zeek"]["connected"])
                assert (503, ["Zeek does not answer the sidecar's hello"]) == _reasons(await site.ask("/readyz"))
                await site.greet()
                await site.until("/api/v1/status", lambda status: status["ready"])
                assert (200, []) == _reasons(await site.ask("/readyz"))
                await zeek.aclose()
                await site.until("/api/v1/status", lambda status: "nothing listens" in status["zeek"]["reason"])
                status, reasons = _reasons(await site.ask("/readyz"))
                assert (503, True) == (status, reasons[0].startswith("not connected to Zeek: nothing listens there"))
                assert 200 == (await site.ask("/healthz"))[0]

    asyncio.run(scenario())


def _reasons(answer):
    return answer[0], answer[1]["reasons"]


def test_without_the_page_monitoring_works(tmp_path):
    """page.enabled: false leaves metrics, health and readiness; there is nothing else."""

    async def scenario():
        async with watched(tmp_path, page={"enabled": False}) as site:
            assert 0 == (await asyncio.to_thread(site.sidecar.metrics))["portkin_requests_total"]
            assert [404, 404, 200] == [(await site.ask(path))[0] for path in ("/", "/api/v1", "/healthz")]
            assert "page" not in site.sidecar.wait_for("serving")

    asyncio.run(scenario())


def test_other_clients_are_refused(tmp_path):
    """An address that page.clients does not hold gets nothing, but for what monitoring asks."""

    async def scenario():
        async with watched(tmp_path, page={"clients": ["192.0.2.0/24"]}) as site:
            status, value = await site.ask("/api/v1/status")
            assert (403, True) == (status, "page.clients" in value["error"])
            assert 200 == (await site.ask("/healthz"))[0]

    asyncio.run(scenario())


async def stream(site):
    """A connection that has asked for events; what the server wrote stays in the kernel until it is read."""
    parts = urlsplit(site.url)
    reader, writer = await asyncio.open_connection(parts.hostname, parts.port, limit=2**22)
    writer.write(b"GET /api/v1/events HTTP/1.1\r\nHost: localhost\r\n\r\n")
    return reader, writer


def test_more_viewers_than_allowed_are_told_so(tmp_path):
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


@pytest.mark.parametrize(
    ("token", "mode", "words"),
    [
        (None, 0o600, "page.actions needs a token"),
        ("short", 0o600, "its first line is no token of 16 characters"),
        (TOKEN, 0o604, "everybody can read or write it"),
    ],
)
def test_actions_without_a_good_token_are_refused_at_the_start(tmp_path, token, mode, words):
    """One line that says what is wrong with the token, and how to make one; status 1."""
    page = {"actions": True}
    if token is not None:
        file = tmp_path / "token"
        file.write_text(token)
        file.chmod(mode)
        page["token"] = str(file)
    settings = tmp_path / "portkin.yaml"
    settings.write_text(yaml.safe_dump({"page": page}))
    ran = subprocess.run(
        [sys.executable, "-m", "portkin.cli", "serve", "-c", str(settings)], capture_output=True, text=True, timeout=60
    )
    assert (1, 1, True) == (ran.returncode, len(ran.stderr.splitlines()), words in ran.stderr), ran.stderr


def test_a_taken_port_is_refused_with_the_remedy(tmp_path):
    """Where the address is taken, the error names it and the settings to change."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        settings = tmp_path / "portkin.yaml"
        settings.write_text(yaml.safe_dump({"metrics": {"port": port}}))
        ran = subprocess.run(
            [sys.executable, "-m", "portkin.cli", "serve", "-c", str(settings)],
            capture_output=True, text=True, timeout=60,
        )  # fmt: skip
    assert (1, True) == (ran.returncode, f"cannot listen on 127.0.0.1:{port}" in ran.stderr), ran.stderr
    assert "metrics.port" in ran.stderr
