"""What a probe is: the one place where it is written down.

Captures. A probe is the first packet by which a source asks a port:

  * TCP: a segment with SYN and without ACK, FIN or RST. A further one with the same protocol, addresses and
    ports within `WINDOW` of the one before is a retransmission and the same probe (systems space them up to
    32 s apart), whether or not it was answered meanwhile.
  * UDP: the first datagram between two endpoints, in either direction, for `WINDOW`. One from a server port
    to a port that is none (`ZEEK_UDP_SERVER_PORTS`) is an answer whose question was not seen: no probe.
  * Nothing else is: not SYN-ACK, RST or ICMP (backscatter, answers), not data of connections that began
    before the recording. What came of a probe does not matter: on a darknet or honeypot every first packet
    is one. For a network in use, take Zeek's conn.log instead.

Flows (Zeek's conn.log). A flow is a probe where the originator opened and nothing came of it. Its history,
where logged, must begin with the originator's SYN ("S"; UDP: datagram, "D"): "^" is a flow that Zeek turned
round, "h", "H" backscatter, "F", "R", "A", "D" for TCP a stealth scan or a beginning that was not seen.
Then, by conn_state:

  * S0, no answer; REJ, refused; RSTOS0 and SH, the originator itself gave up by RST or FIN. For TCP the
    history, where logged, holds no "A": an originator that acknowledges was answered, seen or not.
  * RSTO, RSTR, S1, where the history is logged: half-open scans of open ports. The SYN was answered and the
    originator sent no data (no "D") and reset the connection itself (RSTO), or never acknowledged the answer
    (no "A") until the responder reset (RSTR) or the log was written (S1).
  * SF, S2, S3, RSTRH, SHR, OTH never: used connections, backscatter, beginnings not seen.
  * ``any_state``: for honeypots, which answer everything: every flow with the right beginning.

Records of other formats (`ingest.formats`). Where a log has a line for each packet, with its flags, it is read by
the rules for captures; where it has one for each flow or session, each format says which of them came to nothing.
Every row of a CSV, Parquet or other JSON file is a probe: its writer decided.

One probe, however it is recorded. A SYN that is sent seven times is one probe in a capture and five connections in
Zeek's conn.log of it (Zeek forgets an unanswered SYN after five seconds). So for every kind of input a record with
the protocol, addresses and ports of one less than `WINDOW` before it is the same probe. This is said of the order of
time, in which logs are put first (`time_order.by_time`): those of flows are in the order in which these ended. Records
that name no source port are exempt, unless a window is asked for: two attempts cannot be distinguished from one there.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from portkin_training.core.context import located
from portkin_training.core.probes import Probes
from portkin_training.core.protocols import TCP, UDP
from portkin_training.core.unaligned import kernel
from portkin_training.ingest.captures.flows import DEADLINE, KEY, MEMORY, FlowTable, find, flow_keys, look_ahead
from portkin_training.ingest.captures.packets import ACK, FIN, RST, SYN, Packets
from portkin_training.ingest.contacts import SECOND, ZEEK_UDP_SERVER_PORTS
from portkin_training.ingest.reasons import Reasons

VERSION = 3
"""Raised whenever the same recording would give other probes than before."""

WINDOW = 60 * SECOND
"""How long, in us, a flow is remembered after its last packet (TCP: its last SYN)."""

FAILED = dict.fromkeys(("S0", "REJ", "RSTOS0", "SH"), "^S[^A]*$")
"""conn_state of a probe -> what the history of TCP matches, where logged: capital letters are the originator's."""
HALF_OPEN = {"RSTO": "^S[^D]*$", "RSTR": "^S[^AD]*$", "S1": "^S[^AD]*$"}
"""The same for half-open scans, which only the history distinguishes from use."""

PROBE, NOT_FIRST, REPEATED, ANSWER, ICMP_ERROR = range(5)
REASONS = (
    "probe",
    "TCP but no first SYN (answers, data, backscatter)",
    "retransmission or further datagram of a probe",
    "UDP answer without its question",
    "ICMP error",
)
"""What the rules make of a packet; the place in the tuple is the code."""


@kernel
def _classify(packets, keys, start, slots, used, limit, servers, window, given, codes, counts):
    """Fill in the codes of packets [start:], and count them. Returns the first one not looked at: len(ts), or the table
    needs room.

    ``given``: the rows are probes already and only repetitions are to be found.
    """
    ts, _, _, sport, dport, proto, flags, _, _ = packets
    base, mask, width = np.int64(slots.ctypes.data), len(slots) - 1, slots.shape[1]
    for row in range(start, len(ts)):
        if used[0] >= limit:
            return row
        look_ahead(base, width, mask, keys, row)
        tcp = proto[row] == TCP
        if not tcp and proto[row] != UDP:
            codes[row] = ICMP_ERROR
            counts[ICMP_ERROR] += 1
            continue
        if tcp and not given and flags[row] & (SYN | ACK | FIN | RST) != SYN:
            codes[row] = NOT_FIRST
            counts[NOT_FIRST] += 1
            continue
        key = keys[row]
        at = find(base, width, mask, key)
        deadline = slots[at, DEADLINE]
        # A second log may begin before the first one ends: a record far before another is another probe all the same.
        if slots[at, KEY] == key and ts[row] < deadline and (not given or ts[row] > deadline - 2 * window):
            codes[row] = REPEATED
        elif not tcp and not given and servers[sport[row]] and not servers[dport[row]]:
            codes[row] = ANSWER
        else:
            codes[row] = PROBE
        counts[codes[row]] += 1
        if slots[at, KEY] == 0:
            used[0] += 1
            slots[at, KEY] = key
        slots[at, DEADLINE] = ts[row] + window
    return len(ts)


