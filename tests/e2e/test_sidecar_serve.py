"""``portkin serve`` as a process, against a loopback peer that speaks as Zeek does."""

from __future__ import annotations

import asyncio
import signal
import subprocess
import sys
from contextlib import ExitStack
from pathlib import Path

import pytest

from portkin.net.ports import Port
from portkin.zeek.event import Count
from portkin.zeek.messages import PROTOCOL, HelloRequest, HelloResponse, NearestRequest, NearestResponse, TableChanged
from support.sidecar_process import SidecarProcess, until
from support.tables import small_table
from support.zeek_peer import zeek_peer


@pytest.fixture
def table(tmp_path):
    return small_table(tmp_path / "table")


def settings(tmp_path, url, **more):
    """Settings for a test: quick attempts, a free port for metrics, a poll that does not get in the way."""
    return {
        "zeek": {"url": url, "backoff": {"first": 0.05, "cap": 0.2}},
        "table": {"path": str(tmp_path / "table"), "poll": 3600.0},
        "metrics": {"port": 0},
        "enforce": {"database": str(tmp_path / "blocks.sqlite")},  # not this machine's, which may be there
        **more,
    }


async def ask(peer, reqid="r", port="22/tcp", k=3):
    """Ask the sidecar and wait for that answer."""
    await peer.say(NearestRequest(reqid, Port.parse(port), Count(k), -1.0))
    while (answer := await asyncio.wait_for(peer.hear(NearestResponse), 20)).reqid != reqid:
        pass
    return answer


def test_it_greets_answers_and_ends(tmp_path, table):
    """It says hello until answered, answers requests, counts them, and SIGTERM ends it with status 0."""

    async def scenario():
        async with zeek_peer() as peer:
            with SidecarProcess(tmp_path, settings(tmp_path, peer.url)) as sidecar:
                hello = await asyncio.wait_for(peer.hear(HelloRequest), 30)
                assert hello == await asyncio.wait_for(peer.hear(HelloRequest), 30)
                assert (table.id, 3) == (hello.table_id, hello.k)
                await peer.say(HelloResponse(hello.reqid, Count(PROTOCOL), "zeek", "8.0.9"))
                answer = await ask(peer)
                assert (Port(23, "tcp"), Port(2222, "tcp"), Port(80, "tcp")) == answer.ports
                assert () == (await ask(peer, "r2", "7/tcp")).ports
                metrics = await asyncio.to_thread(sidecar.metrics)
                names = ('requests_total{by="port"}', 'requests_total{by="source"}')
                assert [2, 0] == [metrics[f"portkin_{name}"] for name in names]
                names = ("answers", "misses", "messages_dropped", "reconnects")
                assert [2, 1, 0, 0] == [metrics[f"portkin_{name}_total"] for name in names]
                sidecar.signal(signal.SIGTERM)
                assert 0 == await asyncio.to_thread(sidecar.process.wait, 20)
                await asyncio.wait_for(peer.client.wait_closed(), 20)
                assert 1000 == peer.client.close_code
                assert ["serving", "connected to Zeek", "Zeek answered", "ended"] == [e["event"] for e in sidecar.log]

    asyncio.run(scenario())


def test_interrupting_ends_it_too(tmp_path, table):
    """SIGINT ends it cleanly even while it waits for a Zeek that is not there."""
    with SidecarProcess(tmp_path, settings(tmp_path, "ws://127.0.0.1:1/")) as sidecar:
        sidecar.wait_for("no connection to Zeek")
        sidecar.signal(signal.SIGINT)
        assert 0 == sidecar.process.wait(20)


def test_a_hangup_reloads_the_table_without_losing_a_request(tmp_path, table):
    """While SIGHUP after SIGHUP brings new tables, every request is answered and the changes are announced."""
    asked = 400

    async def scenario():
        async with zeek_peer() as peer:
            with SidecarProcess(tmp_path, settings(tmp_path, peer.url)) as sidecar:
                await asyncio.wait_for(peer.hear(HelloRequest), 30)
                for n in range(asked):
                    if n % 100 == 50:
                        new = await asyncio.to_thread(small_table, tmp_path / "table", shift=n)
                        sidecar.signal(signal.SIGHUP)
                    await peer.say(NearestRequest(f"r{n}", Port(22, "tcp"), Count(3), -1.0))
                    await asyncio.sleep(0.002)
                answered, announced = set(), set()
                while len(answered) < asked or new.id not in announced:
                    message = await asyncio.wait_for(peer.hear(), 20)
                    if isinstance(message, NearestResponse):
                        answered.add(message.reqid)
                    elif isinstance(message, TableChanged):
                        announced.add(message.table_id)
                return len(answered)

    assert asked == asyncio.run(scenario())


