"""Settings, ids and choice of ports."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from portkin.blocking.backends.host_bits import bit_of
from portkin.errors import PortError, RulesError
from portkin.net.ports import PROTOS, Port
from portkin_rules.plan import Detector, Plan
from portkin_rules.protected_ports import most_predicted, select_ports
from portkin_rules.sids import LOCAL, Sids, refuse_used_sids
from support.tables import small_table

PORT = st.builds(Port, st.integers(0, 65535), st.sampled_from(PROTOS))


@pytest.fixture
def table(tmp_path):
    return small_table(tmp_path / "table")


def ports(*texts):
    return tuple(Port.parse(text) for text in texts)


@settings(max_examples=50, deadline=None)
@given(PORT, PORT, st.integers(1_000_000, 1_600_000))
def test_sids_never_meet(one, other, base):
    """Every kind of rule of every port has an id of its own, within the range of local rules."""
    sids = Sids(base)
    found = [kind(port) for kind in (sids.block, sids.prediction) for port in {one, other}]
    found += [sids.new_port(port) for port in {one, other} if port.proto == "udp"]
    found += [sids.new_port_group(number, last) for number in range(24) for last in range(128)]
    found += [sids.count(number, "tcp") for number in range(91)]
    found += [sids.count(number, "udp") for number in range(156)]  # 32,768 single ports take 66 rules for new hosts
    found += [sids.answer(number, "tcp") for number in range(193)]
    found += [sids.answer(number, "udp") for number in range(130)]
    found += [sids.pass_list(0), sids.pass_list(999), *sids.sources]
    assert len(found) == len(set(found))
    assert all(sid in sids.all and sid in LOCAL for sid in found)


@pytest.mark.parametrize("base", [0, 999_999, 1_600_001])
def test_sid_base_out_of_range(base):
    """A base from which the ids would leave the local range is refused, with the range."""
    with pytest.raises(RulesError, match=f"sid base {base}.*from 1000000 to 1600000"):
        Sids(base)


def test_collisions(tmp_path):
    """An id that another file has is named with the file; the file itself and other ids do not count."""
    folder = tmp_path / "others"
    folder.mkdir()
    theirs = folder / "theirs.rules"
    theirs.write_text('alert tcp any any -> any any (msg:"x"; sid:1500022; rev:1;)\n')
    with pytest.raises(RulesError, match=r"theirs\.rules: 1 of its signature ids.*1500022.*--sid-base"):
        refuse_used_sids([1_500_022], [folder], but=tmp_path / "ours.rules")
    refuse_used_sids([1_500_022], [folder], but=theirs)
    refuse_used_sids([1_500_023], [folder], but=tmp_path / "ours.rules")


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda: Plan(k=0), "K = 0"),
        (lambda: Plan(seconds=0), "seconds 0"),
        (lambda: Plan(seconds=10**9), "a year"),
        (lambda: Plan(mode="off"), "mode 'off'.*autopilot, hostbit, both"),
        (lambda: Plan(action="block"), "action 'block'"),
        (lambda: Detector(count=1), "scan count 1"),
        (lambda: Detector(seconds=0), "scan seconds 0"),
        (lambda: Detector(memory=-1), "memory -1"),
    ],
)
def test_bad_settings(make, says):
    """A setting that cannot be carried out is refused before anything is made."""
    with pytest.raises(RulesError, match=says):
        make()


def test_most_predicted(table):
    """The ports that are among the nearest of most others come first, ties by protocol and number."""
    # K = 2: 22 -> 23 2222, 80 -> 8080 443, 53/udp -> 123/udp; each is predicted once, 22 and 80 never.
    assert [*ports("23", "443")] == most_predicted(table, 2, 2)
    # K = 3: 22 -> 80 as well.
    assert [*ports("23", "80")] == most_predicted(table, 3, 2)
    assert 8 == len(most_predicted(table, 3, 100))


def test_select_list(table):
    """A list stands for its ports, in order of protocol and number; a range for what is known of it."""
    assert ports("22", "23", "80", "53/udp") == select_ports("53/udp, 80,20-30/tcp", table, 3)
    assert ports("80") == select_ports("80/tcp", table, 3)
    assert 3 == len(select_ports("3", table, 3))


@pytest.mark.parametrize("text", ["4444/tcp", "22,80/udp", "5000-6000"])
def test_unknown_port(table, text):
    """A port that the table has never seen is refused by name."""
    with pytest.raises(RulesError, match=text.split(",")[-1]):
        select_ports(text, table, 3)


@pytest.mark.parametrize("text", ["http", "70000/tcp", "30-20", "22,,80", "-1", "22-", "-22/udp"])
def test_no_port(table, text):
    """What is no port is refused with the text."""
    with pytest.raises(PortError):
        select_ports(text, table, 3)


def test_no_ports(table):
    """Protecting nothing, or more ports than there are, is refused."""
    for text in ("0", "200000"):
        with pytest.raises(RulesError, match=f"{text} ports: protect 1 to 131072"):
            select_ports(text, table, 3)


def test_bits():
    """The names of bits are those that the sidecar sets."""
    assert ("pk443", "pk53u") == (bit_of(Port(443, "tcp")), bit_of(Port(53, "udp")))
