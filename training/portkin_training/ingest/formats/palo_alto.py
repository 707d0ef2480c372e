"""Traffic logs of Palo Alto firewalls, CSV by syslog or export: a line is one session, or what was refused.

From Palo Alto Networks' "Traffic Log Fields" (PAN-OS); no program here writes it. Sessions that
were dropped, denied or reset, and ended ones to which nothing came back, are probes; starts are left out, as the end
of a session repeats them. Times are local (--tz).
"""

from __future__ import annotations

import pyarrow.compute as pc

from portkin_training.ingest.formats.format import Format, Source, is_in
from portkin_training.ingest.formats.line_patterns import LinePattern, line_rows
from portkin_training.ingest.reasons import Reasons
from portkin_training.ingest.records import Columns

_FIELD = r'(?:"[^"\n]*"|[^,\n"]*),'
_PATTERN = (
    rf'"?TRAFFIC"?,"?(?P<subtype>[a-z]*)"?,{_FIELD}"?(?P<ts>[^,\n"]*)"?,"?(?P<src>[^,\n"]*)"?,"?(?P<dst>[^,\n"]*)"?,'
    rf'(?:{_FIELD}){{14}}{_FIELD}"?(?P<sport>\d*)"?,"?(?P<dport>\d*)"?,(?:{_FIELD}){{3}}"?(?P<proto>[^,\n"]*)"?,'
    rf'"?(?P<action>[^,\n"]*)"?,{_FIELD}{_FIELD}"?(?P<back>\d*)"?(?:,{_FIELD}"?(?P<start>\d{{4}}[^,\n"]*)"?)?'
)


def _judge(columns: Columns, source: Source) -> tuple[Columns, Reasons]:
    reasons = Reasons(len(columns["src"]))
    reasons.mark(is_in(columns["subtype"], "start"), "starts of sessions, which their ends repeat")
    if not source.any_state:
        refused = is_in(columns["subtype"], "drop", "deny") | ~is_in(columns["action"], "allow")
        reasons.mark(~refused & ~is_in(columns["back"], "0"), "answered or used")
    # An unanswered session is logged when it ends, up to minutes after its first packet.
    ts = pc.if_else(pc.equal(columns["start"], ""), columns["ts"], columns["start"])
    return {**columns, "ts": ts}, reasons


PALO_ALTO = Format(
    "paloalto",
    lambda head: head.matches("TRAFFIC", r',"?TRAFFIC"?,"?(?:start|end|drop|deny)"?,'),
    line_rows([LinePattern("TRAFFIC", _PATTERN)], _judge),
)
