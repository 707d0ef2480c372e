"""Every way in which people run Zeek: the sidecar connects, and along a scan it answers, blocks and counts rates."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from support.deployments import Deployment, SystemdUnits, Zeekctl
from support.namespaces import ATTACKER, VICTIM, Network, attacked_sensor
from support.sidecar_process import SidecarProcess, until
from support.telescope import write_means

pytest.importorskip("onnx")
pytestmark = [pytest.mark.zeek, pytest.mark.root, pytest.mark.timeout(300)]

TARGET = VICTIM
LOCAL = f"""
@load portkin
@load portkin/websocket
@load portkin/block
@load portkin/rates
redef Portkin::protected_nets = {{ {TARGET}/32 }};
redef Portkin::rates_interval = 1sec;
redef ignore_checksums = T;
# Again and again: what a node says before it has found the logger is lost.
event say_backend() {{ Reporter::info(cat(Cluster::backend)); schedule 1sec {{ say_backend() }}; }}
event zeek_init() {{ event say_backend(); }}
"""
ZEROMQ = "@load frameworks/cluster/backend/zeromq\n@load frameworks/cluster/backend/zeromq/connect\n"
"""What zeekctl 8.0 leaves to local.zeek: docs/zeek.md."""
PROXY_THREAD = "redef Cluster::Backend::ZeroMQ::run_proxy_thread = T;\n"
"""What one node needs beside it."""
ONE_NODE = "[zeek]\ntype=standalone\nhost=localhost\ninterface=outside\n"
NODES = """
[manager]
type=manager
host=localhost
[proxy-1]
type=proxy
host=localhost
[worker-1]
type=worker
host=localhost
interface=outside
"""
LOGGER = "[logger]\ntype=logger\nhost=localhost\n"
UNITS = "interface = outside\nmanager = 1\nloggers = 1\nproxies = 1\nworkers = 1\n"
SCAN = f"""
import socket, time
for port in range(20000, 21000):
    with socket.socket() as tried:
        tried.settimeout(0.5)
        tried.connect_ex(("{TARGET}", port))
    time.sleep(0.1)
"""


@pytest.fixture
def net(root):
    with attacked_sensor() as network:
        yield network


def zeekctl(backend: str, nodes: str):
    """A maker of zeekctl's deployments."""

    def made(net: Network, machine: str, zeek: str, folder: Path) -> Deployment:
        before = ""
        if backend == "ZeroMQ" and is_8_0(zeek):
            before = ZEROMQ + (PROXY_THREAD if nodes == ONE_NODE else "")
        # zeekctl waits for a manager that does not end: a minute by default.
        settings = {"ClusterBackend": backend, "StopTimeout": "10", "UseWebSocket": "1"}
        return Zeekctl(net, machine, zeek, folder, local=before + LOCAL, nodes=nodes, settings=settings)

    return made


def units(*place: object) -> Deployment:
    return SystemdUnits(*place, local=LOCAL, conf=UNITS)


def is_8_0(zeek: str) -> bool:
    """Later ones have a generator of systemd units, and a zeekctl that loads the backend it is set to."""
    return not (Path(zeek).parent / "zeek-systemd-generator").exists()


DEPLOYMENTS = {
    "one-broker": zeekctl("Broker", ONE_NODE),
    "one-zeromq": zeekctl("ZeroMQ", ONE_NODE),
    "cluster-broker": zeekctl("Broker", NODES),
    "cluster-zeromq": zeekctl("ZeroMQ", NODES + LOGGER),
    "systemd": units,
}
SLOW = {"one-broker", "one-zeromq", "cluster-broker"}


def sidecar_of(net: Network, folder: Path) -> SidecarProcess:
    settings = {
        "zeek": {"backoff": {"first": 0.1, "cap": 0.5}},
        "metrics": {"port": 9477},
        "enforce": {"backend": "shadow", "database": str(folder / "blocks.sqlite"), "count": 1.0},
        "rates": {"model": str(write_means(folder / "models")), "database": str(folder / "rates.sqlite")},
    }
    sidecar = SidecarProcess(folder / "sidecar", settings)
    sidecar.prefix = net.inside("sensor")
    return sidecar


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=[pytest.mark.slow] if name in SLOW else []) for name in DEPLOYMENTS]
)
def test_connects_answers_blocks_and_counts(name, net, zeek, tmp_path):
    """Under each deployment a scan ends in decisions with predictions, blocks, and reports of rates."""
    if name == "systemd" and is_8_0(zeek):
        pytest.skip("this Zeek has no zeek-systemd-generator")
    with DEPLOYMENTS[name](net, "sensor", zeek, tmp_path / "zeek") as site, sidecar_of(net, tmp_path) as sidecar:

        def state() -> str:
            return f"{sidecar.text[-3000:]}\n{site.messages()}"

        site.start()
        sidecar.wait_for("Zeek answered", timeout=60)
        net.start("attacker", sys.executable, "-c", SCAN)

        def answered() -> bool:
            decisions = [row for row in site.rows("portkin") if row["kind"] == "Portkin::DECISION"]
            return any(row["answer"] != "Portkin::NONE" for row in decisions)

        until(answered, state, 60)
        backend = "BROKER" if name.endswith("broker") else "ZEROMQ"

        def backends() -> set[str]:
            messages = {row["message"] for row in site.rows("reporter")}
            return {message for message in messages if "CLUSTER_BACKEND" in message}

        until(backends, state, 60)
        assert {f"Cluster::CLUSTER_BACKEND_{backend}"} == backends()
        listed = [sys.executable, "-m", "portkin.cli", "blocks", "list", "--json"]
        listed += ["-c", str(tmp_path / "sidecar" / "portkin.yaml")]
        blocks = until(lambda: net.run("sensor", *listed).splitlines(), state, 30)
        assert {ATTACKER} == {json.loads(block)["src"] for block in blocks}
        page = "import urllib.request as u; print(u.urlopen('http://127.0.0.1:9477/metrics').read().decode())"

        def reports() -> list[str]:
            lines = net.run("sensor", sys.executable, "-c", page).splitlines()
            return [line for line in lines if line.startswith("portkin_rates_reports_total")]

        found = until(reports, state, 30)
        print(f"{name}: {len(blocks)} blocks; {found}")


@pytest.mark.slow
@pytest.mark.parametrize("backend", ["ZeroMQ"])
def test_cluster_without_a_logger_says_why(backend, net, zeek, tmp_path):
    """A ZeroMQ cluster of zeekctl without a logger: Zeek starts, names the missing logger, and ends when asked to."""
    made = zeekctl(backend, NODES)
    with made(net, "sensor", zeek, tmp_path / "zeek") as site, sidecar_of(net, tmp_path):
        site.start()
        until(lambda: "this cluster has no logger" in site.messages(), site.messages, 60)
