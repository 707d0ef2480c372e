"""The packets that rules match, and the bits that they keep, as options of Suricata's rules."""

from __future__ import annotations

from collections.abc import Mapping

from portkin.net.ports import Proto

Options = list[tuple[str, str | None]]

FIRST_PACKET: Mapping[Proto, Options] = {
    "tcp": [("flow", "to_server"), ("flags", "S,12")],
    "udp": [("flow", "to_server,not_established")],
}
"""The first packet of a connection: a SYN whatever its ECN bits, a datagram before any answer."""

ANSWER: Mapping[Proto, Options] = {
    "tcp": [("flow", "to_client"), ("flags", "SA,12"), ("prefilter", None)],
    "udp": [("flow", "to_client")],
}
"""An answer to it: a SYN-ACK whatever its ECN bits, any datagram of the server. ``prefilter`` compares the flags of a
packet with those of all these rules at once."""

REFUSAL: Options = [("flow", "to_client"), ("flags", "RA,12"), ("prefilter", None)]
"""The RST that a closed TCP port answers a SYN with (RFC 9293, 3.5.2)."""


def to_server(proto: Proto, ports: str = "any") -> str:
    """The header of a rule for what comes from outside to these ports."""
    return f"{proto} $EXTERNAL_NET any -> $HOME_NET {ports}"


def to_client(proto: Proto) -> str:
    """The header of a rule for what goes out."""
    return f"{proto} $HOME_NET any -> $EXTERNAL_NET any"


def isset(bit: str, track: str = "ip_src") -> tuple[str, str]:
    """The bit is set on the source, on the destination (``ip_dst``) or on the two together (``ip_pair``)."""
    return ("xbits", f"isset,{bit},track {track}")


def isnotset(bit: str, track: str = "ip_src") -> tuple[str, str]:
    """The bit is not set, or has expired."""
    return ("xbits", f"isnotset,{bit},track {track}")


def unset(bit: str, track: str = "ip_src") -> tuple[str, str]:
    """Unset the bit when the rule matches."""
    return ("xbits", f"unset,{bit},track {track}")


def put(bit: str, seconds: int, track: str = "ip_src") -> tuple[str, str]:
    """Set the bit for so long when the rule matches; one that is set keeps its expiry (HostBitSet in host-bit.c)."""
    return ("xbits", f"set,{bit},track {track},expire {seconds}")


def renew(bit: str, seconds: int, track: str = "ip_src") -> Options:
    """Set the bit for so long from now on, whether it is set or not."""
    return [unset(bit, track), put(bit, seconds, track)]


def consume(flowbit: str) -> Options:
    """The flow has the bit, and loses it when the rule matches."""
    return [("flowbits", f"isset,{flowbit}"), ("flowbits", f"unset,{flowbit}")]


def mark(flowbit: str) -> tuple[str, str]:
    """Set the flow's bit when the rule matches."""
    return ("flowbits", f"set,{flowbit}")


def writes() -> tuple[str, str]:
    """Make a rule one that writes a host bit, for the order that Suricata evaluates rules in; nobody sets this bit."""
    return unset("pkorder")
