"""SiLK's rwcut: columns between bars, a record is one direction of a flow; what counts is as for nfdump's.

From SiLK's documentation (3.19 to 3.23); Debian and PyPI have no package of it. Times are UTC unless rwcut was asked
for others. Columns sIP, dIP, sPort, dPort, protocol, flags and sTime are needed.
"""

from __future__ import annotations

import re

from portkin_training.ingest.formats.delimited import Delimited
from portkin_training.ingest.formats.format import Format
from portkin_training.ingest.formats.nfdump import one_way


def _is_header(line: str) -> bool:
    names = {name.strip().lower() for name in re.split(r"[|,;\t]", line)}
    return {"sip", "dip", "stime"} <= names


_RECORDS = Delimited(
    "|,;\t",
    {
        "ts": ["stime", "stime+msec"],
        "src": ["sip"],
        "dst": ["dip"],
        "sport": ["sport"],
        "dport": ["dport"],
        "proto": ["pro", "protocol"],
        "flags": ["flags"],
    },
    one_way,
    _is_header,
    needed=["flags"],
)
SILK = Format("silk", _RECORDS.begins, _RECORDS, packets=True, lines=False)
