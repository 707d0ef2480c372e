"""The active blocks in the formats of others: rows of the block database in, text out.

A block keeps a source from one port. Formats that know no ports (plain, stix2, crowdsec) have each source once, until
the last of its blocks ends, and a firewall that imports them keeps it from every port.
"""

from __future__ import annotations

import csv
import io
import json
import uuid
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from ipaddress import ip_address
from typing import Any

from portkin.blocking.block import key_of
from portkin.blocking.changes import moment
from portkin.blocking.limits import Limits
from portkin.blocking.protected import ProtectedAddresses, protection
from portkin.errors import shown
from portkin.net.ports import Port

Row = Mapping[str, Any]
"""A row as `portkin.blocking.listing.Listing.rows` has it."""
COLUMNS = ("src", "port", "proto", "since", "until", "rank", "probed", "mode", "packets", "bytes", "reason")
_IDS = uuid.UUID("6f1b5a0e-0f0b-5c4e-9a56-0d2f5a1c7b3e")
"""The namespace of our STIX identifiers (RFC 4122, 4.3): the same source has the same one in every export."""
_PORTS_SHOWN = 20


@dataclass(frozen=True)
class SourceBlocks:
    """The blocks of one source; times are seconds since 1970."""

    src: str
    since: float
    until: float
    probed: tuple[Port, ...]
    """What it probed, as far as that is blocked; what was predicted is not among it."""


def exported(rows: Iterable[Row], limits: Limits, now: float) -> list[Row]:
    """The rows that may be exported, the oldest first.

    Left out is what is held out on purpose, what is over though no sidecar has recorded it, and what the limits protect
    now.
    """
    kept = [
        row
        for row in rows
        if row["outcome"] is None and row["mode"] != "holdout" and row["until"] > now and _allowed(row, limits)
    ]
    return sorted(kept, key=lambda row: int(row["id"]))


def _allowed(row: Row, limits: Limits) -> bool:
    key = key_of(ip_address(row["src"]), Port(row["port"], row["proto"]))
    return protection(key, limits, ProtectedAddresses()) is None


def by_source(rows: Iterable[Row]) -> list[SourceBlocks]:
    """The sources of these rows, by address, IPv4 first."""
    found: dict[str, list[Row]] = {}
    for row in rows:
        found.setdefault(row["src"], []).append(row)
    sources = [
        SourceBlocks(
            src,
            min(row["since"] for row in blocks),
            max(row["until"] for row in blocks),
            tuple(sorted({Port(row["port"], row["proto"]) for row in blocks if row["rank"] == 0})),
        )
        for src, blocks in found.items()
    ]
    return sorted(sources, key=lambda source: (ip_address(source.src).version, int(ip_address(source.src))))


def as_plain(rows: Sequence[Row], now: float) -> Iterator[str]:
    """A source a line."""
    return (f"{source.src}\n" for source in by_source(rows))


def as_csv(rows: Sequence[Row], now: float) -> Iterator[str]:
    """A block a line, under a header, as RFC 4180 has it; times as RFC 3339 in UTC."""
    yield _csv_line(COLUMNS)
    for row in rows:
        yield _csv_line(moment(row[name]) if name in ("since", "until") else _cell(row[name]) for name in COLUMNS)


def _csv_line(cells: Iterable[object]) -> str:
    text = io.StringIO()
    csv.writer(text, lineterminator="\r\n").writerow(cells)
    return text.getvalue()


def _cell(value: object) -> object:
    """Text on one line that no spreadsheet takes for a formula: what Zeek and operators wrote is in it."""
    if not isinstance(value, str):
        return value
    line = shown(value).replace("\n", "\\n")
    return f"'{line}" if line.startswith(("=", "+", "-", "@")) else line


def as_crowdsec(rows: Sequence[Row], now: float) -> Iterator[str]:
    """A list of decisions: ``Decision`` of CrowdSec's local API, with the ``reason`` that `cscli` reads.

    Their scope is ``ip``: a decision of CrowdSec's knows no port. The duration counts from now, in whole
    seconds rounded down; what has less than a second left is left out.
    """
    decisions = [
        {
            "origin": "portkin",
            "type": "ban",
            "scope": "ip",
            "value": source.src,
            "duration": f"{int(source.until - now)}s",
            "scenario": "portkin/scan",
            "reason": "portkin/scan",
        }
        for source in by_source(rows)
        if source.until - now >= 1.0
    ]
    return iter([json.dumps(decisions, indent=1) + "\n"])


def as_stix2(rows: Sequence[Row], now: float) -> Iterator[str]:
    """A bundle of STIX 2.1: who says so (identity), and an indicator a source, valid until its last block ends.

    An indicator keeps its id from export to export while the source's earliest block lasts; ``modified`` is the export.
    """
    author = f"identity--{uuid.uuid5(_IDS, 'portkin')}"
    common = {"spec_version": "2.1", "modified": moment(now)}
    objects: list[dict[str, Any]] = [
        {
            "type": "identity",
            "id": author,
            **common,
            "created": moment(0.0),
            "name": "portkin",
            "identity_class": "system",
        }
    ]
    for source in by_source(rows):
        kind = f"ipv{ip_address(source.src).version}-addr"
        began = min(source.since, now)
        objects.append(
            {
                "type": "indicator",
                "id": f"indicator--{uuid.uuid5(_IDS, f'{source.src} {moment(began)}')}",
                **common,
                "created": moment(began),
                "created_by_ref": author,
                "name": f"{source.src} scans ports",
                "description": _described(source),
                "indicator_types": ["malicious-activity"],
                "pattern": f"[{kind}:value = '{source.src}']",
                "pattern_type": "stix",
                "valid_from": moment(began),
                "valid_until": moment(max(source.until, began + 0.001)),
            }
        )
    bundle = {"type": "bundle", "id": f"bundle--{uuid.uuid4()}", "objects": objects}
    return iter([json.dumps(bundle, indent=1) + "\n"])


def _described(source: SourceBlocks) -> str:
    ports = [str(port) for port in source.probed[:_PORTS_SHOWN]]
    more = len(source.probed) - len(ports)
    probed = f"Probed {', '.join(ports)}{f' and {more} more' if more else ''}. " if ports else ""
    return f"{probed}Blocked by portkin for a while, from single ports."


FORMATS: Mapping[str, Callable[[Sequence[Row], float], Iterator[str]]] = {
    "plain": as_plain,
    "csv": as_csv,
    "stix2": as_stix2,
    "crowdsec": as_crowdsec,
}
"""By name, what makes the text of rows that `exported` kept, at a time (seconds since 1970)."""
