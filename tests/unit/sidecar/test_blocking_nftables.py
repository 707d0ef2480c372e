"""nftables: the commands as text, and the kernel's own sets in a network namespace (root)."""

from __future__ import annotations

import ctypes
import json
import random
import re
import shutil
import subprocess
from ipaddress import ip_address
from pathlib import Path

import pytest

from portkin.blocking.backends import libnftables, nftables
from portkin.blocking.backends.backend import Batch, TimedKey
from portkin.blocking.backends.libnftables import Program, find_runner
from portkin.blocking.backends.nfnetlink import element
from portkin.blocking.backends.nfnetlink_write import ElementWriter
from portkin.blocking.backends.nftables import Nftables, commands_of
from portkin.blocking.backends.place import Place, fault_of_name
from portkin.blocking.block import key_of
from portkin.errors import BackendError
from portkin.net.ports import Port
from support.simulated_backend import key

NFT = shutil.which("nft", path="/usr/sbin:/sbin:/usr/bin")


def in_words(batch, *, prolongs):
    """The commands of a batch: set, keys with their times, and whether they are deleted."""
    for name, changes, delete in commands_of(batch, prolongs=prolongs):
        shown = [(each.key[-4:-2].hex(), *each[1:]) for each in changes]
        yield f"{'delete' if delete else 'add'} {name}", *shown


BATCH = Batch(
    [TimedKey(key("192.0.2.1", "80"), 60.0), TimedKey(key("192.0.2.2", "81"), 0.0005)],
    [TimedKey(key("2001:db8::1", "53/udp"), 1.5, 7, 420)],
    [key("192.0.2.3", "22")],
)


def test_a_batch_is_a_few_commands():
    """Adds go in one command per set; an extension says what is left of its time, and what was counted before."""
    expected = [
        ("add tcp4", ("0050", 60_000, True, 0, 0), ("0051", 1, True, 0, 0)),
        ("add udp6", ("0035", 1500, True, 7, 420)),
        ("add tcp4", ("0016", 0, False, 0, 0)),
        ("delete tcp4", ("0016", 0, False, 0, 0)),
    ]
    assert expected == list(in_words(BATCH, prolongs=True))


def test_a_batch_for_kernels_that_do_not_prolong():
    """Before Linux 6.12 an extension is added, deleted and added with its new time and what was counted before."""
    expected = [
        ("add tcp4", ("0050", 60_000, False, 0, 0), ("0051", 1, False, 0, 0)),
        ("add udp6", ("0035", 0, False, 0, 0)),
        ("delete udp6", ("0035", 0, False, 0, 0)),
        ("add udp6", ("0035", 1500, False, 7, 420)),
        ("add tcp4", ("0016", 0, False, 0, 0)),
        ("delete tcp4", ("0016", 0, False, 0, 0)),
    ]
    assert expected == list(in_words(BATCH, prolongs=False))


def test_a_table_has_a_plain_name():
    """A name that is more than a word is refused before nft sees it."""
    for name in ("x; flush ruleset", "set", "x" * 256):
        with pytest.raises(ValueError, match="is not the name of a table"):
            Nftables(Place(table=name), runner=Program("/bin/true"))


@pytest.mark.skipif(NFT is None, reason="no program nft")
def test_what_nft_reads_as_a_keyword_is_no_name(tmp_path):
    """Of all words in nft's library, nft itself takes those as names of tables that we take, and refuses `chain`."""
    ctypes.CDLL(libnftables.LIBRARY)
    maps = Path("/proc/self/maps").read_text().splitlines()
    library = Path(next(line.split()[-1] for line in maps if "libnftables" in line))
    words = {word.decode() for word in re.findall(rb"(?<!\w)[A-Za-z_]\w{0,30}(?!\w)", library.read_bytes())}
    taken = sorted(word for word in words if not fault_of_name(word))
    assert len(taken) > 1000
    assert {"chain", "set", "counter"} <= words - set(taken)
    # What follows the last name is no command: nft reads all lines, reports ten errors at most, and changes nothing.
    for names, lines in ((taken, [len(taken) + 1]), (["chain", "portkin"], [1, 3])):
        file = tmp_path / "names.nft"
        file.write_text("".join(f"create table inet {name}\n" for name in names) + "no command\n")
        ended = subprocess.run([NFT, "-c", "-f", file], capture_output=True, text=True)
        assert lines == [int(line) for line in re.findall(rf"^{file}:(\d+):", ended.stderr, re.MULTILINE)], ended.stderr


