"""The API of a serving sidecar: the fields and values of its answers, its errors, and health."""

from __future__ import annotations

import asyncio
import socket
import subprocess
import sys
from contextlib import AsyncExitStack

import pytest
import yaml

from portkin.web.app import SECTIONS
from support.watched import one, watched
from support.zeek_peer import zeek_peer

__all__ = ["one"]
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
        "table": {
            "id": str, "method": str, "k": int, "built": NUMBER, "min_chance": MAYBE, "chances": bool,
            "by_source": bool,
        },
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


def test_before_the_first_block_the_fields_are_there(tmp_path):
    """A sidecar of which nobody has asked a block yet has no database, and answers with the same fields, empty."""

    async def scenario():
        async with watched(tmp_path) as site:
            await site.greet()
            for name in SECTIONS:
                assert CONTRACT[name].keys() == (await site.get(f"/api/v1/{name}")).keys(), name
            assert {"active": 0, "shown": []} == await site.get("/api/v1/blocks")
            assert [] == (await site.get("/api/v1/figures"))["days"]

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
    """After a restart the figures since the start begin at zero, and those of the day go on."""

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
            assert 0 == (await asyncio.to_thread(site.sidecar.metrics))['portkin_requests_total{by="port"}']
            assert [404, 404, 200] == [(await site.ask(path))[0] for path in ("/", "/api/v1", "/healthz")]
            assert "page" not in site.sidecar.wait_for("serving")

    asyncio.run(scenario())


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
