"""Rules as values."""

from __future__ import annotations

from datetime import date

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from suricataparser import parse_rule

from portkin.errors import RulesError
from portkin_rules.rule import LONGEST, content, new_rule, read_rules, revised

DAY = date(2026, 11, 21)
LATER = date(2027, 1, 2)


def a_rule(msg="a", sid=1_500_022, **metadata):
    return new_rule(
        "alert",
        "tcp any any -> any 22",
        [("flow", "to_server"), ("xbits", "set,pk22,track ip_src,expire 5")],
        msg=msg,
        sid=sid,
        metadata={"created_at": "2026_11_21", "portkin_table": "aaa", "portkin_k": 3, **metadata},
        noalert=True,
    )


def test_text():
    """A rule prints its options in Suricata's order: message, conditions, metadata, id, revision."""
    expected = (
        'alert tcp any any -> any 22 (msg:"a"; flow:to_server; xbits:set,pk22,track ip_src,expire 5; noalert; '
        "metadata:created_at 2026_11_21, portkin_table aaa, portkin_k 3; sid:1500022; rev:1;)"
    )
    assert expected == str(a_rule())


@settings(max_examples=50, deadline=None)
@given(st.text(st.characters(min_codepoint=32, max_codepoint=126), min_size=1, max_size=40).map(str.strip).filter(bool))
def test_read_back(msg):
    """Whatever the message, a printed rule reads back as the same rule."""
    rule = a_rule(msg)
    again = parse_rule(str(rule))
    assert again is not None
    assert (content(rule), rule.sid) == (content(again), again.sid)


def test_too_long():
    """A rule that Suricata would cut off is refused, with its id."""
    with pytest.raises(RulesError, match=f"1500022.*longer than the {LONGEST} bytes"):
        a_rule("a" * LONGEST)


def test_revision_stays():
    """A rule that differs in date and table alone is the rule that was there, word for word."""
    old = parse_rule(str(a_rule()))
    new = a_rule(created_at="2027_01_02", portkin_table="bbb")
    assert str(old) == str(revised(new, old, LATER))


def test_revision_rises():
    """A rule whose content changed gets the next revision, keeps its birthday and is dated."""
    old = parse_rule(str(a_rule()).replace("rev:1;", "rev:4;"))
    new = a_rule("b", created_at="2027_01_02", portkin_table="bbb")
    got = revised(new, old, LATER)
    assert 5 == got.rev
    assert "metadata:created_at 2026_11_21, updated_at 2027_01_02, portkin_table bbb, portkin_k 3;" in str(got)
    assert str(got) == str(revised(a_rule("b"), parse_rule(str(got)), LATER))


def test_new_rule_begins_at_one():
    """A rule that was not there before has revision 1."""
    assert 1 == revised(a_rule(), None, DAY).rev


def test_unreadable(tmp_path):
    """A file that is missing, no text, or no rules says which and why."""
    with pytest.raises(RulesError, match=r"none\.rules: cannot be read"):
        read_rules(tmp_path / "none.rules")
    (tmp_path / "junk.rules").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(RulesError, match=r"junk\.rules: cannot be read"):
        read_rules(tmp_path / "junk.rules")
    for options in ("sid:x;", "sid:1; rev;1;"):
        (tmp_path / "bad.rules").write_text(f"alert tcp any any -> any any ({options})\n")
        with pytest.raises(RulesError, match=r"bad\.rules: holds a rule that cannot be parsed"):
            read_rules(tmp_path / "bad.rules")
