"""Broker's JSON version 1: what a frame of Zeek's WebSocket holds."""

from __future__ import annotations

import json
import os
import time
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address, ip_network

import pytest
import zeekpy
from hypothesis import given, settings
from hypothesis import strategies as st

from portkin.zeek.event import Event, Junk
from portkin.zeek.transport.json_v1 import acknowledged, decode, encode


def frame(*args, name="e", version=1, kind=1, **more) -> str:
    """A data message with these raw arguments."""
    return json.dumps(
        {
            "type": "data-message",
            "topic": "/t",
            "@data-type": "vector",
            "data": [
                {"@data-type": "count", "data": version},
                {"@data-type": "count", "data": kind},
                {
                    "@data-type": "vector",
                    "data": [
                        {"@data-type": "string", "data": name},
                        {"@data-type": "vector", "data": list(args)},
                    ],
                },
            ],
            **more,
        }
    )


def tagged(tag, data):
    return {"@data-type": tag, "data": data}


@pytest.mark.parametrize(
    ("raw", "value"),
    [
        (tagged("none", {}), None),
        (tagged("boolean", True), True),
        (tagged("count", 7), zeekpy.count(7)),
        (tagged("integer", -7), -7),
        (tagged("real", 0.25), 0.25),
        (tagged("string", "ü"), "ü"),
        (tagged("enum-value", "Notice::LOG"), zeekpy.enum("Notice::LOG")),
        (tagged("port", "53/udp"), zeekpy.port(53, "udp")),
        (tagged("port", "0/?"), zeekpy.port(0, "unknown")),
        (tagged("address", "192.0.2.1"), ip_address("192.0.2.1")),
        (tagged("address", "2001:db8::1"), ip_address("2001:db8::1")),
        (tagged("subnet", "192.0.2.0/24"), ip_network("192.0.2.0/24")),
        (tagged("timespan", "5s"), timedelta(seconds=5)),
        (tagged("timespan", "1500ns"), timedelta(microseconds=1.5)),
        (tagged("timespan", "-250ms"), timedelta(milliseconds=-250)),
        (tagged("timespan", "2.5min"), timedelta(seconds=150)),
        (tagged("timestamp", "2026-11-21T12:00:00.250"), datetime(2026, 11, 21, 12, 0, 0, 250_000, UTC)),
        (tagged("timestamp", "2026-11-21T12:00:00+01:00"), datetime(2026, 11, 21, 11, tzinfo=UTC)),
        (tagged("vector", [tagged("count", 1), tagged("count", 2)]), [1, 2]),
        (tagged("vector", []), []),
        (tagged("set", [tagged("string", "a")]), {"a"}),
        (tagged("table", [{"key": tagged("count", 1), "value": tagged("string", "x")}]), {1: "x"}),
    ],
)
def test_every_data_type_becomes_its_value(raw, value):
    """Each tag of the format gives the Python value that means the same."""
    (found,) = decode(frame(raw)).args
    assert (type(value), value) == (type(found), found)


def test_a_time_without_a_zone_is_utc_wherever_the_machine_is(monkeypatch):
    """Zeek writes UTC without saying so; the machine's own zone does not move it."""
    monkeypatch.setenv("TZ", "Pacific/Auckland")
    time.tzset()
    try:
        (moment,) = decode(frame(tagged("timestamp", "2026-11-21T12:00:00.000"))).args
    finally:
        monkeypatch.delenv("TZ")
        os.environ.pop("TZ", None)
        time.tzset()
    assert datetime(2026, 11, 21, 12, tzinfo=UTC) == moment


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "not-json"),
        ("{", "not-json"),
        (b"\xff\xfe", "not-json"),
        ("[" * 100_000, "not-json"),
        ("[]", "not-an-event"),
        ("null", "not-an-event"),
        ("{}", "not-an-event"),
        (json.dumps({"type": "data-message", "data": "x"}), "not-an-event"),
        (json.dumps({"type": "data-message", "data": [1, 2, 3]}), "not-an-event"),
        (frame(type="pong"), "not-an-event"),
        (frame(version=2), "not-an-event"),
        (frame(kind=2), "not-an-event"),
        (frame(name=5), "not-an-event"),
        (frame(tagged("money", 1)), "not-an-event"),
        (frame(tagged("count", -1)), "not-an-event"),
        (frame(tagged("count", 2**64)), "not-an-event"),
        (frame(tagged("count", "1")), "not-an-event"),
        (frame(tagged("count", True)), "not-an-event"),
        (frame(tagged("real", 1)), "not-an-event"),
        (frame(tagged("port", "x/tcp")), "not-an-event"),
        (frame(tagged("port", 80)), "not-an-event"),
        (frame(tagged("address", "300.1.1.1")), "not-an-event"),
        (frame(tagged("timespan", "5 parsecs")), "not-an-event"),
        (frame(tagged("timespan", "9" * 400 + "d")), "not-an-event"),
        (frame(tagged("timestamp", "yesterday")), "not-an-event"),
        (frame(tagged("vector", {"a": 1})), "not-an-event"),
        (frame(tagged("set", [tagged("table", [])])), "not-an-event"),
        (frame(tagged([], [])), "not-an-event"),
        (frame(5), "not-an-event"),
        (frame(tagged("string", "\ud800")), "not-json"),
        (json.dumps({"type": "error", "code": [1]}), "refused"),
        (json.dumps({"type": "error", "code": "deserialization_failed", "context": "no such event"}), "refused"),
    ],
)
def test_every_other_text_is_junk_with_a_reason(text, reason):
    """What is no event of version 1 is junk that says why; nothing raises."""
    junk = decode(text)
    assert (Junk, reason) == (type(junk), getattr(junk, "reason", None))


