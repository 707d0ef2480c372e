"""Zeek on a live interface counts on while its sidecar is killed; nothing is lost, nothing counted twice."""

from __future__ import annotations

import signal
import socket
import sqlite3
import time

import pytest

from portkin.net.ports import Port
from support.sidecar_process import SidecarProcess, until
from support.telescope import write_means
from support.zeek_process import SCRIPTS, ZeekProcess, free_port

pytest.importorskip("onnx")
pytestmark = [pytest.mark.zeek, pytest.mark.root, pytest.mark.timeout(200)]
DISCARD = Port(9, "udp")


@pytest.fixture
def probe():
    """Sends that many datagrams to the discard port of this machine, each from a port that no other had."""
    held = []

    def send(number: int) -> None:
        for _ in range(number):
            sender = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
            sender.sendto(b"?", ("127.0.0.1", DISCARD.number))
            held.append(sender)  # open until the end, else the system may give its port again
            time.sleep(0.02)

    yield send
    for sender in held:
        sender.close()


def test_a_killed_sidecar_misses_no_report(zeek, root, probe, tmp_path):
    """100 probes before a SIGKILL, 100 while it is away, 100 after: the window holds 300, and with the next 301."""
    port = free_port()
    database = tmp_path / "rates.sqlite"
    settings = {
        "zeek": {"url": f"ws://127.0.0.1:{port}/v1/messages/json", "backoff": {"first": 0.1, "cap": 0.3}},
        "metrics": {"port": 0},
        "rates": {"model": str(write_means(tmp_path / "models", [DISCARD], width=60)), "database": str(database)},
    }

    def held() -> int:
        if not database.exists():
            return 0
        with sqlite3.connect(database, timeout=10) as opened:
            return opened.execute("SELECT coalesce(sum(n), 0) FROM counts").fetchone()[0]

    scripts = ["-i", "lo", str(SCRIPTS), str(SCRIPTS / "websocket.zeek"), str(SCRIPTS / "rates.zeek")]
    options = [f"Portkin::websocket_port={port}/tcp", "Portkin::rates_interval=1sec"]
    sidecar = SidecarProcess(tmp_path / "sidecar", settings)
    with ZeekProcess(zeek, tmp_path / "zeek", *scripts, *options) as running, sidecar:
        sidecar.wait_for("Zeek answered")
        running.wait_for("listening on lo")
        probe(100)
        until(lambda: 50 <= held(), lambda: f"{held()}\n{sidecar.text}\n{running.out}")
        sidecar.signal(signal.SIGKILL)
        sidecar.process.wait(20)
        probe(100)
        sidecar.start()
        probe(100)
        until(lambda: 300 <= held(), lambda: f"{held()}\n{sidecar.text}\n{running.out}")
        # Reports are sent in order: with the next one has come what would be counted twice.
        probe(1)
        until(lambda: 301 <= held(), lambda: f"{held()}\n{sidecar.text}\n{running.out}")
        assert 301 == held()
        assert 0 == sidecar.metrics()["portkin_rates_errors_total"]
