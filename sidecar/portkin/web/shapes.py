"""The JSON of the API: what is read, as plain values. Times are seconds since 1970, ports are ``80/tcp``."""

from __future__ import annotations

import math
from collections.abc import Mapping
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Protocol

from portkin import __version__
from portkin.blocking.block import Evidence
from portkin.blocking.scanners import ScannerView
from portkin.blocking.stats import ModeStats
from portkin.bundles.table import Table
from portkin.net.addresses import text_of
from portkin.net.ports import Port, service_name
from portkin.rates.history import Alarm, ScoreRow
from portkin.zeek.messages import PROTOCOL, HelloResponse

if TYPE_CHECKING:
    from portkin.blocking.service import BlockingService

service = lru_cache(maxsize=4096)(service_name)


class Connection(Protocol):
    """The connection to Zeek, as `portkin.sidecar.Connection`."""

    @property
    def open(self) -> bool: ...
    @property
    def since(self) -> float: ...
    @property
    def peer(self) -> str: ...
    @property
    def reason(self) -> str: ...


def status(
    *,
    connection: Connection,
    greeting: HelloResponse | None,
    table: Table,
    blocking: BlockingService,
    health: Mapping[str, Any],
    not_ready: list[str],
    rates: bool,
    actions: bool,
) -> dict[str, Any]:
    """How everything stands."""
    enforcer = blocking.enforcer
    answered = greeting if connection.open else None
    return {
        "portkin": __version__,
        "ready": not not_ready,
        "not_ready": not_ready,
        "zeek": {
            "connected": connection.open,
            "since": round(connection.since, 3),
            "peer": connection.peer,
            "reason": connection.reason,
            "answers": answered is not None,
            "node": answered.node if answered else "",
            "version": answered.zeek_version if answered else "",
            "protocol": {"ours": PROTOCOL, "theirs": answered.protocol if answered else None},
        },
        "table": {
            "id": table.id,
            "method": table.method,
            "k": table.k,
            "built": round(table.created.timestamp(), 3),
            "min_chance": table.cutoff,
            "chances": table.horizon is not None,
            "by_source": table.source_model is not None,
        },
        "blocking": {"backend": enforcer.mode, "active": health.get("active", {})},
        "rates": rates,
        "health": {name: health.get(name) for name in ("verdict", "summary", "findings")},
        "actions": actions,
    }


def evidence(found: Evidence) -> dict[str, Any]:
    """What is known against a source."""
    return {
        "kind": found.kind,
        "answered": found.answered,
        "refused": found.refused,
        "repeated": found.repeated,
        "darknet": found.darknet,
    }


def scanner(view: ScannerView) -> dict[str, Any]:
    """A source that scans."""
    return {
        "src": text_of(view.src),
        "first": round(view.first, 3),
        "latest": round(view.latest, 3),
        "evidence": evidence(view.evidence),
        "probed": view.probed,
        "ports": [str(port) for port in view.ports],
        "predicted": view.predicted,
        "came": view.came,
        "held_out": view.held_out,
        "blocked": view.blocked,
        "veto": view.veto,
    }


def block(row: Mapping[str, Any]) -> dict[str, Any]:
    """A row of the block database."""
    return {
        "src": row["src"],
        "port": f"{row['port']}/{row['proto']}",
        "service": service(Port(row["port"], row["proto"])),
        "rank": row["rank"],
        "probed": row["probed"],
        "reason": row["reason"],
        "evidence": evidence(Evidence.parse(row["reason"])),
        "table": row["table_id"],
        "since": row["since"],
        "until": row["until"],
        "extensions": row["extensions"],
        "mode": row["mode"],
        "came": bool(row["hit"]),
        "packets": row["packets"],
        "bytes": row["bytes"],
        "outcome": row["outcome"],
        "ended": row["ended"],
    }


def figures(counts: ModeStats) -> dict[str, Any]:
    """Counts, and their ratios; null for a ratio of nothing."""
    ratios = ("blocking_ratio", "usefulness", "predicted_usefulness", "new_port_recall")
    return {
        **{name: getattr(counts, name) for name in ModeStats.__slots__},
        **{name: _ratio(getattr(counts, name)) for name in ratios},
    }


def rate(row: ScoreRow) -> dict[str, Any]:
    """A port at a closed bin. ``above_forecast`` is E, ``above_trend`` is W."""
    return {
        "port": str(row.port),
        "service": service(row.port),
        "start": row.start,
        "observed": row.observed,
        "forecast": row.forecast,
        "above_forecast": row.e,
        "next": row.ahead,
        "above_trend": row.w,
    }


def unusual(row: ScoreRow) -> tuple[float, float]:
    """Sorts the most unusual ports last: by E or W, then by rate."""
    return max(row.e or 0.0, row.w or 0.0), row.observed or 0.0


def alarm(found: Alarm) -> dict[str, Any]:
    """An alarm: ``rate`` is above ``base`` by ``above`` times the base, more than the threshold."""
    return {
        "kind": found.kind,
        "port": str(found.port),
        "service": service(found.port),
        "raised": round(found.raised, 3),
        "start": found.start,
        "rate": found.rate,
        "base": found.base,
        "above": found.value,
        "threshold": found.threshold,
        "model": found.model,
    }


def kin(table: Table, port: Port, k: int) -> dict[str, Any]:
    """A port, its nearest ports, and which of these are near each other."""
    near = table.nearest(port, k)
    chances: tuple[float | None, ...] = near.chances or (None,) * len(near.ports)
    cut, min_chance = table.cut(table.k)
    shown = {port, *near.ports}
    links = []
    for each in near.ports:
        beyond = table.nearest(each, k)
        found = zip(beyond.ports, beyond.chances or (None,) * len(beyond.ports), strict=True)
        links += [{"from": str(each), "to": str(to), "chance": chance} for to, chance in found if to in shown]
    return {
        "port": str(port),
        "service": service(port),
        "known": port in table,
        "table": table.id,
        "chances": table.horizon is not None,
        "nearest": [
            {
                "port": str(to),
                "service": service(to),
                "distance": distance,
                "chance": chance,
                "predicted": place < cut and (chance is None or chance >= min_chance),
            }
            for place, (to, distance, chance) in enumerate(zip(near.ports, near.distances, chances, strict=True))
        ],
        "links": links,
    }


def _ratio(value: float) -> float | None:
    return value if math.isfinite(value) else None
