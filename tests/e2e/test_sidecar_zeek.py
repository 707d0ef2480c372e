"""``portkin serve`` and a real Zeek, by WebSocket and by Broker."""

from __future__ import annotations

import json
import re
import signal
import subprocess
from pathlib import Path

import pytest
from websockets.sync.client import connect

from portkin.errors import TransportError
from portkin.zeek.messages import PROTOCOL
from portkin.zeek.transport.broker import find_bindings
from support.sidecar_process import SidecarProcess
from support.tables import small_table
from support.zeek_process import SCRIPTS, ZeekProcess, backend_loads, free_port

pytestmark = pytest.mark.zeek
PEER = Path(__file__).resolve().parents[1] / "support" / "peer.zeek"
ANSWER = "22/tcp {table} [23/tcp, 2222/tcp, 80/tcp] [] ''"


@pytest.fixture
def table(tmp_path):
    return small_table(tmp_path / "table")


@pytest.fixture(params=["websocket", "broker"])
def pair(request, zeek, tmp_path, table):
    """A Zeek and a sidecar that are to find each other by that transport; neither is started."""
    port = free_port()
    address = {"url": f"ws://127.0.0.1:{port}/v1/messages/json", "broker": f"127.0.0.1:{port}"}
    if request.param == "broker":
        try:
            find_bindings()
        except TransportError as error:
            pytest.skip(str(error))
    settings = {
        "zeek": {"transport": request.param, **address, "backoff": {"first": 0.1, "cap": 0.5}},
        "table": {"path": str(tmp_path / "table"), "poll": 3600.0},
        "metrics": {"port": 0},
    }
    named = {f"{request.param.upper()}_PORT": port}
    return (
        ZeekProcess(zeek, tmp_path / "zeek", *backend_loads(zeek, request.param), SCRIPTS / "api.zeek", PEER, **named),
        SidecarProcess(tmp_path / "sidecar", settings),
    )


def test_zeek_is_greeted_and_answered(pair, table):
    """Zeek gets the hello, the sidecar the answer to it, and Zeek's requests are answered."""
    zeek, sidecar = pair
    with zeek, sidecar:
        hello = zeek.wait_for("hello_request").split()
        assert [str(PROTOCOL), table.id, "3"] == [hello[2], hello[4], hello[5]]
        assert "peer" == sidecar.wait_for("Zeek answered")["node"]
        assert f"nearest_response 0 {ANSWER.format(table=table.id)}" == zeek.wait_for("nearest_response 0 ")
        zeek.wait_for("nearest_response 20 ")
        metrics = sidecar.metrics()
        assert metrics['portkin_requests_total{by="port"}'] >= 20
        assert 0 == metrics["portkin_messages_dropped_total"]


def test_a_killed_sidecar_that_is_back_answers_again(pair):
    """Killed in the middle with SIGKILL and started again, it greets Zeek again and answers what is asked then."""
    zeek, sidecar = pair
    with zeek, sidecar:
        zeek.wait_for("nearest_response 5 ")
        sidecar.signal(signal.SIGKILL)
        sidecar.process.wait(20)
        before = len(re.findall("nearest_response", zeek.out))
        sidecar.start()
        zeek.wait_for(f"nearest_response {before + 10} ")
        assert 2 <= len(set(re.findall(r"hello_request (\S+)", zeek.out)))


def test_a_restarted_zeek_is_found_again(pair):
    """Zeek ends and comes back on the same port: the sidecar greets it again, without being restarted."""
    zeek, sidecar = pair
    with sidecar:
        with zeek:
            zeek.wait_for("nearest_response 5 ")
        sidecar.wait_for("connection to Zeek lost")
        with zeek:
            zeek.wait_for("nearest_response 0 ", count=2)
        assert sidecar.process.poll() is None
        sidecar.signal(signal.SIGTERM)
        assert 0 == sidecar.process.wait(20)


def test_zeek_hears_of_a_new_table(pair, tmp_path):
    """After SIGHUP with a new table in the folder, Zeek gets its id and gets its answers; nothing is lost."""
    zeek, sidecar = pair
    with zeek, sidecar:
        zeek.wait_for("nearest_response 5 ")
        new = small_table(tmp_path / "table", shift=1)
        sidecar.signal(signal.SIGHUP)
        assert f"table_changed {new.id} 3 F" == zeek.wait_for(f"table_changed {new.id}")
        zeek.wait_for(f"{new.id} [24/tcp, 2223/tcp, 81/tcp]")
        ids = [int(n) for n in re.findall(r"^nearest_response (\d+) ", zeek.out, re.MULTILINE)]
        assert list(range(len(ids))) == ids


def test_tls_on_both_sides(zeek, tmp_path, table):
    """By wss, Zeek shows its certificate and asks for the sidecar's; a sidecar without one stays outside."""
    cert, key = tmp_path / "cert.pem", tmp_path / "key.pem"
    command = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
    command += ["-subj", "/CN=test", "-addext", "subjectAltName=IP:127.0.0.1", "-days", "2"]
    subprocess.run([*command, "-keyout", key, "-out", cert], check=True, capture_output=True, timeout=60)
    port = free_port()
    files = {"ca": str(cert), "certificate": str(cert), "key": str(key)}

    def settings(tls):
        address = {"url": f"wss://127.0.0.1:{port}/v1/messages/json", "backoff": {"first": 0.1, "cap": 0.5}}
        return {
            "zeek": {**address, "tls": tls},
            "table": {"path": str(tmp_path / "table")},
            "metrics": {"enabled": False},
        }

    scripts = (*backend_loads(zeek, "websocket"), SCRIPTS / "api.zeek", PEER)
    with ZeekProcess(zeek, tmp_path / "zeek", *scripts, WEBSOCKET_PORT=port, TLS_CERT=cert, TLS_KEY=key) as running:
        running.wait_for("ready")
        with SidecarProcess(tmp_path / "outside", settings({"ca": str(cert)})) as outside:
            outside.wait_for("no connection to Zeek")
            assert "hello_request" not in running.out
        with SidecarProcess(tmp_path / "inside", settings(files)):
            running.wait_for("nearest_response 3 ")


