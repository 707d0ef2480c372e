"""Contacts: first packets of flows, and whether they were answered, in packet order; what a detector reads.

The life of a flow follows Zeek 8 (src/packet_analysis/protocol/tcp/TCPSessionAdapter.cc,
.../ip/IPBasedAnalyzer.cc, scripts/base/init-bare.zeek), so that both see the same flows:

TCP
  * A SYN without ACK, FIN or RST begins a flow and is its CONTACT, unless a flow between the two endpoints is
    live, not closed, and began with the same sequence number: then it is a retransmission and nothing
    happens. So a SYN with a new sequence number, and any SYN after a FIN or RST of either side, begins a new
    flow (`IsReuse`), also in the other direction.
  * ANSWERED, once: the responder's first SYN-ACK; or, before any, the originator's first segment with ACK
    (only its direction is seen, or the SYN-ACK was lost). Not after REFUSED or its own FIN or RST.
  * REFUSED, once: the responder's RST while neither ANSWERED nor closed.
  * A flow is forgotten 5 s after its SYN when no SYN-ACK came (`tcp_attempt_delay`), 5 s after its first
    FIN or RST (`tcp_close_delay`), else after 5 minutes without a packet (`tcp_inactivity_timeout`).
  * Segments of no live flow (SYN-ACK, RST, data: backscatter, connections begun before the recording, those
    of which only the responder is seen) give nothing and are not remembered.
UDP
  * The first datagram of a flow is its CONTACT, the responder's first is ANSWERED, an ICMP(v6) port
    unreachable that quotes the originator's datagram before any answer is REFUSED, whatever host sent it.
  * A first datagram from a server port to a port that is none is taken for an answer whose question was not
    seen: no contact, and none for the rest of that flow. `ZEEK_UDP_SERVER_PORTS` are Zeek's
    `likely_server_ports`.
  * A flow is forgotten after a minute without a packet (`udp_inactivity_timeout`).

Where this differs from Zeek: checksums are not verified (Zeek's -C), fragments are not put together; the datagrams
that carry a tunnel are no flow of their own; a SYN recorded after later segments of its own connection is a contact
here and belongs to a partial connection there; a responder that sends data but no SYN-ACK does not keep a flow;
Zeek's DNS analyzer forgets a UDP flow after ten seconds; the memory is bounded (`FlowTable`).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from portkin_training.core.columns import Columns
from portkin_training.core.context import source_of
from portkin_training.core.protocols import TCP, UDP
from portkin_training.core.unaligned import kernel
from portkin_training.ingest.captures.flows import DEADLINE, KEY, MEMORY, FlowTable, find, flow_keys, look_ahead
from portkin_training.ingest.captures.packets import ACK, FIN, RST, SYN, Packets

CONTACT, ANSWERED, REFUSED = range(3)
"""Kinds of contact events."""

SECOND = 1_000_000
TCP_ATTEMPT = 5 * SECOND
TCP_CLOSE = 5 * SECOND
TCP_INACTIVITY = 300 * SECOND
UDP_INACTIVITY = 60 * SECOND
"""How long a flow is remembered, in us."""

ZEEK_UDP_SERVER_PORTS = frozenset((53, 67, 88, 123, 137, 161, 162, 389, 443, 514, 1812)).union(
    (2123, 2152, 3389, 3544, 4789, 5060, 5072, 5353, 5355, 6081, 20000)
)
"""`likely_server_ports` of Zeek 8.0 with its default scripts, UDP."""

_ISN, _STATE = 2, 3
_HIGHER, _HAS_ANSWER, _HAS_REFUSAL, _CLOSED, _ENDED, _ESTABLISHED = 1, 2, 4, 8, 16, 32  # ended: by its originator


@dataclass(frozen=True, slots=True)
class Contacts(Columns):
    """Contact events in packet order; n rows. ``src`` and ``sport`` are always the originator's.

    Attributes:
        ts: (n,) int64, microseconds since the epoch, UTC, of the packet that is the event.
        kind: (n,) uint8: CONTACT, ANSWERED or REFUSED.
        src, dst: (n, 2) int64, the high and low half of the address.
        sport, dport: (n,) uint16.
        proto: (n,) uint8: 6 or 17.
        context: (n,) int64, in which the two addresses are (`core.context`); 0 where there is none.
    """

    ts: NDArray[np.int64]
    kind: NDArray[np.uint8]
    src: NDArray[np.int64]
    dst: NDArray[np.int64]
    sport: NDArray[np.uint16]
    dport: NDArray[np.uint16]
    proto: NDArray[np.uint8]
    context: NDArray[np.int64]

    @classmethod
    def none(cls) -> Contacts:
        return _gather(Packets.none(), np.empty(0, np.int64), np.empty(0, np.uint8))


@kernel
def _track(packets, keys, higher, start, slots, used, limit, servers, rows, kinds):
    """Note the events of packets [start:]: the packet's row, and the kind, + 4 where the responder sent it.

    Returns (first packet not looked at, number of events); that is len(ts), or the table needs room.
    """
    ts, _, _, sport, dport, proto, flags, seq, _ = packets
    base, mask, width = np.int64(slots.ctypes.data), len(slots) - 1, slots.shape[1]
    found = 0
    for row in range(start, len(ts)):
        if used[0] >= limit:
            return row, found
        look_ahead(base, width, mask, keys, row)
        now = ts[row]
        quoted = proto[row] != TCP and proto[row] != UDP
        transport = np.int64(flags[row]) if quoted else np.int64(proto[row])
        if quoted and transport != UDP:
            continue
        key = keys[row]
        at = find(base, width, mask, key)
        alive = slots[at, KEY] == key and now < slots[at, DEADLINE]
        state = slots[at, _STATE]
        decided = state & (_HAS_ANSWER | _HAS_REFUSAL)
        from_originator = higher[row] == ((state & _HIGHER) != 0)
        kind = -1
        if transport == TCP:
            flag = flags[row]
            closing = flag & (FIN | RST) != 0
            if flag & (SYN | ACK | FIN | RST) == SYN:
                if not (alive and not state & _CLOSED and slots[at, _ISN] == np.int64(seq[row])):
                    kind = CONTACT
                    if slots[at, KEY] == 0:
                        used[0] += 1
                        slots[at, KEY] = key
                    slots[at, _ISN] = np.int64(seq[row])
                    slots[at, DEADLINE] = now + TCP_ATTEMPT
                    state = _HIGHER if higher[row] else 0
            elif not alive:
                continue
            elif from_originator:
                if flag & ACK and not decided and not state & _ENDED:
                    kind = ANSWERED
                    state |= _HAS_ANSWER
            elif flag & SYN and flag & ACK:
                if not decided:
                    kind = ANSWERED
                    state |= _HAS_ANSWER
                state |= _ESTABLISHED
            elif flag & RST and not decided and not state & _CLOSED:
                kind = REFUSED + 4
                state |= _HAS_REFUSAL
            if kind == ANSWERED and not from_originator:
                kind += 4
            if closing and from_originator:
                state |= _ENDED
            if closing and not state & _CLOSED:
                state |= _CLOSED
                slots[at, DEADLINE] = now + TCP_CLOSE
            elif state & (_ESTABLISHED | _CLOSED) == _ESTABLISHED:
                slots[at, DEADLINE] = now + TCP_INACTIVITY
        elif quoted:
            if not alive or decided or not from_originator:
                continue
            kind = REFUSED
            state |= _HAS_REFUSAL
        else:
            if not alive:
                if slots[at, KEY] == 0:
                    used[0] += 1
                    slots[at, KEY] = key
                if servers[sport[row]] and not servers[dport[row]]:
                    state = _HAS_ANSWER | (0 if higher[row] else _HIGHER)
                else:
                    kind = CONTACT
                    state = _HIGHER if higher[row] else 0
            elif not from_originator and not decided:
                kind = ANSWERED + 4
                state |= _HAS_ANSWER
            slots[at, DEADLINE] = now + UDP_INACTIVITY
        slots[at, _STATE] = state
        if kind >= 0:
            rows[found] = row
            kinds[found] = kind
            found += 1
    return len(ts), found


def contacts_from_packets(
    packets: Packets | Iterable[Packets],
    *,
    udp_server_ports: Iterable[int] = ZEEK_UDP_SERVER_PORTS,
    memory: int = MEMORY,
) -> Iterator[Contacts]:
    """The contact events of packets in capture order; a chunk of events for each chunk of packets.

    Args:
        packets: one value, or a stream of them as `read_capture` yields it.
        udp_server_ports: source ports of datagrams that are answers; empty for Zeek without its base scripts.
        memory: bytes that the flow memory may take, 32 a slot; see `FlowTable`.
    """
    table = FlowTable(4, memory=memory)
    servers = np.zeros(1 << 16, np.bool_)
    servers[[*udp_server_ports]] = True
    for chunk in [packets] if isinstance(packets, Packets) else packets:
        rows, kinds = np.empty(len(chunk), np.int64), np.empty(len(chunk), np.uint8)
        keys, higher = np.empty(len(chunk), np.int64), np.empty(len(chunk), np.bool_)
        flow_keys(chunk.columns(), False, keys, higher)
        start = found = 0
        while start < len(chunk):
            start, more = _track(
                chunk.columns(),
                keys,
                higher,
                start,
                table.slots,
                table.used,
                table.limit,
                servers,
                rows[found:],
                kinds[found:],
            )
            found += more
            if start < len(chunk):
                table.make_room(int(chunk.ts[start]))
        yield _gather(chunk, rows[:found], kinds[:found])


def _gather(packets: Packets, rows: NDArray[np.int64], kinds: NDArray[np.uint8]) -> Contacts:
    swap = kinds >= 4
    there, back = packets.src[rows], packets.dst[rows]
    from_port, to_port = packets.sport[rows], packets.dport[rows]
    proto = packets.proto[rows]
    return Contacts(
        ts=packets.ts[rows],
        kind=kinds & np.uint8(3),
        src=np.where(swap[:, None], back, there),
        dst=np.where(swap[:, None], there, back),
        sport=np.where(swap, to_port, from_port),
        dport=np.where(swap, from_port, to_port),
        # a row of an ICMP error names the protocol it quotes in its flags
        proto=np.where(proto == TCP, np.uint8(TCP), np.uint8(UDP)),
        context=packets.context[rows],
    )


ContactEvent = tuple[int, int, int, int, int, int]
"""One row of `Contacts` in Python numbers: (kind, ts, src, dst, port, protocol); ``src`` is a source as
`core.context` has it, ``dst`` an address of 128 bits."""


def contact_events(contacts: Contacts) -> Iterator[ContactEvent]:
    """The contact events one by one, in their order."""
    sources = addresses_of(contacts.src)
    if contacts.context.any():
        sources = [source_of(*pair) for pair in zip(sources, contacts.context.tolist(), strict=True)]
    return zip(
        contacts.kind.tolist(),
        contacts.ts.tolist(),
        sources,
        addresses_of(contacts.dst),
        contacts.dport.tolist(),
        contacts.proto.tolist(),
        strict=True,
    )


def addresses_of(halves: NDArray[np.int64]) -> list[int]:
    """128-bit addresses as Python numbers, of their high and low halves, int64 (n, 2)."""
    high, low = halves.view(np.uint64).T.tolist()
    return [h << 64 | lo for h, lo in zip(high, low, strict=True)]
