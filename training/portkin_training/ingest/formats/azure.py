"""Flow logs of Azure: of network security groups (version 1 and 2) and of virtual networks.

From Microsoft's documentation, "Flow logs for network security groups" and "Virtual network flow logs"; no program here
writes them. A tuple is one state of a flow. Denied inbound flows are probes; allowed ones do not say whether anything
came back, but for ended ones to which no byte did. Tuples stand in JSON documents of any layout and are counted one by
one: a row's number is that of a quoted text in the file.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from portkin_training.ingest.formats.format import Format, Head, Source, is_in
from portkin_training.ingest.formats.line_patterns import LinePattern, matched
from portkin_training.ingest.logs.text_blocks import blocks, lines_of
from portkin_training.ingest.reasons import Reasons
from portkin_training.ingest.records import Rows

_TUPLE = LinePattern(
    ",",
    r"^(?P<ts>\d{10,13}),(?P<src>[^,\n]*),(?P<dst>[^,\n]*),(?P<sport>\d*),(?P<dport>\d*),(?P<proto>[TU]|\d+),"
    r"(?P<dir>[IO]),(?P<decision>[A-Z])(?:,(?P<state>[A-Z]*)(?:,[^,\n]*){0,2}(?:,(?P<sent>\d*),(?P<back>\d*)"
    r"(?:,\d*)?)?)?\s*$",
)
"""Version 1 ends with the decision (A, D); version 2 adds state, packets and bytes of either side; in flow logs of
virtual networks the decision's place holds the state (B, C, E, D for denied) and then the encryption."""


def _rows(source: Source) -> Iterator[Rows]:
    for first, block in blocks(
        source.path, source.reading, lambda piece: piece.replace(b"\n", b" ").replace(b'"', b"\n")
    ):
        lines, where = lines_of(block, first)
        held = np.flatnonzero(
            pc.match_substring_regex(lines, r"^\d{10,13},[^,]*,[^,]*,").to_numpy(zero_copy_only=False)
        )
        columns, where = matched(lines.take(pa.array(held)), where[held], _TUPLE, source.reading)
        reasons = Reasons(len(where))
        reasons.mark(is_in(columns["dir"], "O"), "leaves the network")
        if not source.any_state:
            reasons.mark(~is_in(columns["decision"], "D"), "accepted; the log does not say what came of it")
        letters = columns["proto"]
        proto = pc.if_else(pc.equal(letters, "T"), "tcp", pc.if_else(pc.equal(letters, "U"), "udp", letters))
        yield Rows({**columns, "proto": proto}, where, reasons, what="quoted text")


def _recognise(head: Head) -> bool:
    return '"flowTuples"' in head.text


AZURE = Format("azure", _recognise, _rows)
