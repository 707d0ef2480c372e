"""Who may open the page and its API, and who may change something there."""

from __future__ import annotations

import asyncio
import subprocess
import sys

import pytest
import yaml

from support.watched import TOKEN, one, watched, with_actions

__all__ = ["one"]
pytestmark = pytest.mark.timeout(120)
ORDER = {"src": "203.0.113.7", "port": "80/tcp"}
RIGHT = {"Authorization": f"Bearer {TOKEN}", "Content_Type": "application/json"}


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


def test_other_clients_are_refused(tmp_path):
    """An address that page.clients does not hold gets nothing, but for what monitoring asks."""

    async def scenario():
        async with watched(tmp_path, page={"clients": ["192.0.2.0/24"]}) as site:
            status, value = await site.ask("/api/v1/status")
            assert (403, True) == (status, "page.clients" in value["error"])
            assert 200 == (await site.ask("/healthz"))[0]

    asyncio.run(scenario())


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
