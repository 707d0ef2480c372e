"""Contexts: packed, written, and hosts that a dataset keeps apart by them."""

from pathlib import Path

import numpy as np
import pytest

from portkin.net.addresses import Nets, number_of, text_of
from portkin_training.core.context import context_of_text, describe, located, packed, source_of, text_of_context
from portkin_training.core.dataset import load
from portkin_training.ingest.captures.options import CaptureOptions
from portkin_training.ingest.run import IngestOptions, ingest
from support import captures as by_hand
from support.captures import BEGIN, ipv4, tcp
from support.encapsulations import FRAMES, TUNNELS

VLANS = Path(__file__).resolve().parents[2] / "captures" / "vlans.pcap"
MAPPED = 0xFFFF << 32


@pytest.mark.parametrize(
    ("parts", "text"),
    [
        ({}, ""),
        ({"vlan": 0}, "vlan=0"),
        ({"vlan": 10}, "vlan=10"),
        ({"vlan": 4095, "inner_vlan": 0}, "vlan=4095,inner_vlan=0"),
        ({"vni": 0xFFFFFF}, "vni=16777215"),
    ],
)
def test_contexts_are_written_as_zeek_does(parts, text):
    """A context and its text are each made of the other; 0 is no context, VLAN 0 is one."""
    context = packed(**parts)
    assert text == text_of_context(context)
    assert context == context_of_text(text)
    assert (context == 0) == (not parts)


def test_a_source_is_an_address_in_its_context():
    """Sources of one address in two contexts differ, and both are in the networks of the address."""
    address = number_of("198.51.100.10")
    one, other = (source_of(address, packed(vlan=vlan)) for vlan in (10, 20))
    assert one != other
    assert ("198.51.100.10 (vlan=10)", "198.51.100.10") == (describe(one), describe(source_of(address, 0)))
    assert one in Nets(["198.51.100.0/24"])


def test_hosts_of_contexts_are_local_addresses():
    """In fd00::/8 IPv4 keeps context and address; every pair of address and context is a host of its own."""
    ends = np.array([[0, MAPPED | 0xC633640A]] * 4 + [[0x20010DB8 << 32, 7]] * 3, np.int64)
    contexts = np.array([0, 11, 21, 101 << 26, 0, 11, 101 << 26], np.int64)
    found = located(ends, contexts)
    words = found.view(np.uint64)
    texts = [text_of(int(high) << 64 | int(low)) for high, low in words]
    # VLAN 10 is packed as 11 = 0xb, 20 as 21 = 0x15, VNI 100 as 101 << 26 = 0x1_9400_0000
    assert ["198.51.100.10", "fd00::b:0:ffff:c633:640a", "fd00::15:0:ffff:c633:640a"] == texts[:3]
    assert "fd00:1:9400::ffff:c633:640a" == texts[3]
    assert "2001:db8::7" == texts[4]
    assert all(text.startswith("fd") for text in texts[5:])
    assert 7 == len(set(texts))
    assert ends is located(ends, np.zeros(7, np.int64))


def test_ingest_keeps_hosts_of_two_vlans_apart(tmp_path):
    """8 probes of VLAN 10, 8 answered connections and a failed one of VLAN 20: two sources, where asked."""
    for context, sources in (("none", 1), ("vlan", 2)):
        ingest([VLANS], tmp_path / context, IngestOptions(captures=CaptureOptions(context=context)))
        probes = load(tmp_path / context)
        assert (17, sources) == (len(probes), len(np.unique(probes.src, axis=0)))


def test_the_same_syn_in_two_networks_is_two_probes(tmp_path):
    """A SYN in two VLANs, or in two virtual networks, repeats nothing where these are contexts."""
    syn = ipv4("198.51.100.1", "192.0.2.1", 6, tcp(40000, 80))
    frames = [FRAMES["vlan"](syn), FRAMES["qinq"](syn), FRAMES["ethernet"](syn), TUNNELS["vxlan"](syn)]
    path = tmp_path / "a.pcap"
    path.write_bytes(by_hand.pcap([(BEGIN + n, frame) for n, frame in enumerate(frames)], link=1))
    for context, probes in (("none", 1), ("vlan", 3), ("vni", 2)):
        found = ingest([path], tmp_path / context, IngestOptions(captures=CaptureOptions(context=context)))
        assert {6: probes} == dict(found.probes)


def test_outer_counts_the_tunnel(tmp_path):
    """With `outer`, a SYN in VXLAN is a UDP probe of the tunnel's port."""
    path = tmp_path / "a.pcap"
    path.write_bytes(
        by_hand.pcap([(BEGIN, TUNNELS["vxlan"](ipv4("198.51.100.1", "192.0.2.1", 6, tcp(40000, 80))))], link=1)
    )
    ingest([path], tmp_path / "probes", IngestOptions(captures=CaptureOptions(outer=True)))
    probes = load(tmp_path / "probes")
    assert ([4789], [17]) == (probes.dport.tolist(), probes.proto.tolist())
