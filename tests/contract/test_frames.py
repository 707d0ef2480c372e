"""The wire, as a real Zeek speaks it: frames recorded by record_frames.py are read and written as then."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path

import pytest

from portkin.net.ports import Port
from portkin.zeek.block_messages import BlockRequests, UnblockRequest
from portkin.zeek.event import Count, Junk, Message
from portkin.zeek.event_codec import parse, unparse
from portkin.zeek.messages import (
    PROTOCOL,
    TO_ZEEK,
    HelloResponse,
    NearestRequest,
    RatesReport,
    SourceRequest,
    StatusResponse,
)
from portkin.zeek.transport.json_v1 import acknowledged, decode, encode

FRAMES = {
    path.stem: json.loads(path.read_text(encoding="utf-8")) for path in Path(__file__).parent.glob("frames/*.json")
}


def understood(name: str) -> Message | Junk:
    """What the sidecar makes of the frame of that name."""
    event = decode(FRAMES[name]["frame"])
    return event if isinstance(event, Junk) else parse(event)


def test_the_acknowledgement_names_zeek():
    """Zeek's acknowledgement gives its endpoint and its version, which is that of the recording."""
    endpoint, version = acknowledged(FRAMES["ack"]["frame"])
    assert (True, FRAMES["ack"]["zeek"]) == (endpoint != "", version)


def test_the_answer_to_our_hello_is_read():
    """Zeek's hello response says the protocol, the node and the version."""
    assert HelloResponse("h1", Count(PROTOCOL), "zeek", FRAMES["ack"]["zeek"]) == understood("hello_response")


@pytest.mark.parametrize(
    ("name", "request_"),
    [
        ("nearest_request-1", NearestRequest("r1", Port(22, "tcp"), Count(5), 0.25)),
        ("nearest_request-2", NearestRequest("r2", Port(53, "udp"), Count(0), 0.0)),
        ("nearest_request-3", NearestRequest("r3", Port(65535, "tcp"), Count(2**64 - 1), -1.0)),
        ("nearest_request-4", NearestRequest('quotes " and \\ and \x01 and \t', Port(0, "udp"), Count(1), 1.0)),
    ],
)
def test_requests_are_read(name, request_):
    """Each request that Zeek made is read as the message it is."""
    assert request_ == understood(name)


@pytest.mark.parametrize(
    ("name", "request_"),
    [
        (
            "source_request-1",
            SourceRequest(
                "s1",
                (Port(443, "tcp"), Port(53, "udp")),
                Count(3),
                timedelta(microseconds=1_234_567),
                Count(32),
                -1.0,
            ),
        ),
        ("source_request-2", SourceRequest("s2", (Port(22, "tcp"),), Count(1), timedelta(0), Count(1), 0.5)),
    ],
)
def test_questions_about_sources_are_read(name, request_):
    """Ports of both protocols, and the time to the microsecond."""
    assert request_ == understood(name)


@pytest.mark.parametrize(
    ("name", "why"), [("source_request-3", "are 0"), ("source_request-4", "negative"), ("source_request-5", "are 9")]
)
def test_questions_with_what_is_no_history_are_junk(name, why):
    """No port, a negative time and more ports than are looked at are named."""
    assert ("wrong-type", True) == (understood(name).reason, why in understood(name).detail)


@pytest.mark.parametrize(
    ("name", "report"),
    [
        ("rates_report-1", ("R1", "worker-1", 40.0, 60.0, (Port(22, "tcp"), Port(53, "udp")), (3, 2**64 - 1))),
        # Zeek said 40.25; a time that is no whole second loses up to a millisecond on the way.
        ("rates_report-2", ("R2", "zeek", 40.249, 59.75, (), ())),
    ],
)
def test_reports_of_rates_are_read(name, report):
    """Times and intervals with fractions, vectors of ports and counts, and empty ones."""
    reqid, node, seconds, width, ports, counts = report
    start = datetime.fromtimestamp(1_700_000_000 + seconds, UTC)
    assert RatesReport(reqid, node, start, timedelta(seconds=width), ports, counts) == understood(name)


