"""Suricata's host bits, set in a real Suricata."""

from __future__ import annotations

import re
import socket
import threading
from ipaddress import ip_address

import pytest

from portkin.blocking.backends.backend import Batch, TimedKey
from portkin.blocking.backends.host_bits import bit_of
from portkin.blocking.backends.suricata import Suricata
from portkin.blocking.block import key_of
from portkin.errors import BackendError
from portkin.net.ports import Port
from support.enforcing import Bench, block, unblock
from support.suricata_socket import Inside

SRC = "203.0.113.5"


def key(src, port):
    return key_of(ip_address(src), Port.parse(port))


@pytest.fixture
def real(root, suricata, tmp_path):
    running = Inside(suricata, tmp_path, ports=(23, 80))
    running.start()
    running.wait()
    yield running
    running.kill()


@pytest.fixture
def backend(real):
    connected = Suricata(real.socket)
    connected.setup()
    yield connected
    connected.close()


def test_bits_are_named_as_the_rules_ask():
    """TCP bits carry the number alone, UDP bits a u."""
    assert ["pk443", "pk53u"] == [bit_of(key(SRC, "443").port), bit_of(key(SRC, "53/udp").port)]


def test_without_suricata_the_error_names_the_setting(tmp_path):
    """Where nobody listens, setting up says which socket and which setting."""
    with pytest.raises(BackendError, match=r"enforce\.suricata\.socket"):
        Suricata(tmp_path / "nobody").setup()


@pytest.mark.root
@pytest.mark.suricata
def test_bits_are_set_extended_and_removed(real, backend):
    """A bit has its seconds; an extension counts from now, longer or shorter; what is removed is gone."""
    assert [] == backend.apply(Batch(add=[TimedKey(key(SRC, "23"), 60.9), TimedKey(key(SRC, "53/udp"), 60)]))
    assert {"pk23": 60, "pk53u": 60} == real.bits(SRC)
    backend.apply(Batch(extend=[TimedKey(key(SRC, "23"), 600)], remove=[key(SRC, "53/udp"), key(SRC, "80")]))
    assert {"pk23": 600} == real.bits(SRC)


@pytest.mark.root
@pytest.mark.suricata
def test_a_port_without_a_rule_is_told(real, backend):
    """A bit that no rule asks for cannot be set: that key is returned, the others are set."""
    assert [key(SRC, "99")] == backend.apply(Batch(add=[TimedKey(key(SRC, "99"), 60), TimedKey(key(SRC, "80"), 60)]))
    assert {"pk80": 60} == real.bits(SRC)


@pytest.mark.root
@pytest.mark.suricata
def test_after_kill_9_of_suricata_all_bits_are_sent_again(real, tmp_path):
    """The end of Suricata is noticed; started again, it is given every block with what is left of its time."""
    bench = Bench(tmp_path, Suricata(real.socket))
    bench.enforcer.start()
    asked = bench.ask(block(SRC, "23", 600), block(SRC, "80", 600), block(SRC, "99", 600))
    assert ["added", "added", "error"] == [outcome for outcome, _ in asked]
    real.kill()
    bench.enforcer.tick()
    assert not bench.enforcer.ready
    assert "error" == bench.ask(block(SRC, "53/udp", 600))[0][0]
    bench.clock.pass_(100)
    real.start()
    real.wait()
    bench.enforcer.tick()
    assert {"pk23": 500, "pk80": 500} == real.bits(SRC)
    bench.ask(unblock(SRC, "23"))
    assert {"pk80"} == real.bits(SRC).keys()
    bench.enforcer.close()


def test_a_peer_that_is_no_suricata_is_an_error(tmp_path):
    """Somebody else's socket, closed at once, is an error and not a defect."""
    path = tmp_path / "other.socket"
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(path))
        server.listen()

        def hang_up():
            opened, _ = server.accept()
            opened.recv(1000)
            opened.close()

        thread = threading.Thread(target=hang_up)
        thread.start()
        with pytest.raises(BackendError, match=re.escape(str(path))):
            Suricata(path).setup()
        thread.join()
