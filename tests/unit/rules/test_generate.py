"""The rules of a set: which there are, and what each says."""

from __future__ import annotations

from collections import Counter
from datetime import date

import pytest

from portkin.errors import RulesError
from portkin.net.port_groups import PortGroups
from portkin.net.ports import Port
from portkin_rules.generate import blocked_by_probe, build_rules
from portkin_rules.passlist import pass_rules, read_networks
from portkin_rules.plan import Detector, Plan
from portkin_rules.protected_ports import select_ports
from portkin_rules.sids import Sids
from support.tables import small_table

NAMES = {Port(22, "tcp"): "ssh", Port(53, "udp"): "domain"}


@pytest.fixture
def table(tmp_path):
    return small_table(tmp_path / "table")


def built(table, plan, ports="22,80,53/udp"):
    found = build_rules(
        plan, table, select_ports(ports, table, plan.k), sids=Sids(), today=date(2026, 11, 21), names=NAMES.get
    )
    return {rule.sid: rule for rule in found}


def options(rule, name):
    return [option.value for option in rule.options if option.name == name]


def test_what_a_probe_blocks(table):
    """A probe blocks its port first, then those of its nearest that are protected, nearest first."""
    ports = select_ports("22,80,53/udp", table, 3)
    expected = {
        Port(22, "tcp"): (Port(22, "tcp"), Port(80, "tcp")),
        Port(80, "tcp"): (Port(80, "tcp"),),
        Port(53, "udp"): (Port(53, "udp"),),
    }
    assert expected == blocked_by_probe(table, ports, 3)
    assert (Port(22, "tcp"),) == blocked_by_probe(table, ports, 2)[Port(22, "tcp")]


def test_hostbit_mode(table):
    """In hostbit mode there is one rule per port, which tests the bit that the sidecar sets."""
    rules = built(table, Plan(mode="hostbit", action="drop"))
    assert {1_500_022, 1_500_080, 1_500_000 + 65_536 + 53} == rules.keys()
    expected = (
        'drop tcp $EXTERNAL_NET any -> $HOME_NET any (msg:"PORTKIN blocked port ssh (22/tcp)"; '
        'flow:to_server; flags:S,12; tcp.hdr; content:"|00 16|"; offset:2; depth:2; xbits:isset,pk22,track ip_src; '
        "xbits:unset,pkorder,track ip_src; target:dest_ip; classtype:network-scan; "
        f"metadata:created_at 2026_11_21, portkin_table {table.id}, portkin_k 3, portkin_mode hostbit, "
        "portkin_port 22/tcp; sid:1500022; rev:1;)"
    )
    assert expected == str(rules[1_500_022])
    udp = rules[1_565_589]
    assert ["to_server,not_established"] == options(udp, "flow")
    assert ["isset,pk53u,track ip_src", "unset,pkorder,track ip_src"] == options(udp, "xbits")
    assert ['"|00 35|"'] == options(udp, "content")


def test_autopilot_needs_nobody(table):
    """In autopilot mode no bit has a name that the sidecar would set; in both modes all blocking bits have."""
    for mode, foreign in (("autopilot", False), ("both", True)):
        bits = {
            value.split(",")[1] for rule in built(table, Plan(mode=mode)).values() for value in options(rule, "xbits")
        }
        assert foreign == bool({"pk22", "pk80", "pk53u"} & bits)


def test_counts_of_rules(table):
    """Two rules per port, one per group of new ports, and some for each protocol."""
    plan = Plan(detector=Detector(count=4))
    # Two TCP ports make two ranges; a count of 4 takes 8 groups in each; the UDP port is a group of its own.
    groups = 2 * 8 + 1
    # Per protocol: new host, two for scanners, 3 places, 15 + 3 of a burst, peers; for each place two for answers, and
    # two for any answer; of TCP, a refusal for each place, and two around the rules for new ports.
    counting, answers, tcp = 1 + 2 + 3 + 18 + 1, 2 * 3 + 2, 3 + 2
    assert 2 * 3 + groups + 2 * (counting + answers) + tcp == len(built(table, plan))


