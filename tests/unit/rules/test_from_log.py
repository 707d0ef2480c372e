"""Rules per source out of Zeek's portkin.log."""

from __future__ import annotations

import gzip
import json
import os

import pytest
from click.testing import CliRunner

from portkin.errors import RulesError
from portkin.net.ports import Port
from portkin_rules.build import write_source_rules
from portkin_rules.commands import rules as command
from portkin_rules.from_log import Decision, active_blocks, read_decisions
from portkin_rules.rule import read_rules

HEAD = "\n".join(
    (
        r"#separator \x09",
        "#set_separator\t,",
        "#empty_field\t(empty)",
        "#unset_field\t-",
        "#path\tportkin",
        "#fields\tts\tkind\tid\tsrc\tprobed\tkept",
        "#types\ttime\tenum\tstring\taddr\tport\tvector[port]",
    )
)
LINES = [
    "1000.5\tPortkin::DECISION\tD1\t198.51.100.7\t22/tcp\t22/tcp,23/tcp",
    "1001.0\tPortkin::DECISION\tD2\t198.51.100.7\t53/udp\t53/udp,22/tcp",
    "1002.0\tDECISION\tD3\t2001:db8::7\t80/tcp\t80/tcp",
    "1003.0\tPortkin::DECISION\tD4\t198.51.100.8\t80/tcp\t(empty)",
    "1004.0\tPortkin::OUTCOME\tD1\t198.51.100.7\t22/tcp\t-",
    "1005.0\tPortkin::STATE_FULL\t-\t-\t-\t-",
]


@pytest.fixture
def log(tmp_path):
    path = tmp_path / "portkin.log"
    path.write_text("\n".join([HEAD, *LINES, "#close\t2026-11-21-21-00-00", ""]))
    return path


def ports(*texts):
    return tuple(Port.parse(text) for text in texts)


def test_tsv(log):
    """Decisions are read; outcomes, full state and comments are not."""
    expected = [
        Decision(1000.5, "198.51.100.7", ports("22", "23")),
        Decision(1001.0, "198.51.100.7", ports("53/udp", "22")),
        Decision(1002.0, "2001:db8::7", ports("80")),
        Decision(1003.0, "198.51.100.8", ()),
    ]
    assert expected == list(read_decisions(log))


def test_json(tmp_path):
    """JSON logs say the same, with either form of time."""
    path = tmp_path / "portkin.log"
    row = {"kind": "Portkin::DECISION", "src": "198.51.100.7", "kept": ["22/tcp"]}
    times = [1000.5, "1970-01-01T00:16:40.500000Z"]
    path.write_text("".join(json.dumps({"ts": ts, **row}) + "\n" for ts in times))
    assert [Decision(1000.5, "198.51.100.7", ports("22"))] * 2 == list(read_decisions(path))


@pytest.mark.parametrize("proto", ["tcp", "udp"])
def test_protocol_of_the_line(tmp_path, proto):
    """Zeek logs ports as bare numbers, in TSV and in JSON; their protocol is that of the line."""
    path = tmp_path / "portkin.log"
    head = HEAD.replace("kept", "proto\tkept").replace("vector", "enum\tvector")
    path.write_text(f"{head}\n1000.5\tPortkin::DECISION\tD\t198.51.100.7\t53\t{proto}\t53,123\n")
    expected = [Decision(1000.5, "198.51.100.7", ports(f"53/{proto}", f"123/{proto}"))]
    assert expected == list(read_decisions(path))
    row = {"ts": 1000.5, "kind": "Portkin::DECISION", "src": "198.51.100.7", "proto": proto, "kept": [53, 123]}
    path.write_text(json.dumps(row) + "\n")
    assert expected == list(read_decisions(path))
    write_source_rules([path], tmp_path / "s.rules", seconds=100, action="alert", now=1010)
    assert [f"{proto} 198.51.100.7 any -> $HOME_NET [53,123]"] == [r.header for r in read_rules(tmp_path / "s.rules")]


@pytest.mark.parametrize("proto", ["icmp", "unknown_transport"])
def test_protocol_without_ports(tmp_path, proto):
    """Ports of a protocol that has none are refused, not taken for TCP."""
    path = tmp_path / "portkin.log"
    row = {"ts": 1000.5, "kind": "DECISION", "src": "198.51.100.7", "proto": proto, "kept": [8]}
    path.write_text(json.dumps(row) + "\n")
    with pytest.raises(RulesError, match=rf"portkin\.log:1: .*'8/{proto}' names no protocol"):
        list(read_decisions(path))


