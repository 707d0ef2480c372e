"""A peer that sends junk and hostile arguments to a sidecar that blocks with nftables; as root."""

from __future__ import annotations

import asyncio
import itertools
import json
import random
import re
import sqlite3
import subprocess
from pathlib import Path

import pytest

from portkin.zeek.block_messages import BlockResponse
from portkin.zeek.messages import (
    TO_SIDECAR,
)
from support.enforcing import block
from support.netns import private_network
from support.sidecar_process import SidecarProcess
from support.tables import small_table
from support.zeek_peer import zeek_peer

pytestmark = [pytest.mark.root, pytest.mark.timeout(600)]
JUNK_FRAMES, HOSTILE = 100_000, 10_000

SYNTAX = (
    "} ; flush ruleset; add element inet portkin tcp4 {",
    "192.0.2.1 . 80 timeout 1s }; delete table inet portkin; #",
    "$(reboot)", "`id`", "'; DROP TABLE blocks; --", '"', "\\", "\n", "\0", "\u2028", "\ud800", "%s%n",
    "../../etc/passwd", "A" * 10_000, "", " ", "evidence=OPERATOR\0", "inet portkin", "0x7f000001", "١٢٣", "@tcp4",
)  # fmt: skip
ADDRESSES = (
    "1.2.3.4; flush ruleset", "1.2.3.4 . 80", "0x7f.1", "010.1.1.1", "1.2.3", "1.2.3.4/0", "::1%;flush ruleset",
    "2001:db8::1%}; flush ruleset; {", "fe80::1%eth0", "::ffff:1.2.3.4.5", "localhost", "", "*", "256.1.1.1", "::g",
    "127.0.0.1", "0.0.0.0", "255.255.255.255", "224.0.0.1", "::", "ff02::1",
)  # fmt: skip
PORTS = (
    "80; drop/tcp", "-1/tcp", "65536/tcp", "99999999999999999999/udp", "80/icmp", "80/?", "0x50/tcp", "80", "/tcp",
    "80/tcp }", "８０/tcp", "80/tcp\n", "1e3/tcp", "",
)  # fmt: skip
SPANS = (
    "-5s", "0s", "1e308s", "nan s", "nans", "infs", "99999999999999999999d", "9" * 400 + "s", "5", "s", "5 fortnights",
    "1ns", "-9223372036854775808ns", "5s; flush ruleset", "0x5s",
)  # fmt: skip


def frame(name: str, *args: tuple[str, object]) -> str:
    """An event as Zeek frames it, whatever the arguments."""
    tagged = [{"@data-type": kind, "data": data} for kind, data in args]
    numbers = [{"@data-type": "count", "data": 1}] * 2
    parts = [{"@data-type": "string", "data": name}, {"@data-type": "vector", "data": tagged}]
    content = {"@data-type": "vector", "data": parts}
    head = {"type": "data-message", "topic": TO_SIDECAR, "@data-type": "vector"}
    return json.dumps({**head, "data": [*numbers, content]})


def hostile(dice: random.Random) -> str:
    """A request to block or unblock with at least one argument that means harm; the evidence proves nothing."""
    reqid, table_id, why = (dice.choice(SYNTAX) for _ in range(3))
    src, port, span = "203.0.113.9", "80/tcp", "60s"
    harm = dice.randrange(4)
    if harm == 0:
        src = dice.choice(ADDRESSES)
    elif harm == 1:
        port = dice.choice(PORTS)
    elif harm == 2:
        span = dice.choice(SPANS)
    rank = dice.choice([0, 1, 2**63, 2**64 - 1, -1, "0", None])
    one = (
        ("string", reqid),
        ("port", port),
        ("timespan", span),
        ("count", rank),
        ("string", "evidence=TRW " + why[:99]),
    )
    vectors = [("vector", [{"@data-type": kind, "data": data}]) for kind, data in one]
    return frame("Portkin::block_requests", ("address", src), ("string", table_id), ("port", port), *vectors)


