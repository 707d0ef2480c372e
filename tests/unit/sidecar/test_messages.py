"""Messages: what Zeek's events mean here, and what is no message."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address

import pytest
import zeekpy
from hypothesis import given, settings
from hypothesis import strategies as st

from portkin.net.addresses import Address
from portkin.net.ports import Port
from portkin.zeek.event import Count, Event, Junk, Message, zeek_event
from portkin.zeek.event_codec import parse, unparse
from portkin.zeek.messages import HelloRequest, NearestRequest, NearestResponse

REQUEST = Event("Portkin::nearest_request", ["r1", zeekpy.port(22, "tcp"), zeekpy.count(5), 0.5])


def test_a_request_is_parsed_to_its_class():
    """An event with the declared arguments becomes the message of that name."""
    assert NearestRequest("r1", Port(22, "tcp"), Count(5), 0.5) == parse(REQUEST)


def test_a_response_is_carried_as_zeeks_types():
    """What the sidecar says is tagged as the events declare: port is port, count is count."""
    message = NearestResponse("r1", Port(53, "udp"), "abc", (Port(123, "udp"),), (2.0,), "")
    assert Event(
        "Portkin::nearest_response",
        ["r1", zeekpy.port(53, "udp"), "abc", [zeekpy.port(123, "udp")], [2.0], ""],
    ) == unparse(message)


def test_a_count_is_sent_as_a_count():
    """A count does not travel as an integer, which Zeek would refuse."""
    assert [str, zeekpy.count, str, str, zeekpy.count] == [
        type(arg) for arg in unparse(HelloRequest("r", Count(1), "s", "t", Count(16))).args
    ]


@pytest.mark.parametrize(
    ("event", "reason"),
    [
        (Event("Portkin::farthest_request", []), "unknown-event"),
        (Event("", []), "unknown-event"),
        (Event(REQUEST.name, REQUEST.args[:2]), "wrong-arity"),
        (Event(REQUEST.name, [*REQUEST.args, "more"]), "wrong-arity"),
        (Event(REQUEST.name, [1, *REQUEST.args[1:]]), "wrong-type"),
        (Event(REQUEST.name, ["r1", "22/tcp", zeekpy.count(5), 0.5]), "wrong-type"),
        (Event(REQUEST.name, ["r1", zeekpy.port(22, "icmp"), zeekpy.count(5), 0.5]), "wrong-type"),
        (Event(REQUEST.name, ["r1", zeekpy.port(65536, "tcp"), zeekpy.count(5), 0.5]), "wrong-type"),
        (Event(REQUEST.name, ["r1", zeekpy.port(-1, "tcp"), zeekpy.count(5), 0.5]), "wrong-type"),
        (Event(REQUEST.name, ["r1", zeekpy.port(22, "tcp"), 5, 0.5]), "wrong-type"),
        (Event(REQUEST.name, ["r1", zeekpy.port(22, "tcp"), True, 0.5]), "wrong-type"),
        (Event(REQUEST.name, ["r1", zeekpy.port(22, "tcp"), zeekpy.count(-1), 0.5]), "wrong-type"),
        (Event(REQUEST.name, [*REQUEST.args[:3], 1]), "wrong-type"),
        (Event(REQUEST.name, [None, None, None, None]), "wrong-type"),
    ],
)
def test_what_is_no_message_is_junk_with_a_reason(event, reason):
    """Unknown events, a wrong number of arguments and wrong types are distinguished, and none raises."""
    junk = parse(event)
    assert (Junk, reason) == (type(junk), junk.reason)


def test_the_detail_of_junk_is_short():
    """A peer cannot fill the log with one event."""
    assert len(parse(Event("x" * 100_000, [])).detail) < 300


@zeek_event("PortkinTest::everything")
@dataclass(frozen=True, slots=True)
class Everything(Message):
    text: str
    yes: bool
    number: Count
    ratio: float
    where: Port
    who: Address
    when: datetime
    width: timedelta
    many: tuple[Port, ...]
    counts: tuple[Count, ...]


EVERYTHING = Everything(
    "t",
    True,
    Count(2**63),
    0.5,
    Port(80, "tcp"),
    ip_address("2001:db8::1"),
    datetime(2026, 11, 21, 12, 0, tzinfo=UTC),
    timedelta(minutes=5),
    (Port(1, "udp"), Port(2, "tcp")),
    (),
)


def test_every_type_survives_the_way_there_and_back():
    """A message written out and read again is equal, for every type that an event may use."""
    assert EVERYTHING == parse(unparse(EVERYTHING))


VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.integers(-3, 2**65).map(zeekpy.count)
    | st.floats()
    | st.text(max_size=5)
    | st.tuples(st.integers(-5, 70000), st.sampled_from(["tcp", "udp", "icmp", ""])).map(lambda p: zeekpy.port(*p))
    | st.datetimes()
    | st.timedeltas(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=2), inner, max_size=2),
    max_leaves=5,
)


@settings(max_examples=200)
@given(st.sampled_from([REQUEST.name, "Portkin::hello_response", "PortkinTest::everything"]), st.data())
def test_any_arguments_give_a_message_or_junk(name, data):
    """Whatever a peer passes, parsing gives a message or junk and never raises."""
    size = {"Portkin::hello_response": 4, REQUEST.name: 3}.get(name, 10)
    args = data.draw(st.lists(VALUES, min_size=size, max_size=size))
    assert isinstance(parse(Event(name, args)), Message | Junk)
