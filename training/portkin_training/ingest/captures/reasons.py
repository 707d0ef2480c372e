"""What became of a captured packet."""

from __future__ import annotations

STORED, NOT_IP, OTHER_PROTO, FRAGMENT, CUT, MALFORMED, UNKNOWN_LINK, STAMP, ENCRYPTED, DEEP = range(10)
REASONS = (
    "stored",
    "not IP",
    "neither TCP nor UDP",
    "later fragment",
    "cut before the ports or flags",
    "malformed headers",
    "unknown link type",
    "stamp out of range",
    "encrypted 802.11 frame",
    "tunnels nested too deep",
)
"""What became of a packet; the place in the tuple is the code."""
