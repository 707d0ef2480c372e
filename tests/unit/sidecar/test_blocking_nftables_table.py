"""nftables: the table as a whole, made, mended, and never taken from somebody else; in the kernel (root)."""

from __future__ import annotations

import json
import re
import subprocess
import time

import pytest

from portkin.blocking.backends.backend import Batch, TimedKey
from portkin.blocking.backends.libnftables import Program
from portkin.blocking.backends.nftables import Nftables
from portkin.blocking.backends.nftables_setup import setup_commands
from portkin.blocking.backends.place import Place
from portkin.blocking.intervals import Intervals
from portkin.errors import BackendError
from support.enforcing import Bench, block, unblock
from support.simulated_backend import key


@pytest.mark.root
def test_setting_up_again_keeps_what_is_held_and_moves_the_chain(nft):
    """A second setup, with another hook and priority, loses no block; the rules are there once."""
    nft.apply(Batch(add=[TimedKey(key("192.0.2.1", "80"), 60)]))
    again = Nftables(Place(hook="forward", priority=5))
    again.setup()
    listed = json.loads(subprocess.check_output(["nft", "-j", "list", "table", "inet", "portkin"]))["nftables"]
    chains = [item["chain"] for item in listed if "chain" in item]
    assert [("forward", 5)] == [(chain["hook"], chain["prio"]) for chain in chains]
    assert 4 == sum("rule" in item for item in listed)
    assert [key("192.0.2.1", "80")] == list(again.held())
    again.close()


@pytest.mark.root
def test_a_table_that_is_gone_is_noticed(nft):
    """Without its table the backend reports lost blocks, and every use is an error until it is set up again."""
    assert not nft.lost_blocks()
    nft.teardown()
    assert nft.lost_blocks()
    for use in (nft.held, nft.dropped, lambda: nft.apply(Batch(add=[TimedKey(key("192.0.2.1", "1"), 1)]))):
        with pytest.raises(BackendError, match="nftables"):
            use()
    nft.teardown()
    nft.setup()
    assert ({}, False) == (nft.held(), nft.lost_blocks())


def ruleset(name="portkin"):
    """The table as nft lists it, without the moments at which elements expire."""
    listed = subprocess.run(["nft", "list", "table", "inet", name], capture_output=True, text=True, check=False).stdout
    return re.sub(r"expires \w+", "", listed)


@pytest.mark.root
@pytest.mark.parametrize(
    "edit",
    [
        "flush table inet portkin",
        "flush chain inet portkin scanners",
        "add chain inet portkin scanners; flush chain inet portkin scanners; delete chain inet portkin scanners",
        "add table inet portkin { flags dormant; }",
        "insert rule inet portkin scanners accept",
    ],
)
def test_a_table_that_no_longer_drops_is_mended(nft, edit):
    """Emptied of rules, switched off or with a rule before ours, the table is mended; what is blocked stays blocked."""
    blocked = {key("192.0.2.1", "80"), key("2001:db8::1", "53/udp")}
    nft.apply(Batch(add=[TimedKey(each, 600) for each in blocked]))
    before = ruleset()
    subprocess.run(["nft", edit], check=True)
    assert (True, True) == (before != ruleset(), nft.lost_blocks())

    nft.setup()

    assert (False, blocked) == (nft.lost_blocks(), nft.held().keys())
    assert sorted(before.splitlines()) == sorted(ruleset().splitlines())