def test_a_changed_folder_is_noticed_and_a_bad_table_refused(tmp_path, table):
    """Without a signal a new table is taken; a damaged one is refused, and the old one answers on."""

    async def scenario():
        async with zeek_peer() as peer:
            config = settings(tmp_path, peer.url)
            config["table"]["poll"] = 0.05
            with SidecarProcess(tmp_path, config) as sidecar:
                await asyncio.wait_for(peer.hear(HelloRequest), 30)
                new = await asyncio.to_thread(small_table, tmp_path / "table", shift=1)
                assert new.id == (await asyncio.wait_for(peer.hear(TableChanged), 20)).table_id
                (tmp_path / "table" / "manifest.json").write_text("{}")
                await asyncio.to_thread(sidecar.wait_for, "new table refused, the old one stays")
                assert new.id == (await ask(peer)).table_id

    asyncio.run(scenario())


def test_it_comes_back_after_being_killed(tmp_path, table):
    """Killed with SIGKILL in the middle and started again, it greets again and answers."""

    async def scenario():
        async with zeek_peer() as peer:
            with SidecarProcess(tmp_path, settings(tmp_path, peer.url)) as sidecar:
                await asyncio.wait_for(peer.hear(HelloRequest), 30)
                await ask(peer, "before")
                sidecar.signal(signal.SIGKILL)
                sidecar.process.wait(20)
                sidecar.start()
                while peer.connections < 2:
                    await asyncio.sleep(0.02)
                assert "after" == (await ask(peer, "after")).reqid

    asyncio.run(scenario())


def test_it_finds_a_zeek_that_was_restarted(tmp_path, table):
    """When Zeek goes and comes back, the sidecar greets it again and counts a reconnect."""

    async def scenario(stack):
        async with zeek_peer() as peer:
            port = peer.port
            stack.enter_context(sidecar := SidecarProcess(tmp_path, settings(tmp_path, peer.url)))
            first = await asyncio.wait_for(peer.hear(HelloRequest), 30)
        async with zeek_peer(port) as again:
            second = await asyncio.wait_for(again.hear(HelloRequest), 30)
            assert first.reqid != second.reqid
            assert "r" == (await ask(again)).reqid
            assert 1 == (await asyncio.to_thread(sidecar.metrics))["portkin_reconnects_total"]

    with ExitStack() as stack:
        asyncio.run(scenario(stack))


def test_junk_from_a_peer_never_ends_it(tmp_path, table):
    """Five hundred frames of junk of every kind later, it is the same process, and it answers."""
    junk = ["{", "[]", "null", '{"type":"data-message"}', "x" * 10_000, "[" * 5000, '{"type":"error"}']

    async def scenario():
        async with zeek_peer() as peer:
            with SidecarProcess(tmp_path, settings(tmp_path, peer.url)) as sidecar:
                await asyncio.wait_for(peer.hear(HelloRequest), 30)
                for n in range(500):
                    await peer.client.send(junk[n % len(junk)])
                    await peer.client.send(bytes([n % 256, 255]), text=bool(n % 2))
                await peer.say(TableChanged("foreign", Count(1), False))
                assert "r" == (await ask(peer)).reqid
                metrics = await asyncio.to_thread(sidecar.metrics)
                counted = sum(value for name, value in metrics.items() if "portkin_invalid_messages_total{" in name)
                assert (1001, None, 1) == (counted, sidecar.process.poll(), peer.connections)
                assert len(sidecar.log) < 20

    asyncio.run(scenario())


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--table", "nowhere"], "nowhere: not a portkin-table bundle"),
        (["--url", "http://127.0.0.1/"], "'http://127.0.0.1/' is no address of a WebSocket"),
        (["-c", "nowhere.yaml"], "nowhere.yaml: cannot be read"),
        (["--transport", "broker", "--broker", "nonsense"], "roker"),
    ],
)
def test_what_can_never_work_is_refused_in_one_line(tmp_path, table, flags, message):
    """A table, an address or a file that cannot be used ends it at once: status 1, one line, no traceback."""
    common = [] if "--table" in flags else ["--table", str(tmp_path / "table")]
    done = subprocess.run(
        [sys.executable, "-m", "portkin.cli", "serve", *common, *flags],
        capture_output=True, text=True, timeout=60, cwd=tmp_path,
    )  # fmt: skip
    lines = done.stderr.splitlines()
    assert (1, 1, True) == (done.returncode, len(lines), message in lines[0])


def test_a_serving_sidecar_is_small(tmp_path, table):
    """Serving, it holds at most 120 MB, and has loaded neither onnxruntime nor anything that trains."""

    async def scenario():
        async with zeek_peer() as peer:
            with SidecarProcess(tmp_path, settings(tmp_path, peer.url)) as sidecar:
                await asyncio.wait_for(peer.hear(HelloRequest), 30)
                for n in range(50):
                    await ask(peer, f"r{n}")
                until(lambda: sidecar.rss() <= 120, lambda: f"{sidecar.rss():.1f} MB", 5)
                maps = Path(f"/proc/{sidecar.process.pid}/maps").read_text()
                return [name for name in ("/onnxruntime/", "/torch/", "/scipy/") if name in maps]

    assert [] == asyncio.run(scenario())