def test_without_library_and_program_it_is_said_what_to_install(monkeypatch):
    """Where neither libnftables nor nft is here, the error names the package."""
    monkeypatch.setattr(libnftables, "LIBRARY", "libnothing.so.0")
    monkeypatch.setattr(libnftables.shutil, "which", lambda *_, **__: None)
    with pytest.raises(BackendError, match="libnftables1"):
        find_runner()


@pytest.mark.root
def test_what_is_added_is_held_with_its_time(nft):
    """The kernel holds each key, IPv4 and IPv6, TCP and UDP, with what is left of its time, up to a year."""
    wanted = {key("192.0.2.1", "80"): 60, key("2001:db8::1", "65535/udp"): 7200, key("192.0.2.1", "0/udp"): 5}
    wanted |= {key("192.0.2.1", "81"): 100_000, key("192.0.2.1", "82"): 31_536_000}
    nft.apply(Batch(add=[TimedKey(p, s) for p, s in wanted.items()]))
    assert wanted == {p: round(held.seconds + 0.4) for p, held in nft.held().items()}


@pytest.mark.root
def test_extending_refreshes_and_removing_removes(nft):
    """An extension counts from now, for a key that has expired too; removing one that has is no error."""
    one, other = key("192.0.2.1", "80"), key("192.0.2.1", "81")
    nft.apply(Batch(add=[TimedKey(one, 60)]))
    nft.apply(Batch(extend=[TimedKey(one, 600), TimedKey(other, 600)]))
    assert [600, 600] == [round(held.seconds + 0.4) for held in nft.held().values()]
    nft.apply(Batch(extend=[TimedKey(one, 30)], remove=[other, key("192.0.2.9", "9")]))
    assert {one: 30} == {p: round(held.seconds + 0.4) for p, held in nft.held().items()}


@pytest.mark.root
def test_a_batch_is_all_or_nothing(nft):
    """A batch of which a part is refused leaves the kernel as it was."""
    small = Nftables(Place(table="small", size=3))
    small.setup()
    with pytest.raises(BackendError, match="blocks cannot be written \\(a set is full\\)"):
        small.apply(Batch(add=[TimedKey(key("192.0.2.1", str(port)), 60) for port in range(1, 9)]))
    assert {} == small.held()
    small.apply(Batch(add=[TimedKey(key("192.0.2.1", "1"), 60)]))
    assert 1 == len(small.held())
    small.close()


@pytest.mark.root
def test_what_is_set_and_not_seen_is_an_error(nft, monkeypatch):
    """A kernel that answers well and does nothing is found out at once."""
    monkeypatch.setattr(ElementWriter, "write", lambda self, table, commands: None)
    with pytest.raises(BackendError, match="is not seen; nothing is blocked"):
        Nftables(Place()).setup()


def listed_by_nft():
    """(address, port, seconds) by set, as nft reads the kernel."""
    listed = json.loads(subprocess.check_output(["nft", "-j", "list", "table", "inet", "portkin"]))["nftables"]
    sets = [item["set"] for item in listed if "set" in item]
    elements = {each["name"]: [item["elem"] for item in each.get("elem", [])] for each in sets}
    return {
        name: {(*item["val"]["concat"], item["timeout"]) for item in items} for name, items in elements.items() if items
    }