def test_milliseconds(tmp_path):
    """Times of JSON::TS_MILLIS are milliseconds: a decision of last month gets no rule, one of this hour does."""
    path, now = tmp_path / "portkin.log", 1_795_886_302.492
    rows = [
        {"ts": round((now - age) * 1000), "kind": "Portkin::DECISION", "src": src, "proto": "tcp", "kept": [445]}
        for src, age in (("198.51.100.1", 30 * 86_400), ("198.51.100.2", 60))
    ]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    assert [1_793_294_302.492, 1_795_886_242.492] == [decision.ts for decision in read_decisions(path)]
    assert {"198.51.100.2": set(ports("445"))} == active_blocks(read_decisions(path), now=now, seconds=20_000)


@pytest.mark.parametrize("ts", ["nan", "inf", "-1", "1e30"])
def test_not_a_time(tmp_path, ts):
    """A number that no clock shows is refused."""
    path = tmp_path / "portkin.log"
    path.write_text(f"{HEAD}\n{ts}\tDECISION\tD\t198.51.100.7\t22\t22\n")
    with pytest.raises(RulesError, match=r"portkin\.log:8: .*is not a time"):
        list(read_decisions(path))


def test_clock_ahead():
    """A decision dated far ahead gets no rule, which would never end; one of a clock slightly ahead does."""
    decisions = [Decision(1000.0 + ahead, f"198.51.100.{ahead}", ports("22")) for ahead in (5, 99, 100, 250)]
    assert {"198.51.100.5", "198.51.100.99"} == active_blocks(decisions, now=1000, seconds=100).keys()


def test_active_blocks(log):
    """Each port of a source is there once; decisions that are too old, and those without ports, are not."""
    decisions = list(read_decisions(log))
    everything = {"198.51.100.7": set(ports("22", "23", "53/udp")), "2001:db8::7": set(ports("80"))}
    assert everything == active_blocks(decisions, now=1010, seconds=10)
    assert {"2001:db8::7": set(ports("80"))} == active_blocks(decisions, now=1011.5, seconds=10)


@pytest.mark.parametrize(
    "line",
    [
        "1\tPortkin::DECISION",
        "x\tDECISION\tD\t1.2.3.4\t-\t22/tcp",
        "1\tDECISION\tD\tnobody\t-\t22/tcp",
        "0001-01-01T00:00:00+23:59\tDECISION\tD\t1.2.3.4\t-\t22/tcp",
        '{"kind": ' + "[" * 100_000,
    ],
)
def test_not_a_log(tmp_path, line):
    """A line that is none is refused with its number."""
    path = tmp_path / "portkin.log"
    path.write_text(f"{HEAD}\n{line}\n")
    with pytest.raises(RulesError, match=r"portkin\.log:8: not a line"):
        list(read_decisions(path))


def test_a_header_without_a_separator_has_the_usual_one(tmp_path):
    """Zeek writes a tab where nothing else is said."""
    path = tmp_path / "portkin.log"
    path.write_text("\n".join([HEAD.replace(r"#separator \x09", "#separator "), LINES[2]]) + "\n")
    assert [Decision(1002.0, "2001:db8::7", ports("80"))] == [*read_decisions(path)]


@pytest.mark.parametrize("cut", ["1006.0\tPortkin::DECISION\tD6\t198.5", LINES[2][:-4], '{"ts": 1006.0, "ki'])
def test_cut_last_line(log, tmp_path, cut):
    """A last line without an end is left out with a warning, even where it looks whole; the others count."""
    path, told = tmp_path / "cut.log", []
    path.write_text("\n".join([HEAD, *LINES, cut]))
    assert list(read_decisions(log)) == list(read_decisions(path, told.append))
    assert [f"{path}:14: the last line is incomplete and was skipped; Zeek may still be writing it"] == told


