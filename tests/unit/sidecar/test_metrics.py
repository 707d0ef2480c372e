"""Metrics: what Prometheus reads is what happened."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from portkin.metrics import Metrics
from portkin.net.ports import Port
from portkin.zeek.event import Count, Junk
from portkin.zeek.messages import (
    HelloResponse,
    NearestRequest,
    NearestResponse,
    SourceRequest,
    SourceResponse,
    TableChanged,
)
from support.tables import small_table, with_model

CREATED = datetime(2026, 11, 21, 12, 0, tzinfo=UTC)
P = Port(22, "tcp")
SECONDS = "portkin_answer_seconds_count"


@pytest.fixture
def metrics(tmp_path):
    table = small_table(tmp_path / "table", created=CREATED)
    # An hour and a half after the table was built: 5400 s.
    return Metrics(lambda: table, lambda: CREATED.timestamp() + 5400)


def value(metrics, name, **labels):
    return metrics.registry.get_sample_value(name, labels)


def answer(*ports):
    return NearestResponse("r", P, "t", ports, (1.0,) * len(ports), "")


def test_requests_answers_and_misses_are_counted(metrics):
    """A request counts once, its answer too; an empty one is a miss as well; the time is in the histogram."""
    request = NearestRequest("r", P, Count(3), -1.0)
    metrics.answered(request, [answer(P)], 0.0001)
    metrics.answered(request, [answer()], 0.0004)
    metrics.answered(TableChanged("t", Count(1), False), [], 1.0)
    assert [2, 1] == [value(metrics, f"portkin_{name}_total") for name in ("answers", "misses")]
    assert [2, 2] == [value(metrics, name, by="port") for name in ("portkin_requests_total", SECONDS)]
    assert 1 == value(metrics, "portkin_answer_seconds_bucket", by="port", le="0.0001")


def test_questions_about_sources_are_counted_by_themselves(metrics):
    """Theirs and their times have a label of their own, from zero on; their answers count with the others."""
    assert [0, 0] == [value(metrics, name, by="source") for name in ("portkin_requests_total", SECONDS)]
    request = SourceRequest("s", (P,), Count(1), timedelta(0), Count(3), -1.0)
    metrics.answered(request, [SourceResponse("s", "t", (), (), True, "")], 0.0001)
    assert [1, 1] == [value(metrics, name, by="source") for name in ("portkin_requests_total", SECONDS)]
    assert [0, 0] == [value(metrics, name, by="port") for name in ("portkin_requests_total", SECONDS)]
    assert [1, 1] == [value(metrics, f"portkin_{name}_total") for name in ("answers", "misses")]


def test_only_a_second_connection_is_a_reconnect(metrics):
    """The first connection is none; each one after it is; the gauge says whether one is open."""
    states = []
    for step in (metrics.connected, metrics.lost, metrics.connected):
        step()
        states.append((value(metrics, "portkin_connected"), value(metrics, "portkin_reconnects_total")))
    assert [(1, 0), (0, 0), (1, 1)] == states


def test_the_zeek_that_answers_is_named_until_it_is_lost(metrics):
    """Node, version and protocol while the connection lasts; afterwards no sample at all."""
    labels = {"node": "manager", "version": "8.0.10", "protocol": "1"}
    metrics.greeted(HelloResponse("r", Count(1), "manager", "8.0.10"))
    before = value(metrics, "portkin_zeek_info", **labels)
    metrics.lost()
    assert (1, None) == (before, value(metrics, "portkin_zeek_info", **labels))


def test_the_time_of_the_latest_request_can_be_read(metrics):
    """0 before the first; then the clock's time, an hour and a half after the table was built."""
    name = "portkin_latest_request_timestamp_seconds"
    before = value(metrics, name)
    metrics.answered(NearestRequest("r", P, Count(3), -1.0), [], 0.0001)
    assert (0, CREATED.timestamp() + 5400) == (before, value(metrics, name))


def test_junk_is_counted_by_reason(metrics):
    """Each reason has its own count."""
    metrics.junk(Junk("not-json", "x"))
    metrics.junk(Junk("not-json", "y"))
    metrics.junk(Junk("wrong-type", "z"))
    assert [2, 1] == [
        value(metrics, "portkin_invalid_messages_total", reason=reason) for reason in ("not-json", "wrong-type")
    ]


def test_the_table_and_its_age_can_be_read(metrics, tmp_path):
    """The table in service is named by id, and its age is the time since it was built."""
    table = small_table(tmp_path / "again", shift=1)
    assert 5400 == value(metrics, "portkin_table_age_seconds")
    metrics.serving(table)
    assert 1 == value(metrics, "portkin_table_info", id=table.id, k="3", method="by hand", by_source="false")
    with_model(table)
    metrics.serving(table)
    assert 1 == value(metrics, "portkin_table_info", id=table.id, k="3", method="by hand", by_source="true")
