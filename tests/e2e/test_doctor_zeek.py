"""``portkin doctor`` beside real Zeeks that are not as they should be."""

from __future__ import annotations

import signal
import subprocess
from pathlib import Path

import pytest

from portkin.zeek.messages import PROTOCOL
from support.examined import Live, examined, settings
from support.sidecar_process import until
from support.zeek_process import SCRIPTS, ZeekProcess, free_port

WEBSOCKET = SCRIPTS / "websocket.zeek"
ZEROMQ = Path(__file__).resolve().parents[1] / "zeek" / "support" / "zeromq-backend.zeek"


@pytest.mark.zeek
def test_a_zeek_that_hangs_is_distinguished_from_one_that_cannot_be_reached(zeek, tmp_path):
    """A process that was stopped takes connections and answers none: no firewall and no wrong address is suspected."""
    live = Live(zeek, tmp_path)
    with live.zeek:
        live.listens()
        live.zeek.process.send_signal(signal.SIGSTOP)
        try:
            _, found, _ = examined(live.file)
        finally:
            live.zeek.process.send_signal(signal.SIGCONT)
    assert "restart it" in found["zeek.hangs"]["remedy"]


@pytest.mark.zeek
def test_the_doctor_is_taken_for_no_sidecar(zeek, tmp_path):
    """Beside a Zeek without a sidecar it says so, and Zeek, which it asked, still has none."""
    live = Live(zeek, tmp_path)
    file = settings(tmp_path, zeek={"url": live.url})
    with live.zeek:
        live.listens()
        for _ in range(2):
            status, found, facts = examined(file)
            assert (2, True) == (status, "zeek.no-sidecar" in found)
            assert not facts["zeek"]["nodes"][0]["sidecar"]
        assert "sidecar" not in live.zeek.out.replace("no sidecar", "")


@pytest.mark.zeek
def test_another_protocol_version_is_named(zeek, tmp_path):
    """A package that speaks version 2 beside this portkin: both versions are named."""
    live = Live(zeek, tmp_path, protocol=PROTOCOL + 1)
    with live.zeek:
        live.listens()
        _, found, _ = examined(settings(tmp_path, zeek={"url": live.url}))
    assert (
        f"the package in Zeek speaks version {PROTOCOL + 1} of the event protocol, this portkin {PROTOCOL}"
        == found["zeek.protocol"]["what"]
    )


def bare(zeek: str, folder: Path, *scripts: Path | str, backend: str = "") -> tuple[ZeekProcess, str]:
    """A Zeek without portkin that opens a WebSocket, and its address."""
    port = free_port()
    script = folder / "bare.zeek"
    script.write_text(
        f"{backend}\nredef exit_only_after_terminate = T;\nevent zeek_init() {{ Cluster::listen_websocket("
        f"Cluster::WebSocketServerOptions($listen_addr=127.0.0.1, $listen_port={port}/tcp));\n"
        'print "up"; flush_all(); }\n'
    )
    return ZeekProcess(zeek, folder / "zeek", *scripts, script), f"ws://127.0.0.1:{port}/v1/messages/json"


@pytest.mark.zeek
def test_a_zeek_without_portkin_is_named(zeek, tmp_path):
    """It acknowledges, and refuses the question, which it does not know: load portkin."""
    running, url = bare(zeek, tmp_path, SCRIPTS / "backend.zeek")
    with running:
        running.wait_for("up")
        status, found, _ = examined(settings(tmp_path, zeek={"url": url}))
    assert (2, True) == (status, "@load portkin/websocket" in found["zeek.no-portkin"]["remedy"])


@pytest.mark.zeek
def test_a_zeek_without_a_backend_acknowledges_nothing(zeek, tmp_path):
    """Zeek 8.1's default, and in 8.0 ZeroMQ without its proxy: open and silent; the remedy names each cause."""
    script = '@load base/misc/version\n@if ( ! Version::at_least("8.1.0") )\n@load {}\n@endif'
    running, url = bare(zeek, tmp_path, backend=script.format("frameworks/cluster/backend/zeromq"))
    with running:
        running.wait_for("up")
        status, found, _ = examined(settings(tmp_path, zeek={"url": url}))
    remedy = found["zeek.not-acknowledged"]["remedy"]
    assert (2, True, True) == (status, "load portkin/websocket" in remedy, "run_proxy_thread = T" in remedy)


@pytest.mark.zeek
def test_a_cluster_without_a_logger_is_named(zeek, tmp_path):
    """A ZeroMQ cluster whose manager is the logger: the remedy is what portkin said in that Zeek's own log."""
    ports = {name: f"{free_port()}/tcp" for name in ("XPUB_PORT", "XSUB_PORT", "LOG_PULL_PORT")}
    live = Live(zeek, tmp_path)
    folder = tmp_path / "zeek"
    (folder / "cluster-layout.zeek").write_text(
        "redef Cluster::manager_is_logger = T;\nredef Cluster::nodes = {\n"
        f'["manager"] = [$node_type=Cluster::MANAGER, $ip=127.0.0.1, $p={ports["LOG_PULL_PORT"]}],\n'
        '["worker-1"] = [$node_type=Cluster::WORKER, $ip=127.0.0.1, $manager="manager"], };\n'
    )
    said = subprocess.run([Path(zeek).parent / "zeek-config", "--zeekpath"], capture_output=True, text=True, check=True)
    running = ZeekProcess(
        zeek,
        folder,
        ZEROMQ,
        WEBSOCKET,
        tmp_path / "local.zeek",
        CLUSTER_NODE="manager",
        ZEEKPATH=f"{said.stdout.strip()}:{folder}",
        **ports,
    )
    with running:
        log = folder / "reporter.log"
        until(lambda: log.exists() and "no logger" in log.read_text(), lambda: running.out)
        live.listens()
        status, found, _ = examined(settings(tmp_path, zeek={"url": live.url}))
        running.process.kill()  # asked to end, it waits for its logger
    finding = next(iter(found[code] for code in ("zeek.not-acknowledged", "zeek.closes") if code in found))
    assert (2, True) == (status, "no logger" in finding["remedy"] or "reporter.log" in finding["remedy"])
    assert "loggers = 1" in finding["remedy"]


@pytest.mark.zeek
def test_a_closed_port_beside_a_running_zeek(zeek, tmp_path):
    """Nothing listens though Zeek runs: named is the process, and what to load."""
    script = tmp_path / "idle.zeek"
    script.write_text('redef exit_only_after_terminate = T;\nevent zeek_init() { print "up"; flush_all(); }\n')
    with ZeekProcess(zeek, tmp_path / "zeek", script) as running:
        running.wait_for("up")
        url = f"ws://127.0.0.1:{free_port()}/v1/messages/json"
        status, found, facts = examined(settings(tmp_path, zeek={"url": url}))
        assert running.process.pid in facts["zeek_here"]["processes"]
    (finding,) = [f for code, f in found.items() if code.startswith("zeek.")]
    assert (2, True, True) == (status, "though Zeek runs" in finding["what"], "portkin/websocket" in finding["remedy"])
