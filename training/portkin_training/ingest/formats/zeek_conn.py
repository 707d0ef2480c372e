"""Zeek's conn.log as a format; the reader of both its forms is `ingest.logs.conn_log`."""

from __future__ import annotations

from portkin_training.ingest.formats.format import Format, Head
from portkin_training.ingest.logs.conn_log import conn_log_rows


def _recognise(head: Head) -> bool:
    return (
        head.text.startswith(("#separator", "#fields"))
        or head.has_keys("id.orig_h", "id.resp_h")
        or head.has_keys("id.orig_h", "conn_state")
    )


CONN_LOG = Format("zeek", "Zeek conn.log, TSV and JSON", _recognise, conn_log_rows)
