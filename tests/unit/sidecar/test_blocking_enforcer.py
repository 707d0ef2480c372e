"""The enforcer: requests in, responses out, with a block database; the backend is simulated."""

from __future__ import annotations

import sqlite3
from ipaddress import ip_address

import pytest

from portkin.blocking.limits import Limits
from portkin.blocking.protected import ProtectedAddresses
from portkin.net.addresses import number_of
from portkin.net.ports import Port
from portkin.zeek.block_messages import BlockResponse
from support.enforcing import Bench, block, nets, unblock
from support.simulated_backend import OTHER, SRC, again, key

pytestmark = pytest.mark.usefixtures("impatient")


def test_a_block_is_added_then_exists_then_is_extended(bench):
    """The first request adds; the same at once changes nothing; a later one moves the end."""
    assert [("added", "")] == bench.ask(block(SRC, "80"))
    assert [("exists", "")] == bench.ask(block(SRC, "80"))
    bench.clock.pass_(30)
    assert [("extended", "")] == bench.ask(block(SRC, "80"))
    bench.clock.pass_(40)
    assert [] == bench.enforcer.tick()
    bench.clock.pass_(21)
    said = [BlockResponse("", ip_address(SRC), Port(80, "tcp"), "expired", "")]
    assert said == bench.enforcer.tick()


def test_a_shorter_request_does_not_shorten(bench):
    """A block asked for again for less time keeps its end."""
    bench.ask(block(SRC, "80", 100))
    assert [("exists", "")] == bench.ask(block(SRC, "80", 10))
    bench.clock.pass_(99)
    assert [] == bench.enforcer.tick()


def test_responses_name_their_requests_in_order(bench):
    """Many requests at once are answered one by one, each with its id, source and port."""
    requests = [block(SRC, "80"), block(OTHER, "53/udp"), unblock(SRC, "81")]
    answers = bench.enforcer.handle(requests)
    assert [(r.reqid, r.src, r.p) for r in requests] == [(a.reqid, a.src, a.p) for a in answers]
    assert ["added", "added", "removed"] == [answer.outcome for answer in answers]


def test_a_removed_key_is_left_alone_for_a_while(bench):
    """After an unblock the same key is not blocked again within the grace, others are; then it is."""
    bench.ask(block(SRC, "80"))
    assert [("removed", "")] == bench.ask(unblock(SRC, "80"))
    assert [("vetoed", "grace"), ("added", "")] == bench.ask(block(SRC, "80"), block(SRC, "81", 9999))
    bench.clock.pass_(3601)
    assert [("added", "")] == bench.ask(block(SRC, "80"))


def test_grace_outlives_the_sidecar(bench):
    """After a restart the grace still holds; an operator's order ends the grace."""
    bench.ask(block(SRC, "80"), unblock(SRC, "80"))
    bench = again(bench)
    assert [("vetoed", "grace")] == bench.ask(block(SRC, "80"))
    assert [("added", "")] == bench.ask(block(SRC, "80", why="evidence=OPERATOR"))
    assert [("exists", "")] == bench.ask(block(SRC, "80"))


def test_everything_of_one_batch_is_in_the_database(bench):
    """A block that begins and ends within one batch has its row too."""
    bench.ask(block(SRC, "80"), unblock(SRC, "80"), block(SRC, "80", why="evidence=OPERATOR"))
    rows = sqlite3.connect(bench.path).execute("SELECT outcome FROM blocks ORDER BY id").fetchall()
    assert [("removed",), (None,)] == rows


@pytest.mark.parametrize(
    ("limits", "addresses", "reason"),
    [
        (Limits(never_nets=nets("203.0.113.0/24")), ProtectedAddresses(), "never-net"),
        (Limits(never_ports=(Port(80, "tcp"),)), ProtectedAddresses(), "never-port"),
        (Limits(), ProtectedAddresses(own=frozenset({number_of(SRC)})), "own-address"),
        (Limits(), ProtectedAddresses(gateways=frozenset({number_of(SRC)})), "gateway"),
    ],
)
def test_what_may_never_be_blocked_is_vetoed_and_counted(tmp_path, limits, addresses, reason):
    """Never-block wins over every order, an operator's too; nothing is recorded, and the metrics count it."""
    bench = Bench(tmp_path, limits=limits, addresses=addresses)
    bench.enforcer.start()
    assert [("vetoed", reason)] * 2 == bench.ask(block(SRC, "80"), block(SRC, "80", why="evidence=OPERATOR"))
    assert 2.0 == bench.metric("portkin_block_vetoes_total", reason=reason)
    assert [] == sqlite3.connect(bench.path).execute("SELECT * FROM blocks").fetchall()


def test_a_longer_never_list_ends_blocks_at_once(kernel_bench, kernel):
    """When the list grows, blocks that it now forbids end in database and backend, and Zeek is notified."""
    kernel_bench.ask(block(SRC, "80"), block(OTHER, "80"))
    said = kernel_bench.enforcer.set_limits(Limits(never_nets=nets(f"{SRC}/32")))
    assert [BlockResponse("", ip_address(SRC), Port(80, "tcp"), "vetoed", "never-net")] == said
    assert [key(OTHER, "80")] == list(kernel.held())
    assert [("vetoed", "never-net")] == kernel_bench.ask(block(SRC, "80"))


