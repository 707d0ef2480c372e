"""Sidecars, Zeek and Suricata killed at random moments while blocks are made: what must hold, holds; as root."""

from __future__ import annotations

import random
import re
import signal
import socket
import sqlite3
import subprocess
import time
from collections import Counter
from ipaddress import ip_address
from pathlib import Path

import pytest

from portkin.blocking.backends.nftables import Nftables
from portkin.blocking.backends.place import Place
from portkin.blocking.block import BlockKey, key_of
from portkin.errors import BackendError
from portkin.net.addresses import Nets, number_of
from portkin.net.ports import Port
from support.netns import private_network
from support.sidecar_process import SidecarProcess, until
from support.suricata_socket import Inside
from support.tables import small_table
from support.zeek_process import SCRIPTS, ZeekProcess, backend_loads, free_port

pytestmark = [pytest.mark.root, pytest.mark.zeek, pytest.mark.suricata, pytest.mark.slow, pytest.mark.timeout(900)]
BLOCKER = Path(__file__).resolve().parents[1] / "support" / "blocker.zeek"
NEVER = Nets(["198.51.100.0/24"])
ROUNDS = 200
LONGEST = 7.0
"""Seconds: the longest block that is asked for, and a little."""
LOOSE = 2.1
"""Seconds by which kernel and database may differ, as in `reconcile`."""


class Tables:
    """What the kernel says of new elements while the test runs: every source that ever was in a set."""

    def __init__(self) -> None:
        self._socket = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 12)
        self._socket.setsockopt(socket.SOL_SOCKET, 33, 1 << 24)  # SO_RCVBUFFORCE
        self._socket.bind((0, 1 << 6))  # NFNLGRP_NFTABLES
        self._socket.setblocking(False)
        self.seen = 0
        self.never = 0

    def read(self) -> None:
        forbidden = socket.inet_aton("198.51.100.0")[:3]
        while True:
            try:
                data = self._socket.recv(1 << 20)
            except BlockingIOError:
                return
            self.seen += 1
            # NFTA_DATA_VALUE, 8 bytes: an address and a port; the forbidden net as an address of any message.
            self.never += bool(re.search(re.escape(b"\x0c\x00\x01\x00" + forbidden), data))


def rows(path: Path) -> list[tuple[BlockKey, float, str | None, float | None]]:
    """(pair, until, outcome, ended) of all rows of the database."""
    database = sqlite3.connect(f"file:{path}?mode=ro", uri=True, timeout=30)
    query = "SELECT src, port, proto, until, outcome, ended FROM blocks"
    try:
        found = database.execute(query).fetchall()
    finally:
        database.close()
    return [(BlockKey(number_of(src), Port(port, proto)), *rest) for src, port, proto, *rest in found]


def check_kernel(database: Path) -> int:
    """What the kernel holds is in the database, and ends when they say; returns how much it holds."""
    kernel = Nftables(Place())
    try:
        before = time.time()
        held = kernel.held()
    except BackendError:
        return 0  # not set up yet
    finally:
        kernel.close()
    ends: dict[BlockKey, float] = {}
    for pair, until_, outcome, ended in rows(database):
        if outcome is None or ended >= before - LOOSE:
            ends[pair] = max(until_, ends.get(pair, 0.0))
    for pair, (seconds, *_) in held.items():
        assert pair.src not in NEVER
        # A block that was removed by a sidecar killed right then is found by the next one.
        if pair in ends:
            assert before + seconds <= ends[pair] + LOOSE, f"{pair} outlives its time"
        else:
            assert seconds <= LONGEST
    return len(held)


