"""``portkin rules build``: what is written, kept and refused."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from click.testing import CliRunner

from portkin.bundles.table import default_table
from portkin.errors import CutoffError, PortkinError, RulesError
from portkin.net.ports import Port
from portkin_rules import build as making
from portkin_rules.build import write_port_rules
from portkin_rules.commands import rules as command
from portkin_rules.generate import build_rules
from portkin_rules.plan import Plan
from portkin_rules.protected_ports import select_ports
from portkin_rules.rule import content, read_rules
from portkin_rules.ruleset import MARK
from portkin_rules.sids import Sids
from support.tables import small_table, table_with_chances

ROOT = Path(__file__).resolve().parents[3]


@pytest.fixture
def table(tmp_path):
    return small_table(tmp_path / "table")


def test_files(table, tmp_path):
    """The file says how it was made and reads back; the map beside it names every rule."""
    output = tmp_path / "out" / "portkin.rules"
    written = write_port_rules(Plan(k=2, seconds=60), table, "22,53/udp", output, table_option=Path("t"))
    lines = output.read_text().splitlines()
    assert lines[0].startswith(MARK)
    assert f"# Table {table.id}" in lines[1]
    assert (
        "# Build again with: portkin rules build --table t --ports 22,53/udp -k 2 --seconds 60 -o portkin.rules"
        in lines
    )
    found = read_rules(output)
    assert written.rules == len(found) == written.new
    entries = (output.parent / "sid-msg.map").read_text().splitlines()
    assert sorted(f"{rule.sid} || {rule.msg}" for rule in found) == entries
    assert "1500022 || PORTKIN blocked port ssh (22/tcp)" in entries


@pytest.mark.parametrize(("min_chance", "expected"), [(None, [23, 2222]), (0.3, [23]), (0.0, [23, 2222, 80])])
def test_min_chance(tmp_path, min_chance, expected):
    """Only ports that reach the cut-off are blocked (22 -> 23 by 0.5, 2222 by 0.25, 80 by 0.01), by default that which
    the table recommends: 0.2. The header says which, and how to build again."""
    chancy = table_with_chances(tmp_path / "table", cutoff=0.2)
    output = tmp_path / "portkin.rules"
    write_port_rules(Plan(min_chance=min_chance), chancy, "22,23,80,2222", output)
    (blocks,) = [rule for rule in read_rules(output) if rule.sid == Sids().prediction(Port(22, "tcp"))]
    found = {int(port) for port in re.findall(r"'set,pk(\d+),track", str(content(blocks)))}
    assert {22, *expected} == found
    again = next(line for line in output.read_text().splitlines() if "Build again" in line)
    assert (f"--min-chance {min_chance}" in again) == (min_chance is not None)


def test_min_chance_refused(table, tmp_path):
    """A cut-off that is no chance, or a table without chances to cut by, is refused, and nothing is written."""
    with pytest.raises(CutoffError, match="between 0"):
        Plan(min_chance=1.5)
    with pytest.raises(CutoffError, match="has no chances"):
        write_port_rules(Plan(min_chance=0.1), table, "22", tmp_path / "portkin.rules")
    assert not (tmp_path / "portkin.rules").exists()


def test_made_again(table, tmp_path):
    """Making the same set again, by a table that says the same, changes not a byte of its rules."""
    output = tmp_path / "portkin.rules"
    write_port_rules(Plan(), table, "22,53/udp", output)
    before = output.read_text()
    written = write_port_rules(Plan(), small_table(tmp_path / "again"), "22,53/udp", output)
    assert (0, 0, 0) == (written.new, written.changed, written.removed)
    assert before == output.read_text()


def test_only_what_changed(table, tmp_path):
    """Another table raises the revision of the rules it changes, and of no other; ids stay."""
    output = tmp_path / "portkin.rules"
    write_port_rules(Plan(), table, "22,80,53/udp", output)
    before = {rule.sid: rule for rule in read_rules(output)}
    # Everything near to 22 moves by one: 24, 2223 and 81, so 80 is no more blocked with it.
    written = write_port_rules(Plan(), small_table(tmp_path / "moved", shift=1), "22,80,53/udp", output)
    after = {rule.sid: rule for rule in read_rules(output)}
    prediction = Sids().prediction(Port(22, "tcp"))
    assert before.keys() == after.keys()
    assert 1 == written.changed
    assert {prediction} == {sid for sid in after if str(after[sid]) != str(before[sid])}
    assert 2 == after[prediction].rev


@pytest.mark.parametrize(
    ("plan", "ports", "options", "says"),
    [
        (Plan(k=4), "10", {}, "K = 4: table .* holds 3"),
        (Plan(), "4444/tcp", {}, "4444/tcp: not in table"),
        (Plan(), "10", {"sid_base": 5}, "sid base 5"),
        (Plan(), "10", {"beside": ["theirs.rules"]}, "theirs.rules: 1 of its signature ids"),
        (Plan(), "10", {"pass_list": "none.txt"}, "none.txt: cannot be read"),
    ],
)
def test_nothing_half_written(table, tmp_path, monkeypatch, plan, ports, options, says):
    """What cannot be made is refused, and the file that was there stays as it was."""
    monkeypatch.chdir(tmp_path)
    Path("theirs.rules").write_text('alert tcp any any -> any any (msg:"x"; sid:1500080; rev:1;)\n')
    options = {
        name: [Path(item) for item in value]
        if isinstance(value, list)
        else Path(value)
        if value == "none.txt"
        else value
        for name, value in options.items()
    }
    output = tmp_path / "portkin.rules"
    write_port_rules(Plan(), table, "22,53/udp", output)
    before = sorted((path.name, path.read_bytes()) for path in tmp_path.iterdir() if path.is_file())
    with pytest.raises(PortkinError, match=says):
        write_port_rules(plan, table, ports, output, **options)
    assert before == sorted((path.name, path.read_bytes()) for path in tmp_path.iterdir() if path.is_file())


def test_foreign_file(table, tmp_path):
    """A file that is not ours is not replaced."""
    output = tmp_path / "local.rules"
    output.write_text("# mine\n")
    with pytest.raises(RulesError, match=r"local\.rules: exists and was not generated by portkin"):
        write_port_rules(Plan(), table, "10", output)
    assert "# mine\n" == output.read_text()
    with pytest.raises(RulesError, match="is a folder; name a file in it"):
        write_port_rules(Plan(), table, "10", tmp_path)


@pytest.mark.parametrize("theirs", ["2000001 || ET SCAN x\n", "1 || 1500000 || 1 || x\n", "# mine\n", b"\xff"])
def test_foreign_messages(table, tmp_path, theirs):
    """A sid-msg.map that says anything of other rules is not replaced, and no rules are written beside it."""
    messages = tmp_path / "sid-msg.map"
    content = theirs if isinstance(theirs, bytes) else f"1500000 || ours\n\n{theirs}".encode()
    messages.write_bytes(content)
    with pytest.raises(RulesError, match=r"sid-msg\.map.*into another folder"):
        write_port_rules(Plan(), table, "10", tmp_path / "portkin.rules")
    assert [messages] == list(tmp_path.glob("*.*"))
    assert content == messages.read_bytes()


def test_own_messages(table, tmp_path):
    """Our own sid-msg.map is replaced, also where the rules before had another range of ids."""
    output = tmp_path / "portkin.rules"
    write_port_rules(Plan(), table, "10", output, sid_base=1_000_000)
    write_port_rules(Plan(), table, "10", output)
    entries = (tmp_path / "sid-msg.map").read_text().splitlines()
    assert {rule.sid for rule in read_rules(output)} == {int(entry.split(" ")[0]) for entry in entries}


def test_unwritable(table, tmp_path):
    """A place that cannot be written to is named."""
    (tmp_path / "file").write_text("")
    with pytest.raises(RulesError, match=r"file/portkin\.rules: cannot be written"):
        write_port_rules(Plan(), table, "10", tmp_path / "file" / "portkin.rules")


def test_suricata_is_missing(table, tmp_path, monkeypatch):
    """Without Suricata, rules that are to be checked are not written."""
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(RulesError, match=r"no suricata on PATH.*omit --check"):
        write_port_rules(Plan(), table, "10", tmp_path / "portkin.rules", check=True)
    assert not (tmp_path / "portkin.rules").exists()


@pytest.mark.parametrize(
    ("says", "match"),
    [("This is Suricata version 6.0.10 RELEASE", "need Suricata 7.0 or later"), ("hello", "prints no version")],
)
def test_suricata_is_old(table, tmp_path, monkeypatch, says, match):
    """A Suricata that is too old, or none, is named with what it said."""
    program = tmp_path / "suricata"
    program.write_text(f"#!/bin/sh\necho '{says}'\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/bin:/usr/bin")
    with pytest.raises(RulesError, match=match):
        making.find_suricata()


def test_command(tmp_path):
    """The command says what it wrote, and an error names the option at fault."""
    output = tmp_path / "portkin.rules"
    done = CliRunner().invoke(command, ["build", "--ports", "5", "-o", str(output)])
    assert 0 == done.exit_code
    assert re.fullmatch(rf"{output}: \d+ rules \(\d+ new, 0 changed, 0 removed\)\n", done.stdout)
    failed = CliRunner().invoke(command, ["build", "-k", "0", "-o", str(output)])
    assert isinstance(failed.exception, RulesError)


def test_shipped_set():
    """The rules that ship are those of the table that ships: build them again with the command in their header."""
    shipped = {rule.sid: rule for rule in read_rules(ROOT / "rules" / "portkin.rules")}
    table, plan = default_table().above(default_table().cutoff), Plan()
    # The names of services differ from machine to machine, so they are taken from the messages.
    names = {}
    for rule in shipped.values():
        if found := re.fullmatch(r"PORTKIN blocked port (\S+) \((\S+)\)", rule.msg):
            names[Port.parse(found[2])] = found[1]
    today = default_table().created.date()
    ports = select_ports("1000", table, plan.k)
    made = {rule.sid: rule for rule in build_rules(plan, table, ports, sids=Sids(), today=today, names=names.get)}
    assert made.keys() == shipped.keys()
    assert [] == [sid for sid in made if content(made[sid]) != content(shipped[sid])]
    entries = (ROOT / "rules" / "sid-msg.map").read_text().splitlines()
    assert [f"{sid} || {shipped[sid].msg}" for sid in sorted(shipped)] == entries


def test_shared_messages(table, tmp_path):
    """Files of rules in a folder share a sid-msg.map: fewer rules in one take no message of another's."""
    one, other = tmp_path / "one.rules", tmp_path / "other.rules"
    write_port_rules(Plan(), table, "22,80", one)
    write_port_rules(Plan(), table, "22", other, sid_base=1_000_000)
    write_port_rules(Plan(), table, "22", one)
    entries = [line.split(" ")[0] for line in (tmp_path / "sid-msg.map").read_text().splitlines()]
    assert [str(sid) for sid in sorted(rule.sid for file in (one, other) for rule in read_rules(file))] == entries
