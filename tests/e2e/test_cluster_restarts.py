"""A cluster under scan load while each of its parts is killed and started again: what is lost, and for how long."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from support.namespaces import VICTIM, Network, attacked_sensor
from support.sidecar_process import SidecarProcess, until
from support.zeek_process import SCRIPTS, ZeekProcess

pytestmark = [pytest.mark.zeek, pytest.mark.root, pytest.mark.timeout(900)]

TARGET = VICTIM
WEBSOCKET = 27759
NODES = ("manager", "logger", "proxy-1", "worker-1")

LAYOUT = """
redef Cluster::manager_is_logger = F;
redef Cluster::nodes = {
	["manager"] = [$node_type=Cluster::MANAGER, $ip=127.0.0.1],
	["logger"] = [$node_type=Cluster::LOGGER, $ip=127.0.0.1, $p=27761/tcp],
	["proxy-1"] = [$node_type=Cluster::PROXY, $ip=127.0.0.1, $manager="manager"],
	["worker-1"] = [$node_type=Cluster::WORKER, $ip=127.0.0.1, $manager="manager"],
};
"""
LOCAL = f"""
redef Portkin::protected_nets = {{ {TARGET}/32 }};
redef Log::default_rotation_interval = 0sec;
redef exit_only_after_terminate = T;
# Lines are written as they come, so that the test sees them.
redef LogAscii::enable_utf_8 = T;
redef Threading::heartbeat_interval = 0.2sec;
"""
AWAY = 30
"""How many probes, ten a second, come while a node is away."""
# Closed ports one after another, ten a second, for four minutes at most: each is refused. Prints each.
SCAN = f"""
import socket, time
for port in range(20000, 22400):
    print(port, flush=True)
    with socket.socket() as tried:
        tried.settimeout(0.5)
        tried.connect_ex(("{TARGET}", port))
    time.sleep(0.1)
