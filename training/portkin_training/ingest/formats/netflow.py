"""NetFlow v5, v9 and IPFIX as the collector of Python's ``netflow`` library (0.12) writes them.

A line is an export packet: the time of its arrival, its header, and its flows, each one direction of a flow with the
TCP flags of all its packets; what counts is as for nfdump's. Times count from the start of the exporter: the header of
v5 and v9 says how long that is ago, and an options record of IPFIX when it was. Flows before that record have no time,
unless they have one of their own. An exporter that reads a capture writes times before its start as if they were 49
days after it: they are taken for what is nearest to the start. Times are UTC.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from ipaddress import IPv6Address
from typing import Any

import numpy as np
import pyarrow as pa

from portkin.json_text import parsed
from portkin_training.ingest.formats.format import Format, Head, Source, judged
from portkin_training.ingest.formats.nfdump import one_way
from portkin_training.ingest.logs import text_blocks
from portkin_training.ingest.logs.json_lines import broken_line
from portkin_training.ingest.records import Rows

_NAMES = {
    "src": ("IPV4_SRC_ADDR", "sourceIPv4Address", "IPV6_SRC_ADDR", "sourceIPv6Address"),
    "dst": ("IPV4_DST_ADDR", "destinationIPv4Address", "IPV6_DST_ADDR", "destinationIPv6Address"),
    "sport": ("SRC_PORT", "L4_SRC_PORT", "sourceTransportPort"),
    "dport": ("DST_PORT", "L4_DST_PORT", "destinationTransportPort"),
    "proto": ("PROTO", "PROTOCOL", "protocolIdentifier"),
    "flags": ("TCP_FLAGS", "tcpControlBits"),
}
"""Our name of a column -> its names in v5, v9 and IPFIX."""
_WRAP = 1 << 32
"""Milliseconds at which the exporter's clock wraps around."""


@dataclass
class _Exporters:
    """When exporters started, ms since 1970, as their options records said: by sender and domain."""

    starts: dict[tuple[str, int], float] = field(default_factory=dict)

    def begin(self, client: str, header: Mapping[str, Any], flow: Mapping[str, Any]) -> float | None:
        """When a flow began, seconds since 1970; None where that is not said."""
        for name, scale in (("flowStartMilliseconds", 1e3), ("flowStartSeconds", 1.0)):
            if name in flow:
                return float(flow[name]) / scale
        exported = (
            header.get("timestamp", header.get("export_uptime", 0)) * 1000 + header.get("timestamp_nano", 0) / 1e6
        )
        if "flowStartDeltaMicroseconds" in flow:
            return float(exported * 1000 - flow["flowStartDeltaMicroseconds"]) / 1e6
        if "FIRST_SWITCHED" in flow:
            start, after = exported - header.get("uptime", 0), flow["FIRST_SWITCHED"]
        else:
            known = self.starts.get((client, header.get("obervation_domain_id", 0)))
            if known is None or "flowStartSysUpTime" not in flow:
                return None
            start, after = known, flow["flowStartSysUpTime"]
        near = (after + _WRAP // 2) % _WRAP - _WRAP // 2
        return float(start + near) / 1000


def _flows(entry: Any, exporters: _Exporters) -> Iterator[dict[str, str | None]]:
    """The flows of one line, as text; TypeError, ValueError, KeyError or AttributeError where it is none of these."""
    for packet in entry.values():
        header, client = packet["header"], str(packet.get("client", [""])[0])
        for flow in packet["flows"]:
            if "systemInitTimeMilliseconds" in flow:
                exporters.starts[client, header.get("obervation_domain_id", 0)] = flow["systemInitTimeMilliseconds"]
            if not any(name in flow for name in _NAMES["src"]):
                continue  # an options record
            values = {}
            for field_name, names in _NAMES.items():
                name = next((one for one in names if one in flow), "")
                value = flow.get(name)
                if isinstance(value, int) and "v6" in name.lower():
                    value = IPv6Address(value)
                values[field_name] = None if value is None else str(value)
            begin = exporters.begin(client, header, flow)
            yield values | {"ts": None if begin is None else f"{begin:.3f}"}


def _rows(source: Source) -> Iterator[Rows]:
    exporters = _Exporters()
    for first, block in text_blocks.blocks(source.path, source.reading):
        flows: list[dict[str, str | None]] = []
        where: list[int] = []
        for number, line in enumerate(block.decode().split("\n"), first):
            if not line.strip():
                continue
            try:
                found = [*_flows(parsed(line), exporters)]
            except (TypeError, ValueError, KeyError, AttributeError, IndexError, OverflowError):
                broken_line(number, line, source.reading)
                continue
            flows += found
            where += [number] * len(found)
        columns = {name: pa.array([flow[name] for flow in flows], pa.string()) for name in (*_NAMES, "ts")}
        yield judged(columns, np.array(where, np.int64), one_way, source)


def _recognise(head: Head) -> bool:
    return any(
        isinstance(packet, dict) and "flows" in packet and "client" in packet and "header" in packet
        for one in head.objects
        for packet in one.values()
    )


NETFLOW = Format("netflow", _recognise, _rows, packets=True)
