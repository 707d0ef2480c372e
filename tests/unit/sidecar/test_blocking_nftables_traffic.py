"""nftables in a kernel that packets come to: what is dropped and counted, and the enforcer above it."""

from __future__ import annotations

import socket
import subprocess

import pytest

from portkin.blocking.backends.backend import Batch, TimedKey
from portkin.blocking.backends.nftables import Nftables
from portkin.blocking.backends.place import Place
from portkin.blocking.intervals import Intervals
from portkin.blocking.limits import Limits
from portkin.blocking.listing import Listing
from portkin.net.addresses import text_of
from portkin.net.interfaces import gateways, own_addresses
from support.enforcing import Bench, Clock, block, nets, unblock
from support.simulated_backend import key


@pytest.mark.root
def test_packets_are_dropped_and_counted(nft):
    """A datagram to a blocked port is dropped and counted, in the table and at its element; another arrives."""
    for command in (
        "ip link set lo up",
        "ip link add a0 type veth peer name b0",
        "ip addr add 192.0.2.1/24 dev lo",
    ):
        subprocess.run(command.split(), check=True)
    receiver = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    receiver.bind(("192.0.2.1", 0))
    receiver.settimeout(2)
    port = receiver.getsockname()[1]
    sender = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    sender.bind(("192.0.2.1", 0))
    blocked = key("192.0.2.1", f"{port}/udp")
    nft.apply(Batch(add=[TimedKey(blocked, 60)]))
    sender.sendto(b"12345", ("192.0.2.1", port))
    nft.apply(Batch(remove=[blocked]))
    sender.sendto(b"here", ("192.0.2.1", port))
    assert b"here" == receiver.recv(99)
    assert (1, 33) == nft.dropped()  # 20 bytes of IP, 8 of UDP and 5
    nft.apply(Batch(add=[TimedKey(blocked, 60)]))
    sender.sendto(b"", ("192.0.2.1", port))
    assert [(1, 28)] == [(held.packets, held.bytes) for held in nft.held().values()]
    assert (2, 61) == nft.dropped()


@pytest.fixture
def sent(nft):
    """Sends a datagram to a port of 192.0.2.1."""
    for command in ("ip link set lo up", "ip addr add 192.0.2.1/24 dev lo"):
        subprocess.run(command.split(), check=True)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
        sender.bind(("192.0.2.1", 0))
        yield lambda port: sender.sendto(b"12345", ("192.0.2.1", port))  # 33 bytes with IP and UDP


@pytest.mark.root
@pytest.mark.parametrize("prolongs", [True, False], ids=["in place", "replaced"])
def test_an_extension_keeps_the_count(nft, sent, tmp_path, prolongs):
    """What a block has dropped is neither lost when it is extended, nor when the table is gone; the hit is seen."""
    import time

    if prolongs and not nft.prolongs:
        pytest.skip("this kernel does not prolong elements in place")
    backend = Nftables(Place(), prolongs=prolongs)
    bench = Bench(tmp_path, backend, wall_clock=time.time, monotonic=time.monotonic)
    bench.enforcer.start()
    asked = [bench.ask(block("192.0.2.1", "9/udp", 60))]
    for seconds in (600, 6000, 60_000):
        sent(9)
        sent(9)
        asked.append(bench.ask(block("192.0.2.1", "9/udp", seconds)))
    assert [("added", ""), *[("extended", "")] * 3] == [outcome for (outcome,) in asked]
    assert [(6, 198)] == [(held.packets, held.bytes) for held in backend.held().values()]
    bench.enforcer.tick()
    subprocess.run(["nft", "flush", "ruleset"], check=True)
    bench.enforcer.tick()
    sent(9)
    bench.enforcer.tick()
    listing = Listing(bench.path)
    (row,) = listing.rows(active=True)
    listing.close()
    assert (7, 231, 1) == (row["packets"], row["bytes"], row["hit"])
    assert 1.0 == bench.enforcer.stats.by_mode["nftables"].usefulness
    bench.enforcer.close()