def test_an_address_that_becomes_ours_is_released(kernel_bench, kernel):
    """A block of an address that the machine is given later ends when that is seen."""
    kernel_bench.ask(block(SRC, "80"))
    kernel_bench.addresses = ProtectedAddresses(own=frozenset({number_of(SRC)}))
    assert [("vetoed", "own-address")] == [(said.outcome, said.detail) for said in kernel_bench.enforcer.tick()]
    assert {} == kernel.held()


def test_unproven_sources_are_not_blocked(bench):
    """Without evidence that a forger could not make, nothing is blocked."""
    assert [("vetoed", "unproven")] == bench.ask(block(SRC, "80", why="evidence=TRW probe=1"))


def test_caps_bite_and_say_so(tmp_path):
    """Ports per source, blocks in all, and new blocks per second are capped, each with a line in the log."""
    bench = Bench(tmp_path, limits=Limits(max_ports=2, max_blocks=4, max_per_second=5))
    bench.enforcer.start()
    asked = bench.ask(*(block(SRC, str(port)) for port in (1, 2, 3)))
    assert [("added", ""), ("added", ""), ("vetoed", "source-cap")] == asked
    asked = bench.ask(*(block(f"203.0.113.{n}", "1") for n in (10, 11, 12)))
    assert [("added", ""), ("added", ""), ("vetoed", "total-cap")] == asked
    assert [("removed", "")] * 2 == bench.ask(unblock("203.0.113.10", "1"), unblock("203.0.113.11", "1"))
    asked = bench.ask(block("203.0.113.20", "1"), block("203.0.113.21", "1"))
    assert [("added", ""), ("vetoed", "rate-cap")] == asked
    caps = [pairs["cap"] for _, event, pairs in bench.log.lines if event == "a cap on blocks is reached"]
    assert ["source-cap", "total-cap", "rate-cap"] == caps


def test_extending_is_not_capped(tmp_path):
    """A source at its cap still has its blocks extended."""
    bench = Bench(tmp_path, limits=Limits(max_ports=1, max_per_second=1))
    bench.enforcer.start()
    bench.ask(block(SRC, "1"))
    bench.clock.pass_(30)
    assert [("extended", "")] == bench.ask(block(SRC, "1"))


def test_holdouts_are_in_the_database_and_nowhere_else(tmp_path, kernel):
    """A prediction held out is not in the backend; once its port is probed, the key is blocked like any other."""
    bench = Bench(tmp_path, kernel, Limits(holdout=0.5), clock=kernel.clock, draw=lambda: 0.2)
    bench.enforcer.start()
    assert [("added", ""), ("vetoed", "holdout")] == bench.ask(
        block(SRC, "22"), block(SRC, "23", rank=1, probed="22", why="evidence=TRW answered=1")
    )
    assert [key(SRC, "22")] == list(kernel.held())
    assert [("vetoed", "holdout")] == bench.ask(block(SRC, "23", rank=1, probed="22", why="evidence=TRW answered=1"))
    assert [("added", "")] == bench.ask(block(SRC, "23"))
    assert {key(SRC, "22"), key(SRC, "23")} == set(kernel.held())
    rows = sqlite3.connect(bench.path).execute("SELECT port, mode, outcome, hit FROM blocks ORDER BY id").fetchall()
    assert [(22, "nftables", None, 0), (23, "holdout", "replaced", 1), (23, "nftables", None, 0)] == rows


def test_figures_are_counted_while_blocking(tmp_path):
    """Blocking ratio, usefulness and new-port recall of a short scan, by hand.

    Probes of 22, 23, 80, 23 again, while 22 predicts 23 and 2222: of four probes two met a block (23 twice);
    of the blocks 22, 23, 2222 and 80 one was useful; of the two new ports 23 was blocked before, 80 was not.
    """
    bench = Bench(tmp_path)
    bench.enforcer.start()
    more = "evidence=TRW answered=1"
    bench.ask(block(SRC, "22"), block(SRC, "23", rank=1, probed="22", why=more))
    bench.ask(block(SRC, "2222", rank=2, probed="22", why=more))
    for port in ("23", "80", "23"):
        bench.clock.pass_(5)
        bench.ask(block(SRC, port))
    names = ("blocking_ratio", "usefulness", "predicted_usefulness", "new_port_recall")
    assert [0.5, 0.25, 0.5, 0.5] == [bench.metric(f"portkin_{name}", mode="shadow") for name in names]
    assert 4.0 == bench.metric("portkin_blocks_active", mode="shadow")


def test_the_limit_of_blocks_is_a_metric_that_follows_the_settings(bench):
    """How many blocks there may be is known to those who watch, from the start and after a reload."""
    assert Limits().max_blocks == bench.metric("portkin_blocks_limit")
    bench.enforcer.set_limits(Limits(max_blocks=7))
    assert 7 == bench.metric("portkin_blocks_limit")


def test_what_the_backend_counted_shows_a_hit_that_no_probe_did(kernel_bench, kernel):
    """Behind a sensor that no longer sees blocked packets, the element's counter shows that the source came."""
    kernel_bench.ask(block(SRC, "22"), block(SRC, "23", rank=1, probed="22", why="evidence=TRW answered=1"))
    kernel.packets[key(SRC, "23")] = 7
    kernel_bench.enforcer.tick()
    assert 1.0 == kernel_bench.metric("portkin_predicted_usefulness", mode="nftables")
    assert 7.0 == kernel_bench.metric("portkin_dropped_packets_total")
