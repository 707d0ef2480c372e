"""Which labels of MAWILab mean a scan: the one table, printed in every report.

The taxonomy is that of Mazel, Fontugne and Fukuda (TRAC 2014): `ntsc` network scan, `sntsc` small, `dntsc`
distributed, `posca` port scan, `ptpposca` point-to-point port scan, followed by what was seen (`SYN`, `UDP`,
`ICecrq` echo request ...) and, behind it, by what was answered (`UDPrp`: UDP response). The heuristic is the code of
MAWILab's documentation: below 500 an attack by ports or flags (10: many SYN, 20: ping flood), 500 to 900 known
ports, above unknown. The files of v1.1 leave it out; a rule that asks for one does not apply to them.
"""

from __future__ import annotations

import re
from dataclasses import dataclass


@dataclass(frozen=True)
class LabelRule:
    """Labels whose taxonomy the pattern matches from its first character to its last, and whose heuristic, where one
    is asked for, is it."""

    taxonomy: str
    heuristic: int | None
    scan: bool
    why: str

    def fits(self, taxonomy: str, heuristic: int | None) -> bool:
        """Whether a label falls under this rule."""
        wanted = self.heuristic is None or self.heuristic == heuristic
        return wanted and re.fullmatch(self.taxonomy, taxonomy) is not None


LABEL_RULES = (
    LabelRule(r"[sd]?ntscIC.*", None, False, "ICMP: has no ports"),
    LabelRule(r"[sd]?ntscTCP.*rp", None, False, "the answers to a scan, or backscatter"),
    LabelRule(r"[sd]?ntscACK.*", None, False, "ACK without SYN: no contact is begun"),
    LabelRule(r"[sd]?ntscSYN.*", None, True, "network scan, SYN"),
    LabelRule(r"[sd]?ntscUDP.*", None, True, "network scan, UDP"),
    LabelRule(r"(ptp|s|d)?poscaSYN.*", None, True, "port scan, SYN"),
    LabelRule(r"(ptp|s|d)?poscaUDP.*", None, True, "port scan, UDP"),
    LabelRule(r"s?ptmp(la)?", 10, True, "one source, many destinations, mostly SYN"),
    LabelRule(r".*", None, False, "no scan: floods, large flows, tunnels, servers, outages"),
)
"""The first that fits decides."""


def is_scan(taxonomy: str, heuristic: int | None) -> bool:
    """Whether a label means a scan over TCP or UDP ports."""
    return next(rule.scan for rule in LABEL_RULES if rule.fits(taxonomy, heuristic))
