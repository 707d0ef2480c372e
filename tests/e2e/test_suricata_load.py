"""A real Suricata takes the rules without a word."""

from __future__ import annotations

from pathlib import Path

import pytest

from bench.bench_rules import full_table
from portkin.bundles.table import default_table
from portkin.errors import RulesError
from portkin_rules.build import write_port_rules
from portkin_rules.plan import Detector, Plan
from portkin_rules.suricata import check_rules
from support.suricata import write_config

pytestmark = pytest.mark.suricata

SHIPPED = Path(__file__).resolve().parents[2] / "rules" / "portkin.rules"


def test_shipped(suricata):
    """The set that ships gives no error and no warning, with the settings that come with Suricata."""
    check_rules(SHIPPED, program=suricata)


@pytest.mark.parametrize("mode", ["autopilot", "hostbit", "both"])
@pytest.mark.parametrize("action", ["alert", "drop", "reject"])
def test_every_plan(suricata, tmp_path, mode, action):
    """Every mode with every action is accepted, with the largest K, the longest count and a pass list."""
    table = default_table()
    (tmp_path / "pass.txt").write_text("192.0.2.0/24\n2001:db8::/32\n")
    plan = Plan(table.k, mode=mode, action=action, detector=Detector(count=64))
    rules = tmp_path / "portkin.rules"
    write_port_rules(plan, table, "50", rules, pass_list=tmp_path / "pass.txt", check=True)
    assert rules.exists()


def test_check_before_writing(suricata, tmp_path, monkeypatch):
    """Rules that Suricata refuses are not written: here it cannot know the variables of its settings."""
    (tmp_path / "suricata.yaml").write_text("%YAML 1.1\n---\nvars: {}\n")
    with pytest.raises(RulesError, match="does not accept"):
        check_rules(SHIPPED, program=suricata, config=tmp_path / "suricata.yaml")


@pytest.mark.parametrize("console", ["yes", "no"])
@pytest.mark.parametrize(
    ("rules", "says"),
    [
        ("flowbits:isset,never; sid:1;", "flowbit 'never' is checked but not set"),
        ("nonsense:1; sid:1;", "unknown rule keyword 'nonsense'"),
    ],
)
def test_complaints(suricata, tmp_path, console, rules, says):
    """Errors and warnings about rules are reported, wherever the settings send them; other warnings are not."""
    config = write_config(tmp_path, console=console)
    path = tmp_path / "x.rules"
    path.write_text(f'alert tcp any any -> any any (msg:"x"; {rules})\n')
    with pytest.raises(RulesError, match=says):
        check_rules(path, program=suricata, config=config)
    path.write_text('alert tcp any any -> any any (msg:"x"; sid:1;)\n')
    check_rules(path, program=suricata, config=config)


@pytest.mark.slow
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("mode", ["hostbit", "both"])
def test_every_port(suricata, tmp_path, mode):
    """All 65,535 ports, K = 3, are accepted; `tests/bench/bench_rules.py --full` says what that takes."""
    table = full_table(tmp_path / "table", 3)
    write_port_rules(Plan(mode=mode), table, "65535", tmp_path / "portkin.rules")
    check_rules(tmp_path / "portkin.rules", program=suricata)