def test_control_characters_in_strings_are_read():
    """Broker writes most control characters unescaped; such a string arrives whole."""
    assert ["a\x01b"] == decode(frame(tagged("string", "a?b")).replace("?", "\x01")).args


def test_metadata_after_the_arguments_is_passed_over():
    """A third part of the content, the event's metadata, does not hide the event."""
    message = json.loads(frame(tagged("count", 1)))
    message["data"][2]["data"].append(tagged("vector", []))
    assert Event("e", [1]) == decode(json.dumps(message))


def test_deep_nesting_is_junk():
    """A vector nested too deeply is refused before it can exhaust the stack."""
    raw = tagged("count", 1)
    for _ in range(200):
        raw = tagged("vector", [raw])
    assert "not-an-event" == decode(frame(raw)).reason


@pytest.mark.parametrize("levels", [100, 900, 950, 970, 980, 100_000])
def test_lists_in_place_of_a_value_are_junk_however_deep(levels):
    """Also where JSON can just be read: to show the value must not exhaust the stack either."""
    raw = "[" * levels + "]" * levels
    assert isinstance(decode(frame(tagged("string", 7)).replace('"data": 7', f'"data": {raw}')), Junk)
    assert isinstance(decode(f'{{"type": "error", "code": {raw}}}'), Junk)
    assert isinstance(acknowledged(f'{{"type": "ack", "endpoint": {raw}}}'), tuple | Junk)


def test_what_is_encoded_is_decoded_equal():
    """An event written as a frame and read back has the same name and arguments."""
    event = Event("Portkin::x", ["r", zeekpy.count(3), 0.5, [zeekpy.port(1, "tcp")], True, ip_address("::1")])
    assert event == decode(encode("/t", event))


@settings(max_examples=150)
@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
        lambda inner: (
            st.lists(inner, max_size=4)
            | st.dictionaries(
                st.sampled_from(["type", "topic", "data", "@data-type", "key", "value"]), inner, max_size=4
            )
        ),
        max_leaves=20,
    )
)
def test_any_json_gives_an_event_or_junk(value):
    """No JSON text at all makes decoding raise, alone or as the argument of an event."""
    assert isinstance(decode(json.dumps(value)), Event | Junk)
    assert isinstance(decode(frame(value)), Event | Junk)
    assert isinstance(acknowledged(json.dumps(value)), tuple | Junk)


@given(st.binary(max_size=40))
def test_any_bytes_give_junk(data):
    """Bytes that are no JSON, or no event, are junk."""
    assert isinstance(decode(data), Junk)


def test_an_acknowledgement_names_the_endpoint_and_the_version():
    """The first frame of a Zeek that took the subscription says who it is."""
    assert ("zeek-1", "8.0.9") == acknowledged('{"type":"ack","endpoint":"zeek-1","version":"8.0.9"}')


def test_a_refused_subscription_says_why():
    """An error in place of the acknowledgement keeps its code and context."""
    junk = acknowledged('{"type":"error","code":"invalid_uri","context":"Invalid URI"}')
    assert Junk("refused", "invalid_uri: Invalid URI") == junk


@pytest.mark.parametrize(
    "value",
    [
        'a"b\\\x01ü',
        zeekpy.count(2**64 - 1),
        zeekpy.port(53, "udp"),
        1e-300,
        ip_address("192.0.2.1"),
        ip_address('fe80::1%a"b'),
        [0.5, [zeekpy.count(1)], []],
        [1.0, zeekpy.count(1), True, 1],  # equal, and not the same
        [ip_address("::1"), ip_address("::2")],
        True,
        -3,
    ],
)
def test_values_are_written_as_zeekpy_writes_them(value):
    """What is written directly is the JSON that zeekpy's conversion gives."""
    (raw,) = json.loads(encode("/t", Event("e", [value])))["data"][2]["data"][1]["data"]
    assert zeekpy.convert_py_to_zeek(value) == raw


@pytest.mark.parametrize("number", [float("nan"), float("inf"), float("-inf")])
def test_a_number_without_json_is_refused(number):
    """What would make the frame unreadable is an error where it is made."""
    with pytest.raises(ValueError, match="cannot be written as JSON"):
        encode("/t", Event("e", [number]))
