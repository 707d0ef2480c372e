"""Rules per source out of Zeek's portkin.log."""

from __future__ import annotations

import json

import pytest
from click.testing import CliRunner

from portkin.errors import RulesError
from portkin.net.ports import Port
from portkin_rules.build import make_source_rules
from portkin_rules.commands import rules as command
from portkin_rules.from_log import Decision, read_decisions, running
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


def test_running(log):
    """Each port of a source is there once; decisions that are too old, and those without ports, are not."""
    decisions = list(read_decisions(log))
    everything = {"198.51.100.7": set(ports("22", "23", "53/udp")), "2001:db8::7": set(ports("80"))}
    assert everything == running(decisions, now=1010, seconds=10)
    assert {"2001:db8::7": set(ports("80"))} == running(decisions, now=1011.5, seconds=10)


@pytest.mark.parametrize(
    "line", ["1\tPortkin::DECISION", "x\tDECISION\tD\t1.2.3.4\t-\t22/tcp", "1\tDECISION\tD\tnobody\t-\t22/tcp"]
)
def test_not_a_log(tmp_path, line):
    """A line that is none is refused with its number."""
    path = tmp_path / "portkin.log"
    path.write_text(f"{HEAD}\n{line}\n")
    with pytest.raises(RulesError, match=r"portkin\.log:8: not a line"):
        list(read_decisions(path))


@pytest.mark.parametrize("cut", ["1006.0\tPortkin::DECISION\tD6\t198.5", LINES[2][:-4], '{"ts": 1006.0, "ki'])
def test_cut_last_line(log, tmp_path, cut):
    """A last line without an end is left out with a warning, even where it looks whole; the others count."""
    path, told = tmp_path / "cut.log", []
    path.write_text("\n".join([HEAD, *LINES, cut]))
    assert list(read_decisions(log)) == list(read_decisions(path, told.append))
    assert [f"{path}:14: the last line is cut off and was left out; it is read when it is whole"] == told


def test_cut_line_is_told(tmp_path):
    """The command writes the other sources' rules and warns on standard error."""
    path, output = tmp_path / "portkin.log", tmp_path / "s.rules"
    path.write_text("\n".join([HEAD, *LINES, LINES[0][:20]]))
    done = CliRunner().invoke(command, ["from-log", str(path), "--seconds", str(10**10), "-o", str(output)])
    assert 0 == done.exit_code
    assert f"portkin: warning: {path}:14: the last line is cut off" in done.stderr
    assert 3 == len(read_rules(output))


def test_zone_of_an_address(tmp_path):
    """An address with a zone, which could hold text that ends the rule, is refused."""
    path = tmp_path / "portkin.log"
    path.write_text(f"{HEAD}\n1000.5\tDECISION\tD\tfe80::1%x any -> any any\t-\t22/tcp\n")
    with pytest.raises(RulesError, match=r"portkin\.log:8: .*has a zone, which no rule can name"):
        list(read_decisions(path))


def test_file(log, tmp_path):
    """The file holds a rule per source and protocol; made again, it keeps ids and revisions, and drops what ended."""
    output = tmp_path / "sources.rules"
    written = make_source_rules(log, output, seconds=100, action="drop", now=1010)
    assert (3, 3, 0, 0) == (written.rules, written.new, written.changed, written.gone)
    headers = [f"{rule.action} {rule.header}" for rule in read_rules(output)]
    expected = [
        "drop tcp 198.51.100.7 any -> $HOME_NET [22,23]",
        "drop udp 198.51.100.7 any -> $HOME_NET [53]",
        "drop tcp 2001:db8::7 any -> $HOME_NET [80]",
    ]
    assert expected == headers
    before = output.read_text()
    make_source_rules(log, output, seconds=100, action="drop", now=1011)
    assert before == output.read_text()
    log.write_text("\n".join([HEAD, *LINES[1:3], ""]))
    written = make_source_rules(log, output, seconds=100, action="drop", now=1012)
    assert (3, 0, 1, 0) == (written.rules, written.new, written.changed, written.gone)
    assert [(1_895_000, 2), (1_895_001, 1), (1_895_002, 1)] == [(rule.sid, rule.rev) for rule in read_rules(output)]
    written = make_source_rules(log, output, seconds=10, action="drop", now=1011.5)
    assert (1, 0, 0, 2) == (written.rules, written.new, written.changed, written.gone)
    assert [1_895_002] == [rule.sid for rule in read_rules(output)]