def test_how_tcp_rules_are_found(table):
    """Suricata meets a rule of one TCP port for packets to that port alone, the others for SYNs or by their flags."""
    rules = [rule for rule in built(table, Plan()).values() if rule.header.startswith("tcp")]
    assert {"S,12", "SA,12", "RA,12"} == {value for rule in rules for value in options(rule, "flags")}
    of_one_port = [rule for rule in rules if "blocked port" in rule.msg or "scanner probes" in rule.msg]
    assert 4 == len(of_one_port)
    for rule in of_one_port:
        assert rule.header.endswith("HOME_NET any")
        port = int(next(item for item in rule.metadata if "portkin_port" in item).split(" ")[1].split("/")[0])
        assert [f'"|00 {port:02x}|"'] == options(rule, "content")
        assert (["2"], ["2"]) == (options(rule, "offset"), options(rule, "depth"))
    others = [rule for rule in rules if rule not in of_one_port]
    assert [] == [rule.sid for rule in others if options(rule, "content")]
    assert {True} == {
        ("S,12" in options(rule, "flags")) != (options(rule, "prefilter") == [None])
        for rule in others
        if "peer" not in rule.msg
    }


def test_known_scanners_skip_what_counts(table):
    """A SYN of a known scanner sets no flowbit, and all rules that count, or tell new ports, wait for one."""
    rules = [rule for rule in built(table, Plan()).values() if rule.header.startswith("tcp $EXTERNAL_NET")]
    setting = [rule for rule in rules if any(bit.startswith("set,") for bit in options(rule, "flowbits"))]
    waiting = [rule for rule in rules if any(bit.startswith("isset,") for bit in options(rule, "flowbits"))]
    for rule in setting:
        assert rule in waiting or "isnotset,pkscanner,track ip_src" in options(rule, "xbits")
    unflagged = {" ".join(rule.msg.split(" ")[1:3]) for rule in rules if rule not in waiting and rule not in setting}
    assert {"blocked port", "scanner probes"} == unflagged


def test_few_ranges(table):
    """However many ports are protected, TCP rules name at most 24 ranges, which leave no port out."""
    ports = [Port(number, "tcp") for number in range(100, 3100, 3)]
    groups = PortGroups.of_tcp(ports, 10)
    spans = [groups.span(number) for number in range(len(groups.firsts))]
    assert 24 == len(spans)
    assert [*range(65536)] == [port for first, last in spans for port in range(first, last + 1)]
    held = Counter(groups.number(port.number) for port in ports)
    assert {41, 42} == set(held.values())


def test_groups_of_new_ports(table):
    """A source's ports count as new by their range and the last bits of their number; each group has its rule."""
    groups = PortGroups.of_tcp([Port(22, "tcp"), Port(80, "tcp")], 10)
    assert [(0, 6), (0, 15), (1, 0), (1, 0), (1, 15)] == [groups.group(port) for port in (22, 79, 80, 96, 65535)]
    rules = built(table, Plan(detector=Detector(count=10)))
    fresh = rules[Sids().new_port_group(1, 15)]
    assert "tcp $EXTERNAL_NET any -> $HOME_NET 80:65535" == fresh.header
    assert ["1,=,15,3,bitmask 0x0f"] == options(fresh, "byte_test")


def test_bits_that_are_tested_are_set(table):
    """No rule waits for a bit that no other sets, and every bit that blocks ends after the set time."""
    rules = built(table, Plan(seconds=77)).values()
    of = [value.split(",") for rule in rules for value in options(rule, "xbits")]
    tested = {name for command, name, *_ in of if command == "isset"}
    put = {name for command, name, *_ in of if command == "set"}
    # Host, peer, port, and whether a place is young: only their absence matters, as of most bits of a burst.
    absent = ("pkhost", "pkpeer", "pkseen", "pkyoung", "pkunit", "pksixteen")
    assert {name for name in put if not name.startswith(absent)} | {"pkunit15", "pksixteen3"} == tested
    ends = {name: rest[-1] for command, name, *rest in of if command == "set"}
    assert {"expire 77"} == {ends[name] for name in ("pk22", "pk80", "pk53u")}