def test_another_client_that_publishes_junk_ends_nobody(zeek, tmp_path, table):
    """A third party that floods both topics with junk through Zeek is counted, and requests are still answered."""
    port = free_port()
    url = f"ws://127.0.0.1:{port}/v1/messages/json"
    settings = {
        "zeek": {"url": url, "backoff": {"first": 0.1, "cap": 0.5}},
        "table": {"path": str(tmp_path / "table")},
        "metrics": {"port": 0},
    }
    scripts = (*backend_loads(zeek, "websocket"), SCRIPTS / "api.zeek", PEER)

    def event(topic, name, *args):
        tagged = [{"@data-type": kind, "data": data} for kind, data in args]
        parts = [("string", name), ("vector", tagged)]
        content = [{"@data-type": kind, "data": data} for kind, data in parts]
        numbers = [{"@data-type": "count", "data": 1}] * 2
        return json.dumps({
            "type": "data-message", "topic": topic, "@data-type": "vector",
            "data": [*numbers, {"@data-type": "vector", "data": content}],
        })  # fmt: skip

    junk = [
        "no json",
        event("/portkin/v1/sidecar", "no_such_event"),
        event("/portkin/v1/sidecar", "Portkin::nearest_request", ("count", 1)),
        # Well formed for Zeek, which passes them on; junk for the sidecar.
        event("/portkin/v1/sidecar", "Portkin::table_changed", ("string", "x"), ("count", 1), ("boolean", False)),
        event(
            "/portkin/v1/sidecar",
            "Portkin::nearest_request",
            ("string", "j"),
            ("port", "8/icmp"),
            ("count", 1),
            ("real", -1.0),
        ),
    ]
    with (
        ZeekProcess(zeek, tmp_path / "zeek", *scripts, WEBSOCKET_PORT=port) as running,
        SidecarProcess(tmp_path / "sidecar", settings) as sidecar,
    ):
        running.wait_for("nearest_response 5 ")
        with connect(url, proxy=None) as other:
            other.send("[]")
            assert "ack" == json.loads(other.recv())["type"]
            for n in range(300):
                other.send(junk[n % len(junk)])
            while len(re.findall("Portkin::nearest_request", sidecar.text)) < 1:
                other.recv(timeout=10)
        answered = len(re.findall("nearest_response", running.out))
        running.wait_for(f"nearest_response {answered + 10} ")
        metrics = sidecar.metrics()
        assert (60, 60) == (
            metrics['portkin_invalid_messages_total{reason="unexpected"}'],
            metrics['portkin_invalid_messages_total{reason="wrong-type"}'],
        )
        assert sidecar.process.poll() is None


BLOCKS = """
module Portkin;

global decision = Decision($id="D1", $source=Source($host=[2001:db8::9]), $probed=22/tcp, $evidence=TRW,
    $kept=vector(22/tcp, 2222/tcp, 53/udp), $until=double_to_time(4e9), $after=1);

event sidecar_arrived(sidecar: string, table_id: string)
	{
	record_evidence(decision$source, "refused");

	for ( rank, p in decision$kept )
		event block(decision, p, rank, 1.5sec);
	}

event log_block(rec: BlockInfo)
	{
	print fmt("block %s %s %s", rec$src, rec$p, rec$outcome);
	flush_all();
	}
"""


@pytest.mark.parametrize("transport", ["websocket", "broker"])
def test_zeek_asks_for_blocks_and_hears_what_became_of_them(transport, zeek, tmp_path, table):
    """The blocks of a decision go out together, and come back as added; their ends are heard of, too."""
    if transport == "broker":
        try:
            find_bindings()
        except TransportError as error:
            pytest.skip(str(error))
    port = free_port()
    address = {"url": f"ws://127.0.0.1:{port}/v1/messages/json", "broker": f"127.0.0.1:{port}"}
    settings = {
        "zeek": {"transport": transport, **address, "backoff": {"first": 0.1, "cap": 0.5}},
        "table": {"path": str(tmp_path / "table")},
        "metrics": {"port": 0},
        "enforce": {"database": str(tmp_path / "blocks.sqlite")},
    }
    script = tmp_path / "blocks.zeek"
    script.write_text(f"@load {SCRIPTS}/{transport}.zeek\n@load {SCRIPTS}/block.zeek\n" + BLOCKS)
    loads = (*backend_loads(zeek, transport), script, f"Portkin::{transport}_port={port}/tcp")
    with (
        ZeekProcess(zeek, tmp_path / "zeek", *loads, "exit_only_after_terminate=T") as running,
        SidecarProcess(tmp_path / "sidecar", settings) as sidecar,
    ):
        for outcome in ("added", "expired"):
            for wanted in ("22/tcp", "2222/tcp", "53/udp"):
                running.wait_for(f"block 2001:db8::9 {wanted} {outcome}")
        metrics = sidecar.metrics()
        assert 3.0 == metrics['portkin_block_requests_total{kind="block"}']
