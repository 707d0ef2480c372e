"""Suricata's host bits, set in a real Suricata."""

from __future__ import annotations

import itertools
import re
import socket
import threading
from ipaddress import ip_address

import pytest

from portkin.blocking.backends.backend import Batch, TimedKey
from portkin.blocking.backends.host_bits import bit_of, stores_ipv6_wrongly
from portkin.blocking.backends.suricata import NO_RULE, Suricata
from portkin.blocking.block import key_of
from portkin.blocking.listing import Listing
from portkin.errors import BackendError
from portkin.net.ports import Port
from portkin.net.suricata_socket import SuricataSocket
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
    assert {} == backend.apply(Batch(add=[TimedKey(key(SRC, "23"), 60.9), TimedKey(key(SRC, "53/udp"), 60)]))
    assert {"pk23": 60, "pk53u": 60} == real.bits(SRC)
    backend.apply(Batch(extend=[TimedKey(key(SRC, "23"), 600)], remove=[key(SRC, "53/udp"), key(SRC, "80")]))
    assert {"pk23": 600} == real.bits(SRC)


@pytest.mark.root
@pytest.mark.suricata
def test_bits_set_late_in_a_batch_end_in_time(real):
    """Setting thousands of bits takes seconds; the last ends as early as it would alone, and one that is over is not
    set."""
    seconds = itertools.count(step=10)
    slow = Suricata(real.socket, clock=lambda: float(next(seconds)))
    slow.setup()
    late = [f"203.0.113.{host}" for host in range(1, 5)]
    adds = [TimedKey(key(src, "23"), 35) for src in late[1:]]
    slow.apply(Batch(extend=[TimedKey(key(late[0], "23"), 100)], add=adds))
    assert [{"pk23": 90}, {"pk23": 15}, {"pk23": 5}, {}] == [real.bits(src) for src in late]
    slow.close()


@pytest.mark.root
@pytest.mark.suricata
def test_a_port_without_a_rule_is_reported(real, backend):
    """A bit that no rule asks for cannot be set: that key is returned with the reason, the others are set."""
    batch = Batch(add=[TimedKey(key(SRC, "99"), 60), TimedKey(key(SRC, "80"), 60)])
    assert {key(SRC, "99"): NO_RULE} == backend.apply(batch)
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


@pytest.mark.parametrize(
    ("version", "wrong"),
    [
        *(
            (version, True)
            for version in ("6.0.20 RELEASE", "7.0.10 RELEASE", "7.0.13 RELEASE", "8.0.0-beta1", "8.0.2")
        ),
        *(
            (version, False)
            for version in (
                "7.0.14 RELEASE",
                "7.1.0",
                "8.0.3 RELEASE",
                "8.0.8",
                "9.0.0-dev",
                "unknown",
                f"{'9' * 5000}.0.0",
            )
        ),
    ],
)
def test_versions_that_keep_ipv6_bits_under_one_address(version, wrong):
    """Fixed in 7.0.14 and 8.0.3 (Suricata's ticket 8103); of a version that is not known nothing is claimed."""
    assert wrong == stores_ipv6_wrongly(version)


@pytest.mark.root
@pytest.mark.suricata
def test_ipv6_is_refused_where_a_bit_shows_on_another_address(real, tmp_path):
    """Suricata itself shows whether it distinguishes IPv6 addresses: if not, IPv6 is an error and IPv4 is blocked."""
    source, other = "2001:db8::5", "2001:db8::6"
    asker = SuricataSocket(real.socket)
    asker.connect()
    asker.command("add-hostbit", ipaddress=source, hostbit="pk80", expire=60)
    apart = real.bits(other) == {}
    asker.command("remove-hostbit", ipaddress=source, hostbit="pk80")
    version = asker.command("version")["message"]
    asker.close()
    assert apart != stores_ipv6_wrongly(version)

    bench = Bench(tmp_path, Suricata(real.socket))
    bench.enforcer.start()
    bench.enforcer.tick()
    asked = bench.ask(block(source, "23", 600), block(SRC, "80", 600), block(other, "53/udp", 600))

    listing = Listing(bench.path)
    state, rows = listing.backend(), listing.rows(active=True)
    listing.close()
    assert sorted([SRC, source, other] if apart else [SRC]) == sorted(row["src"] for row in rows)
    assert 600 == real.bits(SRC)["pk80"]
    fault = bench.metric("portkin_block_ipv6_faulty", mode="suricata")
    if apart:
        assert [("added", "")] * 3 == asked
        assert ({"pk23"}, {"pk53u"}) == (real.bits(source).keys(), real.bits(other).keys())
        assert ("", 0.0) == (state.ipv6_fault, fault)
    else:
        reason = (
            f"Suricata {version} keeps the host bits of all IPv6 addresses under one, so none is blocked; "
            "7.0.14 and 8.0.3 or later tell them apart"
        )
        assert [("error", reason), ("added", ""), ("error", reason)] == asked
        assert ({}, {}) == (real.bits(source), real.bits(other))
        assert (reason, 1.0) == (state.ipv6_fault, fault)
        assert ["no IPv6 source is blocked"] == bench.log.events("error")
    bench.enforcer.close()


@pytest.mark.root
@pytest.mark.suricata
def test_an_order_by_hand_changes_nothing_else(real, tmp_path, monkeypatch):
    """One order beside many blocks sends one order: no bit of another block is touched or set again."""
    bench = Bench(tmp_path, Suricata(real.socket))
    bench.enforcer.start()
    bench.ask(*(block(f"198.51.100.{n}", "80", 600) for n in range(1, 51)))
    sent = []
    command = SuricataSocket.command
    monkeypatch.setattr(
        SuricataSocket,
        "command",
        lambda self, name, **more: (sent.append((name, more)), command(self, name, **more))[1],
    )
    by_hand = Bench(tmp_path, Suricata(real.socket))
    by_hand.enforcer.join()

    assert [("added", "")] == by_hand.ask(block(SRC, "23", 600))

    touched = {more["ipaddress"] for _, more in sent if more}
    assert [SRC] == [address for address in touched if not address.startswith(("24", "25", "100:"))]
    assert ("add-hostbit", {"ipaddress": SRC, "hostbit": "pk23", "expire": 600}) in sent
    assert [("removed", "")] == by_hand.ask(unblock("198.51.100.7", "80"))
    assert ({"pk23"}, {}) == (real.bits(SRC).keys(), real.bits("198.51.100.7"))
    by_hand.enforcer.close()
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
