"""Who is no scanner is not blocked: forty clients and servers, in every Suricata that is found, with the shipped rules."""

from __future__ import annotations

from collections import Counter

import pytest

from portkin.bundles.table import default_table
from portkin_rules.build import write_port_rules
from portkin_rules.plan import Plan
from support.benign import ALLOWED, HOME, PATTERNS, write_benign
from support.suricata import dropped, replay, scanners_by_address

pytestmark = pytest.mark.suricata


def test_there_are_forty():
    """Forty patterns beside the one that needs a pass list."""
    assert 40 <= len(PATTERNS.keys() - {ALLOWED})


@pytest.mark.parametrize("home", [HOME, "any"])
def test_benign(suricata, tmp_path, home):
    """No packet of theirs is dropped, and none of them is called a scanner, but for the one on the pass list."""
    sources = write_benign(tmp_path / "benign.pcap")
    (tmp_path / "pass.txt").write_text(f"{sources[ALLOWED]}\n")
    rules = tmp_path / "portkin.rules"
    write_port_rules(Plan(action="drop"), default_table(), "1000", rules, pass_list=tmp_path / "pass.txt")
    external = "any" if home == "any" else "!$HOME_NET"
    got = replay(suricata, rules, tmp_path / "benign.pcap", tmp_path / "log", "--simulate-ips", home=home, external=external)
    names = {address: name for name, address in sources.items()}
    assert Counter() == Counter(names[address] for address in dropped(got))
    called = {names[address] for address in scanners_by_address(got)} - {ALLOWED}
    # Where a network is both at home and outside, nobody is a peer, and a refused connection back counts.
    assert called == ({"active FTP through a firewall that refuses"} if home == "any" else set())