def junk(dice: random.Random) -> str | bytes:
    """A frame that is no message."""
    text = dice.choice(SYNTAX)
    return dice.choice(
        (
            text.encode(errors="replace"),
            dice.randbytes(40),
            json.dumps({"type": "data-message", "data": text}),
            json.dumps([[[[text]]]]),
            frame("Portkin::flush_ruleset", ("string", text)),
            frame("Portkin::block_requests", ("string", text)),
            frame("Portkin::unblock_request", ("string", text), ("string", text), ("string", text)),
            frame("Portkin::block_responses", *[("string", text)] * 5),
            frame(text, ("address", text)),
            "[" * 2000,
        )
    )


def ruleset() -> str:
    """All that nftables holds, without counts and clocks."""
    listed = subprocess.run(["nft", "list", "ruleset"], check=True, capture_output=True, text=True).stdout
    return re.sub(r"(packets|bytes|expires) \S+", "", listed)


def test_junk_and_hostile_arguments_change_nothing_but_counters(root, tmp_path):
    """100,000 junk frames and 10,000 hostile requests leave ruleset and database as they were; blocking works on."""
    small_table(tmp_path / "table")
    dice = random.Random(4)

    async def scenario() -> None:
        async with zeek_peer() as peer:
            settings = {
                "zeek": {"url": peer.url},
                "table": {"path": str(tmp_path / "table")},
                "metrics": {"port": 0},
                "enforce": {"backend": "nftables", "database": str(tmp_path / "blocks.sqlite")},
            }
            with SidecarProcess(tmp_path, settings) as sidecar:
                await asyncio.wait_for(peer.subscribed.wait(), 60)
                await peer.say(block("203.0.113.5", "80", 3600))
                assert "added" == (await asyncio.wait_for(peer.hear(BlockResponse), 30)).outcome
                before, rows = ruleset(), written(tmp_path / "blocks.sqlite")
                assert "203.0.113.5 . 80" in before
                for frames in (
                    (junk(dice) for _ in range(JUNK_FRAMES)),
                    (hostile(dice) for _ in range(HOSTILE)),
                ):
                    for some in batched(frames, 500):
                        for each in some:
                            await peer.client.send(each)
                        await asyncio.sleep(0.001)  # the peer has pings to answer, too
                        while not peer.arrived.empty():
                            refused = peer.arrived.get_nowait()
                            assert getattr(refused, "outcome", "vetoed") in ("vetoed",)
                # Answered after all of it: what came before has been dealt with.
                await peer.say(block("203.0.113.5", "80", 60))
                while True:
                    answer = await asyncio.wait_for(peer.hear(BlockResponse), 120)
                    if str(answer.src) == "203.0.113.5":
                        break
                    assert "vetoed" == answer.outcome
                assert "exists" == answer.outcome
                assert (before, rows) == (ruleset(), written(tmp_path / "blocks.sqlite"))
                metrics = await asyncio.to_thread(sidecar.metrics)
                counted = sum(value for name, value in metrics.items() if "portkin_invalid_messages_total" in name)
                vetoed = sum(value for name, value in metrics.items() if name.startswith("portkin_block_vetoes_total"))
                print(f"{counted:.0f} junk, {vetoed:.0f} vetoed")
                assert JUNK_FRAMES + HOSTILE == counted + vetoed
                assert 0 == metrics["portkin_failures_total"]
                await peer.say(block("203.0.113.5", "81", 3600))
                assert "added" == (await asyncio.wait_for(peer.hear(BlockResponse), 30)).outcome
                assert "defect" not in sidecar.text

    with private_network():
        subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
        asyncio.run(scenario())


def batched(items, size):
    """`itertools.batched`, which Python 3.11 lacks."""
    items = iter(items)
    while some := list(itertools.islice(items, size)):
        yield some


def written(path: Path) -> list[tuple]:
    """All rows of the database."""
    database = sqlite3.connect(f"file:{path}?mode=ro", uri=True)
    found = database.execute("SELECT * FROM blocks").fetchall()
    database.close()
    return found