@pytest.mark.root
@pytest.mark.parametrize("end", ["expired", "removed", "vetoed"])
def test_what_was_dropped_between_two_readings_is_recorded(nft, sent, tmp_path, end):
    """However a block ends, and whenever blocks are counted, its row has what it dropped, and that it was of use."""
    clock = Clock()
    bench = Bench(tmp_path, Nftables(Place()), clock=clock, intervals=Intervals(check=1e9, count=1e9))
    bench.enforcer.start()
    bench.enforcer.tick()
    bench.ask(block("192.0.2.1", "9/udp", 60))
    sent(9)
    clock.pass_(59)
    assert [] == bench.enforcer.tick()
    sent(9)
    match end:
        case "expired":
            clock.pass_(0.5)
            bench.enforcer.tick()
            clock.pass_(0.6)
            bench.enforcer.tick()
        case "removed":
            bench.ask(unblock("192.0.2.1", "9/udp"))
        case "vetoed":
            bench.enforcer.set_limits(Limits(never_nets=nets("192.0.2.0/24")))
    listing = Listing(bench.path)
    (row,) = listing.rows(active=False)
    listing.close()
    assert (end, 2, 66, 1) == (row["outcome"], row["packets"], row["bytes"], row["hit"])
    assert 1.0 == bench.enforcer.stats.by_mode["nftables"].usefulness
    bench.enforcer.close()


@pytest.mark.root
def test_sets_that_were_emptied_are_filled_again(nft, tmp_path):
    """Elements that somebody deleted one by one are missed when they are counted, and sent again."""
    import time

    bench = Bench(tmp_path, Nftables(Place()), wall_clock=time.time, monotonic=time.monotonic)
    bench.enforcer.start()
    bench.ask(block("203.0.113.5", "80", 60))
    subprocess.run(["nft", "flush set inet portkin tcp4"], check=True)
    bench.enforcer.tick()
    assert [key("203.0.113.5", "80")] == list(nft.held())
    assert "the backend lacks blocks that it was given; they are sent again" in bench.log.events("error")
    bench.enforcer.close()


@pytest.mark.root
def test_our_own_addresses_and_gateways_are_known(nft):
    """The addresses of every interface, and the gateways of default routes, of every table and of several hops."""
    for command in (
        "ip link add a0 type veth peer name b0",
        "ip addr add 198.51.100.1/24 dev a0",
        "ip -6 addr add 2001:db8::1/64 dev a0 nodad",
        "ip link set a0 up",
        "ip link set b0 up",
        "ip route add default nexthop via 198.51.100.2 nexthop via 198.51.100.3",
        "ip route add default via 198.51.100.4 table 77",
        "ip route add 203.0.113.0/24 via 198.51.100.5",
        "ip -6 route add default via 2001:db8::2",
    ):
        subprocess.run(command.split(), check=True)
    own = {text_of(address) for address in own_addresses() if not text_of(address).startswith("fe80")}
    assert {"198.51.100.1", "2001:db8::1"} == own
    expected = {"198.51.100.2", "198.51.100.3", "198.51.100.4", "2001:db8::2"}
    assert expected == {text_of(address) for address in gateways()}


@pytest.mark.root
def test_the_enforcer_and_the_kernel(nft, tmp_path):
    """Added, extended, removed, restored after a flush of the ruleset, kept over a restart: in the kernel itself."""
    import time

    def bench():
        made = Bench(tmp_path, Nftables(Place()), wall_clock=time.time, monotonic=time.monotonic)
        made.enforcer.start()
        return made

    first = bench()
    asked = first.ask(block("203.0.113.5", "80", 60), block("203.0.113.5", "443", 60), block("2001:db8::1", "80", 60))
    assert [("added", "")] * 3 == asked
    first.ask(unblock("203.0.113.5", "443"), block("203.0.113.5", "80", 600))
    expected = {key("203.0.113.5", "80"): 600, key("2001:db8::1", "80"): 60}
    assert expected == {p: round(held.seconds + 0.4) for p, held in nft.held().items()}
    subprocess.run(["nft", "flush", "ruleset"], check=True)
    first.enforcer.tick()
    assert expected.keys() == nft.held().keys()
    first.enforcer.close()
    second = bench()
    assert expected.keys() == nft.held().keys()
    assert [("exists", "")] == second.ask(block("203.0.113.5", "80", 600))
    second.enforcer.close()
