"""The addresses of hosts named in the settings: found late, found again, never waited for."""

from __future__ import annotations

import threading

from portkin.blocking.peers import AGAIN, EVERY, PeerAddresses
from portkin.net.addresses import number_of
from support.enforcing import Bench, block

ZEEK, MOVED = number_of("203.0.113.5"), number_of("203.0.113.6")


def peers_of(bench, resolve, *hosts):
    return PeerAddresses(
        hosts, metrics=bench.metrics, log=bench.log, clock=lambda: bench.clock.monotonic, resolve=resolve
    )


def looked(peers):
    """What is known once the lookup that a look began is over."""
    peers.look()
    await_resolver()
    return peers.look()


def await_resolver():
    """Wait until no name is being looked up."""
    for thread in threading.enumerate():
        if thread.name == "resolver":
            thread.join()


def test_a_name_is_looked_up_until_it_is_found_and_then_again(tmp_path):
    """With DNS down at boot a host is protected as soon as DNS is up; the log and a counter say so, once each time."""
    bench, answers = Bench(tmp_path), {}

    def resolve(host):
        if host not in answers:
            raise OSError("Temporary failure in name resolution")
        return {answers[host]}

    peers = peers_of(bench, resolve, "zeek.example", "192.0.2.7")
    fixed = number_of("192.0.2.7")
    found = [looked(peers)]
    for seconds, answer in ((AGAIN - 1, ZEEK), (1, ZEEK), (EVERY - 1, MOVED), (1, MOVED), (EVERY, None)):
        bench.clock.pass_(seconds)
        answers = {} if answer is None else {"zeek.example": answer}
        found.append(looked(peers))

    expected = [set(), set(), {ZEEK}, {ZEEK}, {MOVED}, {MOVED}]
    assert [addresses | {fixed} for addresses in expected] == found
    assert [
        ("error", "a host has no address; so far it is not protected"),
        ("info", "a host has an address again, and is protected"),
        ("error", "a host has no address; its former addresses are protected"),
    ] == [(level, event) for level, event, _ in bench.log.lines]
    assert 2.0 == bench.metric("portkin_block_errors_total", component="resolver")


def test_a_resolver_that_hangs_holds_up_nothing(tmp_path, monkeypatch):
    """Blocking goes on while a name is looked up; once it is found, a block of that address ends."""
    monkeypatch.setattr("portkin.blocking.peers.PATIENCE", 0.01)
    bench, answer = Bench(tmp_path), threading.Event()

    def resolve(host):
        answer.wait()
        return {ZEEK}

    peers = peers_of(bench, resolve, "zeek.example")
    bench.read_addresses = lambda: type(bench.addresses)(own=peers.look())
    bench.enforcer.start()
    assert [("added", "")] == bench.ask(block("203.0.113.5", "80"))
    answer.set()
    await_resolver()
    assert [("vetoed", "own-address")] == [(said.outcome, said.detail) for said in bench.enforcer.tick()]


def test_text_that_no_host_can_have_is_an_error_in_the_log(tmp_path):
    """A name that DNS cannot have is said, and ends nothing."""
    from portkin.blocking.peers import resolve

    bench = Bench(tmp_path)
    assert frozenset() == looked(peers_of(bench, resolve, "a" * 70 + ".example"))
    assert ["a host has no address; so far it is not protected"] == bench.log.events("error")
