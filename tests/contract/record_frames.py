#!/usr/bin/env python3
"""Record what a real Zeek says on its WebSocket, and which of our frames it understands.

    python tests/contract/record_frames.py [ZEEK]

Writes tests/contract/frames/*.json. Run it again when an event is added, or for another version of Zeek.
"""

from __future__ import annotations

import json
import sys
import tempfile
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent))

from websockets.sync.client import connect  # noqa: E402

from portkin.net.ports import Port  # noqa: E402
from portkin.zeek.block_messages import BlockResponses  # noqa: E402
from portkin.zeek.event import Count, Event, Message  # noqa: E402
from portkin.zeek.event_codec import unparse  # noqa: E402
from portkin.zeek.messages import (  # noqa: E402
    PROTOCOL,
    TO_SIDECAR,
    TO_STATUS,
    TO_ZEEK,
    HelloRequest,
    NearestResponse,
    RateAnomaly,
    RatesOutage,
    RatesResponse,
    RatesScores,
    RateWarning,
    SourceResponse,
    StatusRequest,
    TableChanged,
)
from portkin.zeek.transport.json_v1 import encode, subscription  # noqa: E402
from support.zeek_process import SCRIPTS, ZeekProcess, backend_loads, free_port  # noqa: E402

HOUR = datetime(2023, 11, 14, 22, tzinfo=UTC)

SAID: dict[str, Message] = {
    "hello_request": HelloRequest("h1", Count(PROTOCOL), "portkin/0.1.0", "0123456789ab", Count(16)),
    "nearest_response": NearestResponse(
        "r1",
        Port(22, "tcp"),
        "0123456789ab",
        (Port(23, "tcp"), Port(2222, "tcp")),
        (0.5, 1e-07),
        "",
    ),
    "nearest_response-empty": NearestResponse("r2", Port(7, "udp"), "0123456789ab", (), (), ""),
    "nearest_response-error": NearestResponse("r3", Port(7, "udp"), "0123456789ab", (), (), 'no "table" ü\n'),
    "source_response": SourceResponse(
        "s1", "0123456789ab", (Port(80, "tcp"), Port(161, "udp")), (0.25, 1e-07), True, ""
    ),
    "source_response-by-port": SourceResponse("s2", "0123456789ab", (), (), False, ""),
    "table_changed": TableChanged("ba9876543210", Count(3), False),
    "table_changed-with-model": TableChanged("ba9876543210", Count(32), True),
    "block_responses": BlockResponses(
        ("B1", "B2", ""),
        (ip_address("198.51.100.10"), ip_address("2001:db8::1"), ip_address("198.51.100.10")),
        (Port(23, "tcp"), Port(53, "udp"), Port(23, "tcp")),
        ("added", "vetoed", "expired"),
        ("", "never-net", ""),
    ),
    "rates_response": RatesResponse("R1", Count(2), ""),
    "rate_anomaly": RateAnomaly(Port(22, "tcp"), HOUR, 200.0, 20.5, 8.75, 1.0, "0123456789ab"),
    "rate_warning": RateWarning(Port(53, "udp"), HOUR, 80.0, -100.0, 80.0, 1e-07, "0123456789ab"),
    "rates_outage": RatesOutage(HOUR, timedelta(days=1), ("worker-1", "worker-2")),
    "rates_outage-silence": RatesOutage(HOUR, timedelta(hours=1), ()),
    "rates_scores": RatesScores(
        HOUR,
        timedelta(hours=1),
        "0123456789ab",
        (Port(22, "tcp"), Port(53, "udp")),
        (200.0, -1.0),
        (20.5, -1.0),
        (8.75, -1.0),
        (80.25, 1e300),
        (0.0, 1.7976931348623157e308),
    ),
    "status_request": StatusRequest("S1"),
}
"""What the sidecar says, once each kind."""

RECEIVED = (
    "hello_response",
    *(f"nearest_request-{number}" for number in range(1, 7)),
    *(f"source_request-{number}" for number in range(1, 6)),
    *(f"rates_report-{number}" for number in range(1, 3)),
    *(f"block_requests-{number}" for number in range(1, 3)),
    *(f"unblock_request-{number}" for number in range(1, 3)),
    *(f"status_response-{number}" for number in range(1, 3)),
)
"""What record.zeek says, in its order."""

REFUSED: dict[str, str] = {
    "error-not-json": "{",
    "error-unknown-event": encode(TO_ZEEK, Event("Portkin::no_such_event", [])),
    "error-wrong-arity": encode(TO_ZEEK, Event("Portkin::table_changed", [])),
    "error-wrong-type": encode(TO_ZEEK, Event("Portkin::table_changed", ["x", "y"])),
}
"""What no Zeek accepts."""


def main() -> None:
    """Record everything and say what was written."""
    zeek = sys.argv[1] if len(sys.argv) > 1 else "/opt/zeek/bin/zeek"
    port = free_port()
    frames = HERE / "frames"
    frames.mkdir(exist_ok=True)
    records: dict[str, dict[str, str]] = {}
    with (
        tempfile.TemporaryDirectory() as folder,
        ZeekProcess(
            zeek,
            Path(folder),
            *backend_loads(zeek, "websocket"),
            SCRIPTS / "api.zeek",
            HERE / "record.zeek",
            WEBSOCKET_PORT=port,
        ) as running,
    ):
        running.wait_for("ready")
        with connect(f"ws://127.0.0.1:{port}/wrong", proxy=None, compression=None) as client:
            records["error-invalid-uri"] = {"from": "zeek", "frame": client.recv()}
        with connect(f"ws://127.0.0.1:{port}/v1/messages/json", proxy=None, compression=None) as client:
            client.send(subscription([TO_SIDECAR, TO_STATUS]))
            records["ack"] = {"from": "zeek", "frame": client.recv()}
            version = json.loads(records["ack"]["frame"])["version"]
            for number, (name, message) in enumerate(SAID.items(), start=1):
                frame = encode(TO_ZEEK, unparse(message))
                client.send(frame)
                understood = running.wait_for("read ", count=number)
                records[name] = {"from": "sidecar", "frame": frame, "zeek_read": understood.removeprefix("read ")}
            received = [client.recv(timeout=10) for _ in range(len(RECEIVED))]
            for name, frame in REFUSED.items():
                client.send(frame)
                records[name] = {"from": "zeek", "frame": client.recv(timeout=10), "answers": frame}
    records |= {name: {"from": "zeek", "frame": frame} for name, frame in zip(RECEIVED, received, strict=True)}
    for old in frames.glob("*.json"):
        old.unlink()
    for name, record in records.items():
        text = json.dumps({"zeek": version, **record}, indent=2, ensure_ascii=False)
        (frames / f"{name}.json").write_text(text + "\n", encoding="utf-8")
    print(f"{len(records)} frames of Zeek {version} in {frames}")


if __name__ == "__main__":
    main()