@pytest.mark.root
def test_a_saved_ruleset_that_is_loaded_again_is_noticed(bare_nft, tmp_path):
    """A firewall that saves its rules and loads them again brings back no block that has ended, and loses none."""
    clocks = {"wall_clock": time.time, "monotonic": time.monotonic}
    bench = Bench(tmp_path, bare_nft, intervals=Intervals(check=0.0), **clocks)
    bench.enforcer.start()
    bench.enforcer.tick()  # and then nothing that the kernel holds is read for a minute
    bench.ask(block("192.0.2.1", "22", 600), block("192.0.2.2", "22", 600))
    saved = tmp_path / "nftables.conf"
    listed = subprocess.run(["nft", "list", "ruleset"], capture_output=True, text=True, check=True).stdout
    saved.write_text(f"flush ruleset\n{listed}")
    bench.ask(unblock("192.0.2.1", "22"), block("192.0.2.3", "22", 600))
    wanted = {key("192.0.2.2", "22"), key("192.0.2.3", "22")}
    assert wanted == bare_nft.held().keys()
    subprocess.run(["nft", "-f", saved], check=True)
    assert {key("192.0.2.1", "22"), key("192.0.2.2", "22")} == bare_nft.held().keys()

    bench.enforcer.tick()

    assert wanted == bare_nft.held().keys()
    assert not bare_nft.lost_blocks()
    bench.enforcer.close()


THEIRS = {
    "a firewall": "add chain inet portkin input { type filter hook input priority 0; policy drop; }; "
    "add rule inet portkin input tcp dport 22 accept; add set inet portkin admins { type ipv4_addr; }",
    "an empty table": "",
    "sets and a chain of our names": setup_commands(Place()).replace("\n", " ; ").split("; }", 1)[1].strip(" ;}"),
}


@pytest.mark.root
@pytest.mark.parametrize("theirs", THEIRS.values(), ids=THEIRS.keys())
def test_a_table_of_somebody_else_is_left_alone(nft, theirs):
    """Without our mark a table of our name is neither filled, replaced nor deleted; the error names what to do."""
    nft.teardown()
    for command in ["add table inet portkin", *filter(str.strip, re.split(r" ; |; (?=add)", theirs))]:
        subprocess.run(["nft", command], check=True)
    before = ruleset()
    for use in (nft.setup, nft.teardown):
        with pytest.raises(BackendError, match=r"is not portkin's.* enforce\.nftables\.table"):
            use()
    assert (before, True) == (ruleset(), nft.lost_blocks())


@pytest.mark.root
def test_what_somebody_put_into_our_table_is_not_deleted(nft):
    """With a chain of somebody else in it our table is mended, and neither deleted nor replaced."""
    nft.apply(Batch(add=[TimedKey(key("192.0.2.1", "80"), 600)]))
    subprocess.run(["nft", "add chain inet portkin mine; add rule inet portkin mine accept"], check=True)
    nft.setup()
    with pytest.raises(BackendError, match="chain mine, which portkin did not create, so it is not deleted"):
        nft.teardown()
    # A set of another type, as an older release may have left it.
    subprocess.run(
        ["nft", "flush chain inet portkin scanners; delete set inet portkin udp6; "
         "add set inet portkin udp6 { type ipv6_addr; flags timeout; }"],
        check=True,
    )  # fmt: skip
    with pytest.raises(BackendError, match="chain mine, which portkin did not create, so it is not replaced"):
        nft.setup()
    subprocess.run(["nft", "delete chain inet portkin mine"], check=True)
    nft.setup()
    assert not nft.lost_blocks()


@pytest.mark.root
def test_the_program_does_what_the_library_does(nft):
    """Without the library, nft itself makes the table, the same; its errors are reported."""
    before = ruleset()
    nft.teardown()
    by_program = Nftables(Place(), runner=Program("nft"))
    by_program.setup()
    assert before == ruleset()
    with pytest.raises(BackendError, match="Could not process rule"):
        Program("nft").run("delete element inet portkin tcp4 { 192.0.2.2 . 80 }")
    by_program.close()


def test_the_table_is_what_the_documentation_says():
    """The commands that make the table, whole: our own table, four sets, one chain at the place that was set."""
    text = setup_commands(Place(hook="input", priority=-10, size=7))
    assert "add set inet portkin tcp6 { type ipv6_addr . inet_service; flags timeout; size 7; counter; }" in text
    assert "add chain inet portkin scanners { type filter hook input priority -10; policy accept; }" in text
    assert "add rule inet portkin scanners ip6 saddr . udp dport @udp6 counter name dropped drop" in text
