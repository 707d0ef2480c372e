"""Google Cloud: firewall rules logging and VPC flow logs, as JSON lines exported from Cloud Logging.

From Google's documentation, "Firewall Rules Logging" and "VPC Flow Logs" record formats; no program
here writes them. Denied connections are probes; allowed ones and sampled flows do not say whether anything came back.
"""

from __future__ import annotations

import pyarrow.compute as pc

from portkin_training.ingest.formats.format import Format, Head, Source, filled, is_in, json_rows
from portkin_training.ingest.reasons import Reasons
from portkin_training.ingest.records import Columns

_AT = "/jsonPayload/connection"


def _judge(columns: Columns, source: Source) -> tuple[Columns, Reasons]:
    reasons = Reasons(len(columns["src"]))
    reasons.mark(~filled(columns["src"]), "other kinds of events")
    reasons.mark(is_in(columns["reporter"], "SRC"), "reported by the sender")
    if not source.any_state:
        reasons.mark(~is_in(columns["disposition"], "DENIED"), "accepted; the log does not say what came of it")
    return {**columns, "ts": pc.coalesce(columns["start"], columns["time"])}, reasons


def _recognise(head: Head) -> bool:
    payloads = [one["jsonPayload"] for one in head.objects if isinstance(one.get("jsonPayload"), dict)]
    return any("connection" in payload for payload in payloads)


GCP = Format(
    "gcp",
    _recognise,
    json_rows(
        {
            "start": "/jsonPayload/start_time",
            "time": "/timestamp",
            "src": f"{_AT}/src_ip",
            "dst": f"{_AT}/dest_ip",
            "sport": f"{_AT}/src_port",
            "dport": f"{_AT}/dest_port",
            "proto": f"{_AT}/protocol",
            "disposition": "/jsonPayload/disposition",
            "reporter": "/jsonPayload/reporter",
        },
        _judge,
    ),
)