class FirstPackets:
    """The rule for captures, over a stream: remembers flows from one chunk to the next.

    Attributes:
        skipped: reason -> packets that were no probe.
        forgotten: flows forgotten early for lack of room; each may yield a probe too many.
    """

    def __init__(
        self,
        *,
        window: int = WINDOW,
        udp_server_ports: Iterable[int] = ZEEK_UDP_SERVER_PORTS,
        memory: int = MEMORY,
    ) -> None:
        """Remember flows for ``window`` us, in at most ``memory`` bytes, 16 a slot; see `FlowTable`."""
        self._table = FlowTable(2, memory=memory)
        self._window = window
        self._servers = np.zeros(1 << 16, np.bool_)
        self._servers[[*udp_server_ports]] = True
        self.skipped: Counter[str] = Counter()

    @property
    def forgotten(self) -> int:
        return self._table.forgotten

    def _codes(self, packets: Packets, given: bool) -> NDArray[np.uint8]:
        codes, keys = np.empty(len(packets), np.uint8), np.empty(len(packets), np.int64)
        counts = np.zeros(len(REASONS), np.int64)
        # A UDP flow is the same in both directions; a SYN the other way is another probe.
        flow_keys(packets.columns(), True, keys, codes)
        start = 0
        while start < len(packets):
            start = _classify(
                packets.columns(),
                keys,
                start,
                self._table.slots,
                self._table.used,
                self._table.limit,
                self._servers,
                self._window,
                given,
                codes,
                counts,
            )
            if start < len(packets):
                self._table.make_room(int(packets.ts[start]))
        for code, count in enumerate(counts):
            if count and code != PROBE:
                self.skipped[REASONS[code]] += int(count)
        return codes

    def of_packets(self, packets: Packets, seq: int) -> Probes:
        """The probes among packets; the first is given the place ``seq`` in the recording."""
        codes = self._codes(packets, given=False)
        picked = packets[np.flatnonzero(codes == PROBE)] if codes.any() else packets  # often all of a darknet's
        return Probes(
            ts=picked.ts,
            seq=np.arange(seq, seq + len(picked)),
            src=located(picked.src, picked.context),
            dst=located(picked.dst, picked.context),
            sport=picked.sport,
            dport=picked.dport,
            proto=picked.proto,
            flags=picked.flags,
        )

    def of_probes(self, probes: Probes, *, portless: bool = False) -> Probes:
        """The probes that repeat none of the window before them; ``portless``: also of those without a source port."""
        packets = Packets(
            probes.ts,
            probes.src,
            probes.dst,
            probes.sport,
            probes.dport,
            probes.proto,
            probes.flags,
            np.zeros(len(probes), np.uint32),
            np.zeros(len(probes), np.int64),
        )
        if portless or probes.sport.all():
            return probes[self._codes(packets, given=True) == PROBE]
        with_port = np.flatnonzero(probes.sport)
        kept = np.ones(len(probes), np.bool_)
        kept[with_port] = self._codes(packets[with_port], given=True) == PROBE
        return probes[kept]


def flow_reasons(proto: pa.Array, state: pa.Array, history: pa.Array, *, any_state: bool = False) -> Reasons:
    """Why each flow of a conn.log is no probe.

    Args:
        proto: (n,) string, "tcp", "udp" or others.
        state: (n,) string, conn_state; null where not logged.
        history: (n,) string; null or "" where not logged.
        any_state: every flow with the right beginning counts.
    """
    texts = [pc.fill_null(column, "") for column in (proto, state, history)]
    return Reasons.by_value(
        pc.binary_join_element_wise(*texts, "\t"), lambda text: flow_reason(*text.split("\t", 2), any_state=any_state)
    )


def flow_reason(proto: str, state: str, history: str, *, any_state: bool = False) -> str:
    """Why one flow is no probe; "" where it is one. Arguments as for `flow_reasons`, "" where not logged."""
    if proto not in ("tcp", "udp"):
        return "neither TCP nor UDP"
    if history and history[0] != ("S" if proto == "tcp" else "D"):
        return "backscatter or begun before"
    if any_state:
        return ""
    if state in ("OTH", "SHR", "RSTRH"):
        return "backscatter or begun before"
    if not state:
        return "no conn_state"
    tcp_history = history if proto == "tcp" else ""
    if state in FAILED and re.search(FAILED[state], tcp_history or "S"):
        return ""
    if state in HALF_OPEN and tcp_history and re.search(HALF_OPEN[state], tcp_history):
        return ""
    return "answered or used"