def test_cut_line_is_reported(tmp_path):
    """The command writes the other sources' rules and warns on standard error."""
    path, output = tmp_path / "portkin.log", tmp_path / "s.rules"
    path.write_text("\n".join([HEAD, *LINES, LINES[0][:20]]))
    done = CliRunner().invoke(command, ["from-log", str(path), "--seconds", str(10**10), "-o", str(output)])
    assert 0 == done.exit_code
    assert f"portkin: warning: {path}:14: the last line is incomplete" in done.stderr
    assert 3 == len(read_rules(output))


def test_zone_of_an_address(tmp_path):
    """An address with a zone, which could hold text that ends the rule, is refused."""
    path = tmp_path / "portkin.log"
    path.write_text(f"{HEAD}\n1000.5\tDECISION\tD\tfe80::1%x any -> any any\t-\t22/tcp\n")
    with pytest.raises(RulesError, match=r"portkin\.log:8: .*has a zone, which a rule cannot express"):
        list(read_decisions(path))


def test_file(log, tmp_path):
    """The file holds a rule per source and protocol; a later one keeps ids and revisions, and omits what ended."""
    output = tmp_path / "sources.rules"
    written = write_source_rules([log], output, seconds=100, action="drop", now=1010)
    assert (3, 3, 0, 0) == (written.rules, written.new, written.changed, written.removed)
    headers = [f"{rule.action} {rule.header}" for rule in read_rules(output)]
    expected = [
        "drop tcp 198.51.100.7 any -> $HOME_NET [22,23]",
        "drop udp 198.51.100.7 any -> $HOME_NET [53]",
        "drop tcp 2001:db8::7 any -> $HOME_NET [80]",
    ]
    assert expected == headers
    before = output.read_text()
    write_source_rules([log], output, seconds=100, action="drop", now=1011)
    assert before == output.read_text()
    log.write_text("\n".join([HEAD, *LINES[1:3], ""]))
    written = write_source_rules([log], output, seconds=100, action="drop", now=1012)
    assert (3, 0, 1, 0) == (written.rules, written.new, written.changed, written.removed)
    assert [(1_895_000, 2), (1_895_001, 1), (1_895_002, 1)] == [(rule.sid, rule.rev) for rule in read_rules(output)]
    written = write_source_rules([log], output, seconds=10, action="drop", now=1011.5)
    assert (1, 0, 0, 2) == (written.rules, written.new, written.changed, written.removed)
    assert [1_895_002] == [rule.sid for rule in read_rules(output)]


@pytest.mark.parametrize("text", ["", f"{HEAD}\n", f"{HEAD}\n{LINES[4]}\n"])
def test_a_log_without_a_decision_ends_no_block(log, tmp_path, text):
    """A log that has just been rotated replaces no rules, unless that is meant; without rules it is as good as any."""
    output = tmp_path / "sources.rules"
    write_source_rules([log], output, seconds=100, action="drop", now=1010)
    before = output.read_text()
    log.write_text(text)
    with pytest.raises(RulesError, match=r"portkin\.log: not one decision in it.*3 rules.*--force"):
        write_source_rules([log], output, seconds=100, action="drop", now=1010)
    assert before == output.read_text()
    assert 3 == write_source_rules([log], output, seconds=100, action="drop", now=1010, force=True).removed
    assert 0 == write_source_rules([log], output, seconds=100, action="drop", now=1010).rules


def test_rotated_logs(log, tmp_path):
    """Blocks of before a rotation go on with the logs that Zeek rotated; archives that are too old are not read."""
    output = tmp_path / "sources.rules"
    write_source_rules([log], output, seconds=100, action="drop", now=1010)
    current = tmp_path / "current.log"
    current.write_text("\n".join([HEAD, LINES[2], ""]))
    archive = tmp_path / "archive.log"
    archive.write_text("not a log of portkin\n")
    os.utime(archive, (900, 900))
    rotated = tmp_path / "rotated.log.gz"
    rotated.write_bytes(gzip.compress(log.read_bytes()))
    written = write_source_rules([archive, rotated, current], output, seconds=100, action="drop", now=1010)
    assert (3, 0, 0, 0) == (written.rules, written.new, written.changed, written.removed)
    with pytest.raises(RulesError, match=r"archive\.log:1: not a line of portkin\.log"):
        write_source_rules([archive, current], output, seconds=200, action="drop", now=1010)
    with pytest.raises(RulesError, match=r"archive\.log: not one decision in it.*3 rules"):
        write_source_rules([archive, archive], output, seconds=100, action="drop", now=1010)