@pytest.mark.root
def test_nft_reads_what_was_written(nft):
    """For nft each element has the address, the port and the time that were asked for; what it adds itself is held."""
    dice = random.Random(20_190_408)
    expected, batch = {}, []
    for number in range(500):
        source = ip_address(dice.getrandbits(32) if number % 2 else dice.getrandbits(128))
        port, seconds = Port(dice.randrange(65_536), dice.choice(["tcp", "udp"])), dice.randrange(1000, 31_536_000)
        batch.append(TimedKey(key_of(source, port), seconds, number, number))
        expected.setdefault(f"{port.proto}{source.version}", set()).add((str(source), port.number, seconds))
    nft.apply(Batch(add=batch))
    assert expected == listed_by_nft()
    subprocess.run(["nft", "add element inet portkin udp6 { 2001:db8::9 . 9 timeout 9s }"], check=True)
    assert key("2001:db8::9", "9/udp") in nft.held()
    nft.apply(Batch(remove=[key("2001:db8::9", "9/udp"), *(item.key for item in batch)]))
    assert {} == listed_by_nft()


@pytest.mark.root
def test_a_batch_of_any_size_is_one_transaction(nft):
    """Twenty thousand changes, more than a socket holds by default, are carried out at once, or none of them."""
    many = [TimedKey(key_of(ip_address(n), Port(n % 7, "tcp")), 600) for n in range(1 << 24, (1 << 24) + 20_000)]
    nft.apply(Batch(add=many))
    nft.apply(Batch(extend=[item._replace(seconds=900) for item in many[:10]], remove=[item.key for item in many[10:]]))
    assert [900] * 10 == [round(held.seconds + 0.4) for held in nft.held().values()]
    subprocess.run(["nft", "flush chain inet portkin scanners; delete set inet portkin udp6"], check=True)
    with pytest.raises(BackendError, match="No such file"):
        nft.apply(Batch(add=[*many[10:], TimedKey(key("2001:db8::9", "9/udp"), 9)]))
    subprocess.run(["nft", "add set inet portkin udp6 { type ipv6_addr . inet_service; flags timeout; }"], check=True)
    assert 10 == len(nft.held())


@pytest.mark.root
def test_many_elements_are_read_as_they_were_written(nft):
    """Thousands of elements, with different times and some without end, are read back exactly once each."""
    wanted = {key_of(ip_address(f"10.{n >> 8}.{n & 255}.1"), Port(n, "tcp")): 100 + n % 7000 for n in range(1, 9000)}
    nft.apply(Batch(add=[TimedKey(p, s) for p, s in wanted.items()]))
    subprocess.run(["nft", "add element inet portkin tcp4 { 192.0.2.77 . 77 }"], check=True)
    held = nft.held()
    assert float("inf") == held.pop(key("192.0.2.77", "77")).seconds
    assert wanted.keys() == held.keys()
    assert all(0 <= wanted[p] - held[p].seconds < 30 for p in wanted)


def test_what_a_list_lacks_is_asked_for_one_by_one(nft, monkeypatch):
    """The kernel moves elements while a set grows, and a dump then lacks some, whether it says so or not."""
    there = [key(f"198.51.100.{n}", "22") for n in range(1, 251)]
    gone = [key(f"203.0.113.{n}", "22") for n in range(1, 251)]
    nft.setup()
    nft.apply(Batch(add=[TimedKey(each, 60.0) for each in there]))
    dumped, asked = nftables.elements, []
    monkeypatch.setattr(nftables, "elements", lambda table, name: dumped(table, name)[:20])
    monkeypatch.setattr(nftables, "element", lambda *place: asked.append(place) or element(*place))
    assert 20 == len(nft.held())
    assert set(there) == nft.held(there + gone).keys()
    assert 230 + 250 == len(asked)  # 200 that are there, 30 and 170 that are gone, and 80 that are gone
    asked.clear()
    assert 20 == len(nft.held(gone))
    assert 200 == len(asked)