SSH, TELNET, DNS = Port(22, "tcp"), Port(23, "tcp"), Port(53, "udp")
OLD, NEW = ip_address("198.51.100.10"), ip_address("2001:db8::1")
REFUSED_ONE = "evidence=TRW answered=0 refused=1 repeated=0 darknet=0"
SWEPT_THREE = "evidence=DARKNET answered=0 refused=0 repeated=0 darknet=3 probe=1"


@pytest.mark.parametrize(
    ("name", "request_"),
    [
        (
            "block_requests-1",
            BlockRequests(
                OLD,
                "0123456789ab",
                SSH,
                ("B1", "B2"),
                (TELNET, Port(2222, "tcp")),
                (timedelta(seconds=20_000), timedelta(seconds=19_999.5)),
                (Count(1), Count(2)),
                (REFUSED_ONE, "evidence=TRW"),
            ),
        ),
        (
            "block_requests-2",
            BlockRequests(NEW, "", DNS, ("B3",), (DNS,), (timedelta(seconds=1.5),), (Count(0),), (SWEPT_THREE,)),
        ),
        ("unblock_request-1", UnblockRequest("U1", OLD, TELNET)),
        # To Zeek a mapped address is the IPv4 address itself.
        ("unblock_request-2", UnblockRequest("U2", OLD, DNS)),
    ],
)
def test_requests_to_block_are_read(name, request_):
    """Addresses of both families, durations with fractions, and the evidence."""
    assert request_ == understood(name)


CLOCK = datetime.fromtimestamp(1_700_000_040.249, UTC)  # Zeek said 40.25, see above
NEVER = timedelta(seconds=-1)
VERSION = FRAMES["ack"]["zeek"]


@pytest.mark.parametrize(
    ("name", "status", "times"),
    [
        (
            "status_response-1",
            ("zeek", VERSION, "NONE", ("block", "websocket"), (), "BLOCK", True, "0123456789ab", 2**64 - 1, 3),
            (timedelta(seconds=1.5), timedelta(0), NEVER, CLOCK),
        ),
        (
            "status_response-2",
            ("manager", VERSION, "ZEROMQ", (), ("proxy-1", "worker-1"), "SHADOW", False, "", 0, 0),
            (NEVER, NEVER, NEVER, CLOCK),
        ),
    ],
)
def test_how_zeek_stands_is_read(name, status, times):
    """Vectors of strings, also empty ones, booleans, and negative intervals."""
    assert StatusResponse("S1", Count(PROTOCOL), *status, *times) == understood(name)


@pytest.mark.parametrize("name", ["nearest_request-5", "nearest_request-6"])
def test_requests_for_what_is_no_tcp_or_udp_port_are_junk(name):
    """A port of ICMP, or of no protocol, is reported as a wrong type."""
    assert "wrong-type" == understood(name).reason


@pytest.mark.parametrize("name", sorted(name for name in FRAMES if name.startswith("error-")))
def test_errors_of_zeek_are_read_as_refusals(name):
    """What Zeek answers to what it does not accept is junk of kind refused, with Zeek's words."""
    junk = understood(name)
    assert ("refused", True) == (junk.reason, json.loads(FRAMES[name]["frame"])["context"] in junk.detail)


@pytest.mark.parametrize("name", sorted(name for name, record in FRAMES.items() if record["from"] == "sidecar"))
def test_we_still_write_what_zeek_read(name):
    """The message in a frame that a real Zeek understood is written, byte for byte, as that frame."""
    event = decode(FRAMES[name]["frame"])
    assert FRAMES[name]["frame"] == encode(TO_ZEEK, unparse(parse(event)))
    assert FRAMES[name]["zeek_read"].startswith(event.name.removeprefix("Portkin::"))