def test_nothing_is_lost_and_nothing_outlives_its_time(root, zeek, suricata, tmp_path):
    """In 200 rounds of kill -9 no block is lost from the database, outlives its time, or was one that may never be."""
    dice = random.Random(20_190_408)
    small_table(tmp_path / "table")
    with private_network():
        subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
        port = free_port()

        def settings(name: str, **enforce) -> dict:
            return {
                "zeek": {"url": f"ws://127.0.0.1:{port}/v1/messages/json", "backoff": {"first": 0.05, "cap": 0.2}},
                "table": {"path": str(tmp_path / "table")},
                "metrics": {"enabled": False},
                "enforce": {
                    "database": str(tmp_path / name / "blocks.sqlite"),
                    "check": 0.5,
                    "count": 0.5,
                    "limits": {"never_nets": ["198.51.100.0/24"], "grace": 2.0},
                    **enforce,
                },
            }

        inside = Inside(suricata, tmp_path / "suricata", ports=range(1, 101))
        asking = ZeekProcess(
            zeek,
            tmp_path / "zeek",
            *backend_loads(zeek, "websocket"),
            SCRIPTS / "api.zeek",
            BLOCKER,
            WEBSOCKET_PORT=port,
        )
        kernel_side = SidecarProcess(tmp_path / "kernel", settings("kernel", backend="nftables"))
        bit_side = SidecarProcess(
            tmp_path / "bits", settings("bits", backend="suricata", suricata={"socket": str(inside.socket)})
        )
        databases = {side: tmp_path / side / "blocks.sqlite" for side in ("kernel", "bits")}
        tables, killed, most = Tables(), Counter(), 0
        running = {"sidecar": kernel_side, "bits": bit_side, "zeek": asking, "suricata": inside}
        try:
            for each in running.values():
                each.start()
            kernel_side.wait_for("Zeek answered", timeout=60)
            until(lambda: "added" in asking.out, lambda: asking.out)
            for _ in range(ROUNDS):
                time.sleep(dice.uniform(0.0, 1.2))
                name = dice.choices(list(running), [9, 4, 4, 3])[0]
                running[name].process.send_signal(signal.SIGKILL)
                running[name].process.wait()
                killed[name] += 1
                running[name].start()
                tables.read()
                if databases["kernel"].exists():
                    most = max(most, check_kernel(databases["kernel"]))
            # Everything comes back, and works.
            before = len(asking.out)
            until(lambda: "added" in asking.out[before:], lambda: kernel_side.text[-3000:], timeout=60)
            asking.process.kill()
            asking.process.wait()
            tables.read()
            check_kernel(databases["kernel"])
            # All of what was reported to Zeek is in the database of the one or the other.
            reported = Counter(
                key_of(ip_address(src), Port.parse(text))
                for src, text in re.findall(r"^added (\S+) (\S+)", asking.out, re.MULTILINE)
            )
            written = Counter(pair for side in databases.values() for pair, *_ in rows(side))
            assert not reported - written
            assert not any(pair.src in NEVER for pair in written)
            # With nobody asking, and the sidecars dead, all of it ends.
            for side in (kernel_side, bit_side):
                side.process.kill()
                side.process.wait()
            sources = [f"{net}.{n}" for net in ("203.0.113", "198.51.100") for n in range(64)]

            def blocked() -> dict[str, object]:
                in_kernel = {"the kernel": held} if (held := check_kernel(databases["kernel"])) else {}
                return in_kernel | {src: bits for src in sources if (bits := inside.bits(src))}

            until(lambda: not blocked(), lambda: f"{blocked()} outlives its time", LONGEST + LOOSE)
        finally:
            for each in running.values():
                if each.process is not None and each.process.poll() is None:
                    each.process.kill()
                    each.process.wait()
        print(
            f"killed {dict(killed)}; {sum(reported.values())} blocks reported, {sum(written.values())} written, "
            f"{most} at once"
        )
        assert ROUNDS == sum(killed.values())
        assert sum(reported.values()) > 500
        assert (True, 0) == (tables.seen > 100, tables.never)
        logs = kernel_side.text + bit_side.text
        assert "defect" not in logs
        assert "set aside" not in logs
