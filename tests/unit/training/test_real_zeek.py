"""How `portkin compare` puts into words where Zeek and its Python twin differ."""

from __future__ import annotations

import dataclasses

from portkin.net.addresses import number_of
from portkin.net.ports import Port
from portkin_training.twin.real_zeek import DecisionRecord, explain

ONE = DecisionRecord(1.5, number_of("192.0.2.1"), Port(22, "tcp"), "TRW", (Port(23, "tcp"),), (), (), 1, 0)


def test_what_differs_is_named_with_both_values():
    """A decision that both took is named once, with each field that differs."""
    other = dataclasses.replace(ONE, predicted=(), hits=2)
    assert [
        "00:00:01.500000 192.0.2.1 probed 22/tcp: predicted is 23/tcp in Zeek, nothing in replay; "
        "hits is 0 in Zeek, 2 in replay"
    ] == list(explain([ONE], [other]))


def test_what_one_alone_decided_is_named():
    """A decision of one side alone says whose it is, in order of time."""
    later = dataclasses.replace(ONE, ts=2.0)
    assert [
        "00:00:01.500000 192.0.2.1 probed 22/tcp: only portkin replay took a decision",
        "00:00:02.000000 192.0.2.1 probed 22/tcp: only Zeek took a decision",
    ] == list(explain([later], [ONE]))


def test_equal_decisions_differ_in_nothing():
    """Nothing is said where both are alike."""
    assert [] == list(explain([ONE], [ONE]))