def test_what_becomes_of_a_contact(table):
    """A contact takes a place; its answer frees the place and forgives another, its refusal makes it fail at once."""
    rules, sids = built(table, Plan(detector=Detector(count=3, seconds=20))), Sids()
    take = rules[sids.count(3, "tcp")]
    expected = ["isnotset,pkopen2", "set,pkopen2", "unset,pkyoung2", "set,pkyoung2"]
    assert expected == [",".join(value.split(",")[:2]) for value in options(take, "xbits")]
    assert "set,pkopen2,track ip_src,expire 20" in options(take, "xbits")
    assert ["isset,pknew", "unset,pknew", "set,pkopen2", "set,pkasked"] == options(take, "flowbits")
    answer, forgive, refusal = (rules[sids.answer(number, "tcp")] for number in (1, 65, 131))
    assert ("tcp $HOME_NET any -> $EXTERNAL_NET any", ["SA,12"]) == (answer.header, options(answer, "flags"))
    assert ["isset,pkopen2", "unset,pkopen2", "set,pkcredit"] == options(answer, "flowbits")
    expected = ["isset,pkopen2", "unset,pkopen2", "unset,pkyoung2"]
    assert [f"{bit},track ip_dst" for bit in expected] == options(answer, "xbits")
    expected = ["isset,pkopen2", "isnotset,pkyoung2", "unset,pkopen2"]
    assert [f"{bit},track ip_dst" for bit in expected] == options(forgive, "xbits")
    assert (["RA,12"], ["unset,pkyoung2,track ip_dst"]) == (options(refusal, "flags"), options(refusal, "xbits"))
    udp = rules[sids.answer(1, "udp")]
    assert ("udp $HOME_NET any -> $EXTERNAL_NET any", ["to_client"]) == (udp.header, options(udp, "flow"))
    assert sids.answer(2, "tcp") not in rules


def test_order_of_rules(table):
    """Rules that consume a flowbit are ordered by their ids, so each tests a host bit, and none is before its turn."""
    rules, sids = built(table, Plan()), Sids()
    consuming = [rule for rule in rules.values() if "unset,pknew" in options(rule, "flowbits")]
    assert all(any("set," in bit and "ip_src" in bit for bit in options(rule, "xbits")) for rule in consuming)
    tcp = [rule.msg for rule in sorted(consuming, key=lambda rule: rule.sid) if rule.header.startswith("tcp")]
    assert ["scanner after", "scanner after"] == [" ".join(msg.split(" ")[1:3]) for msg in tcp[:2]]
    assert [f"PORTKIN new contact {place}" for place in range(1, 10)] == tcp[2:11]
    assert sids.count(66, "tcp") == next(rule.sid for rule in rules.values() if rule.msg.endswith("burst, 1"))


def test_udp_hosts_count_at_protected_ports(table):
    """A new host counts at any TCP port, at UDP ports only where they are protected."""
    rules = built(table, Plan()).values()
    found = {rule.header for rule in rules if rule.msg == "PORTKIN new host for a source"}
    assert {"tcp $EXTERNAL_NET any -> $HOME_NET any", "udp $EXTERNAL_NET any -> $HOME_NET 53"} == found


def test_extended_by_a_new_probe(table):
    """Every bit that blocks is unset just before it is set: Suricata keeps the time of a bit that is there."""
    prediction = built(table, Plan())[1_500_000 + 131_072 + 22]
    expected = [
        "isset,pkscanner,track ip_src",
        "unset,pk22,track ip_src",
        "set,pk22,track ip_src,expire 20000",
        "unset,pk80,track ip_src",
        "set,pk80,track ip_src,expire 20000",
        "unset,pkscanner,track ip_src",
        "set,pkscanner,track ip_src,expire 3600",
    ]
    assert expected == options(prediction, "xbits")


