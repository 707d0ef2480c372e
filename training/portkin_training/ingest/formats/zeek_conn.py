"""Zeek's conn.log as a format; the reader of both its forms is `ingest.logs.conn_log`."""

from __future__ import annotations

from portkin_training.ingest.formats.format import Format, Head
from portkin_training.ingest.logs.conn_log import conn_log_rows


def _recognise(head: Head) -> bool:
    return (
        any(line.startswith(("#separator ", "#fields\t")) for line in head.lines[:_BEFORE])
        or head.has_keys("id.orig_h", "id.resp_h")
        or head.has_keys("id.orig_h", "conn_state")
        or head.has_keys("id_orig_h", "id_resp_h")
        or any(isinstance(one.get("id"), dict) and "orig_h" in one["id"] for one in head.objects)
    )


_BEFORE = 50
"""Lines that may stand before the header of a log in columns."""


CONN_LOG = Format("zeek", _recognise, conn_log_rows, outcomes=True)