"""


class Cluster:
    """The nodes of a ZeroMQ cluster, as command lines; each start of a node has a folder of its own."""

    def __init__(self, net: Network, zeek: str, folder: Path) -> None:
        self._net, self._zeek, self._folder = net, zeek, folder
        self._starts = dict.fromkeys(NODES, 0)
        self.running: dict[str, ZeekProcess] = {}
        (folder / "cluster-layout.zeek").write_text(LAYOUT)
        (folder / "local.zeek").write_text(LOCAL)
        config = Path(zeek).parent / "zeek-config"
        paths = subprocess.run([config, "--zeekpath"], capture_output=True, text=True, check=True).stdout.strip()
        self._zeekpath = f"{paths}:{folder}"
        zeromq = Path(paths.split(":")[1]) / "policy" / "frameworks" / "cluster" / "backend" / "zeromq"
        text = (zeromq / "connect.zeek").read_text()
        self._backend = ["frameworks/cluster/backend/zeromq"]
        # Part of it in 8.0, deprecated from 8.1 on.
        self._backend += [] if "@deprecated" in text else ["frameworks/cluster/backend/zeromq/connect"]

    def start(self, name: str) -> None:
        self._starts[name] += 1
        place = self._folder / f"{name}-{self._starts[name]}"
        scripts: list[Path | str] = [*self._backend, SCRIPTS, SCRIPTS / "websocket.zeek", SCRIPTS / "block.zeek"]
        scripts.append(self._folder / "local.zeek")
        if name.startswith("worker"):
            scripts = ["-i", "outside", *scripts]
        node = ZeekProcess(self._zeek, place, *scripts, CLUSTER_NODE=name, ZEEKPATH=self._zeekpath)
        node.prefix = self._net.inside("sensor")
        self.running[name] = node.start()

    def kill(self, name: str) -> None:
        self.running[name].process.send_signal(signal.SIGKILL)
        self.running[name].process.wait(20)

    def end(self) -> None:
        for node in self.running.values():
            node.process.terminate()
        for node in self.running.values():
            node.end()

    def messages(self) -> str:
        return "\n".join(f"{path}:\n{path.read_text()[-2000:]}" for path in sorted(self._folder.glob("*/zeek.out")))

    def decisions(self) -> dict[int, str]:
        """By probed port, how each decision that was logged came by its answer."""
        found: dict[int, str] = {}
        for log in sorted(self._folder.glob("logger-*/portkin.log")):
            fields: list[str] = []
            for line in log.read_text(errors="replace").splitlines():
                values = line.split("\t")
                if values[0] == "#fields":
                    fields = values[1:]
                row = dict(zip(fields, values, strict=False))
                if row.get("kind") == "Portkin::DECISION":
                    found[int(row["probed"])] = row["answer"].removeprefix("Portkin::")
        return found


@pytest.fixture
def net(root):
    with attacked_sensor() as network:
        yield network


def test_predictions_are_back_after_every_restart(net, zeek, tmp_path):
    """Worker, proxy, logger, manager and sidecar are killed in turn: predictions come back, and no block is lost."""
    cluster = Cluster(net, zeek, tmp_path)
    settings = {
        "zeek": {"backoff": {"first": 0.1, "cap": 0.5}},
        "metrics": {"enabled": False},
        "enforce": {"backend": "shadow", "database": str(tmp_path / "blocks.sqlite"), "count": 1.0},
    }
    sidecar, scanned = SidecarProcess(tmp_path / "sidecar", settings), tmp_path / "scanned"
    scanned.touch()
    sidecar.prefix = net.inside("sensor")

    def blocked() -> set[tuple[str, str]]:
        """What is blocked, as (source, port)."""
        where = ("-c", str(tmp_path / "sidecar" / "portkin.yaml"))
        lines = net.run("sensor", sys.executable, "-m", "portkin.cli", "blocks", "list", "--json", *where).splitlines()
        return {(block["src"], block["port"]) for block in map(json.loads, lines)}

    def predicted_again(before: int) -> float:
        """Seconds until a port above those that were decided before has a decision with an answer."""
        began = time.monotonic()

        def found() -> bool:
            return any(port > before and answer != "NONE" for port, answer in cluster.decisions().items())

        until(found, lambda: f"{cluster.decisions()}\n{sidecar.text[-3000:]}\n{cluster.messages()}", 120)
        return time.monotonic() - began

    def decided() -> int:
        return max(cluster.decisions(), default=0)

    def probed() -> int:
        return int((scanned.read_text().split() or ["0"])[-1])

    def wait_for_probes(number: int) -> int:
        """The latest port, when the scan has gone on by that many."""
        end = probed() + number
        until(lambda: probed() >= end, lambda: f"the scan stands still at {probed()}")
        return probed()

    lines = [
        f"{Path(zeek).parents[1].name}: away for {AWAY} probes; seconds from start to predictions, probes undecided"
    ]
    try:
        for name in NODES:
            cluster.start(name)
        with sidecar:
            sidecar.wait_for("Zeek answered", timeout=60)
            net.start("attacker", sys.executable, "-c", SCAN, out=scanned)
            predicted_again(0)
            for name in ("worker-1", "proxy-1", "logger", "manager", "sidecar"):
                before, blocks = decided(), until(blocked, lambda: sidecar.text)
                if name == "sidecar":
                    sidecar.signal(signal.SIGKILL)
                    sidecar.process.wait(20)
                else:
                    cluster.kill(name)
                later = wait_for_probes(AWAY)
                if name == "sidecar":
                    sidecar.start()
                else:
                    cluster.start(name)
                took = predicted_again(later)
                # Decisions are logged in order: with a later one, those of all probes so far.
                now = probed()
                until(lambda now=now: decided() > now, lambda: f"{cluster.decisions()}\n{cluster.messages()}")
                after = cluster.decisions()
                assert set() == blocks - blocked()
                missing = sum(port not in after for port in range(before, now))
                lines.append(f"{name:10} {took:6.1f} {missing:4d}")
            print("\n".join(lines))
    finally:
        cluster.end()