def test_short_and_empty_rows(table):
    """A port that the table knows less than K nearest of, or none, blocks those and itself."""
    kin = blocked_by_probe(table, select_ports("70", table, 3), 3)
    assert ["80/tcp", "8080/tcp", "443/tcp"] == [str(port) for port in kin[Port(80, "tcp")]]
    assert ["2222/tcp"] == [str(port) for port in kin[Port(2222, "tcp")]]
    rules = built(table, Plan(), "70")
    expected = ["pkscanner", "pk2222", "pk2222", "pkscanner", "pkscanner"]
    assert expected == [value.split(",")[1] for value in options(rules[Sids().prediction(Port(2222, "tcp"))], "xbits")]


def test_only_what_concerns_people_alerts(table):
    """Block rules and the rules that find a scanner alert; those that count do not."""
    rules = built(table, Plan()).values()
    loud = Counter(" ".join(rule.msg.split(" ")[1:3]) for rule in rules if not options(rule, "noalert"))
    assert Counter({"blocked port": 3, "scanner after": 4}) == loud


def test_only_block_rules_have_the_action(table):
    """Only block rules drop or reject."""
    for action in ("drop", "reject"):
        rules = built(table, Plan(action=action)).values()
        assert {"blocked port"} == {" ".join(rule.msg.split(" ")[1:3]) for rule in rules if rule.action == action}


def test_pass_list(tmp_path, table):
    """A pass list becomes packet rules: SYNs to any port, datagrams to protected ports alone."""
    file = tmp_path / "pass.txt"
    file.write_text("# never\n192.0.2.0/24  # office\n\n2001:db8::1\n")
    ports = select_ports("22,80,53/udp,123/udp", table, 3)
    got = [
        f"{rule.action} {rule.header}"
        for rule in pass_rules(read_networks(file), ports, sids=Sids(), metadata={"a": 1})
    ]
    expected = [
        "pass tcp [192.0.2.0/24,2001:db8::1/128] any -> $HOME_NET any",
        "pass udp [192.0.2.0/24,2001:db8::1/128] any -> $HOME_NET [53,123]",
    ]
    assert expected == got


def test_long_pass_list(table):
    """A long pass list is spread over rules that Suricata can read."""
    nets = [f"10.{at // 256}.{at % 256}.0/24" for at in range(250)]
    rules = list(pass_rules(nets, select_ports("22/tcp", table, 3), sids=Sids(), metadata={"a": 1}))
    assert [1_894_000, 1_894_001, 1_894_002] == [rule.sid for rule in rules]


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("example.org", "'example.org' is not a network .*write 192.0.2.0/24"),
        ("fe80::1%eth0", "a rule knows no zones; write 'fe80::1'"),
        ("fe80::1%x] any", "a rule knows no zones"),
        ("192.0.2.5/24", "bits behind its prefix; write 192.0.2.0/24 for the network, 192.0.2.5 for the address"),
        ("2001:db8::1/32", "write 2001:db8::/32 for the network, 2001:db8::1 for the address"),
    ],
)
def test_bad_pass_list(tmp_path, line, says):
    """A line that is not a network is refused with its number, the reason, and what to write."""
    file = tmp_path / "pass.txt"
    file.write_text(f"192.0.2.0/24\n{line}\n")
    with pytest.raises(RulesError, match=rf"pass\.txt:2: .*{says}"):
        read_networks(file)
    with pytest.raises(RulesError, match="cannot be read"):
        read_networks(tmp_path / "none.txt")


def test_pass_list_with_a_byte_order_mark(tmp_path):
    """As editors of Windows begin a file."""
    file = tmp_path / "pass.txt"
    file.write_bytes(b"\xef\xbb\xbf192.0.2.7\r\n192.0.2.0/28\r\n")
    assert ["192.0.2.7/32", "192.0.2.0/28"] == read_networks(file)


def test_mapped_pass_list(tmp_path):
    """IPv4 in IPv6 notation stands for IPv4: that is what the packets are."""
    file = tmp_path / "pass.txt"
    file.write_text("::ffff:198.51.100.0/120\n::ffff:192.0.2.7\n::/0\n0.0.0.0/0\n::ffff:0:0/96\n")
    expected = ["198.51.100.0/24", "192.0.2.7/32", "::/0", "0.0.0.0/0", "0.0.0.0/0"]
    assert expected == read_networks(file)
