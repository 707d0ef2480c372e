"""The names that people and programs give to the columns of a probe."""

from __future__ import annotations

import re
from collections.abc import Iterable

_NAMES = {
    "ts": "ts timestamp time datetime date_time start_time start stime sTime first flow_start time_start "
    "date_first_seen first_seen first_switched frame_time_epoch time_generated event_time eventtime log_time logtime "
    "received_time ts_utc time_utc utc_time utctime created_at created date",
    "src": "src src_ip source_ip source_address source srcaddr src_addr saddr sourceaddr sa sip ip_src ip_source "
    "src_host source_host srchost attacker_ip attacker remote_ip remote_host remote_address remote_addr remote rhost "
    "peer_ip peer client_ip client c_ip id_orig_h orig_h src_ipv4 sourceipv4address ip",
    "dst": "dst dst_ip dest_ip destination_ip destination_address dest_address destination dest dstaddr dst_addr daddr "
    "destaddr da dip ip_dst ip_dest ip_destination dst_host dest_host destination_host dsthost target_ip target "
    "victim_ip victim local_ip local_host local_address local server_ip server host_ip sensor_ip honeypot_ip id_resp_h "
    "resp_h dst_ipv4 destinationipv4address",
    "sport": "sport src_port source_port srcport sp spt attacker_port remote_port peer_port client_port id_orig_p "
    "orig_p sourcetransportport",
    "dport": "dport dst_port dest_port destination_port dstport destport dp dpt target_port victim_port local_port "
    "server_port host_port id_resp_p resp_p destinationtransportport port",
    "proto": "proto protocol ip_proto ipproto ip_protocol protocol_identifier protocolidentifier transport "
    "transport_protocol l4_proto network_transport prot pr protocol_name",
}
USUAL = {name: {re.sub(r"[^a-z0-9]", "", word.lower()): at for at, word in enumerate(words.split())}
         for name, words in _NAMES.items()}  # fmt: skip
"""Field -> usual name of its column, without blanks and signs -> its rank."""


def usual_column(field: str, names: Iterable[str]) -> str | None:
    """The column that by its name holds the field; None where there is none. Names may be paths: ``source.ip``."""
    ranks = USUAL[field]
    ranked = []
    for name in names:
        plain = re.sub(r"[^a-z0-9]", "", name.lower())
        if plain in ranks:
            ranked.append((ranks[plain], name))
    return min(ranked)[1] if ranked else None


def date_and_time(names: Iterable[str]) -> str | None:
    """The two columns in which date and time stand apart, as ``date+time``; None where they do not."""
    plain = {name.strip().lower(): name for name in names}
    return f"{plain['date']}+{plain['time']}" if {"date", "time"} <= {*plain} else None


_VERDICTS = re.compile(
    r"(?:.*\.)?"
    r"(?:action|conn_?state|disposition|event_?type|(?:tcp_?)?flags|flow_?state|log_?status|outcome|verdict)",
    re.IGNORECASE,
)


def verdict(name: str) -> bool:
    """Whether a column by its name says what came of a connection, or what kind of event a row is."""
    return bool(_VERDICTS.fullmatch(name))
