"""Facts about an installation that is well, to be changed in one place."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

from portkin.blocking.config import EnforceConfig
from portkin.config.schema import Config
from portkin.doctor.checks import check
from portkin.doctor.facts import (
    BundleFacts,
    ClockFacts,
    DatabaseFacts,
    Facts,
    Installation,
    NftablesFacts,
    SettingsFile,
    SidecarAnswers,
    SuricataFacts,
    ZeekAnswers,
    ZeekHere,
)
from portkin.zeek.event import Count
from portkin.zeek.messages import PROTOCOL, StatusResponse

NOW = datetime(2026, 11, 28, 12, 0, tzinfo=UTC)
NEVER = timedelta(seconds=-1)
ADDRESS = "ws://127.0.0.1:27759/v1/messages/json"
ZEEK = StatusResponse(
    reqid="r",
    protocol=Count(PROTOCOL),
    node="zeek",
    zeek_version="8.0.10",
    backend="BROKER",
    scripts=("block", "detection", "rates", "websocket"),
    peers=(),
    mode="BLOCK",
    sidecar=True,
    table_id="0123456789ab",
    packets=Count(1000),
    scanners=Count(3),
    probe=timedelta(seconds=5),
    answer=timedelta(minutes=90),
    decision=NEVER,
    clock=NOW,
)
SAMPLES = {"portkin_connected": 1.0, "portkin_failures_total": 0.0, "portkin_messages_dropped_total": 0.0}
GREETED = {"node": "zeek", "version": "8.0.10", "protocol": str(PROTOCOL)}
SIDECAR = SidecarAnswers("http://127.0.0.1:9477/metrics", "answers", "", SAMPLES, "0123456789ab", GREETED)
TABLE = BundleFacts(Path("/t"), "0123456789ab", NOW - timedelta(days=10), "the 16 nearest ports by kin")
ANSWERS = ZeekAnswers(ADDRESS, "open", version="8.0.10", nodes=(ZEEK,), skew=0.1)
HERE = ZeekHere(
    ("/opt/zeek/bin/zeek",), (812,), (Path("/site/portkin"),), Path("/site/local.zeek"), ("portkin/websocket",)
)
NFTABLES = NftablesFacts("portkin", "libnftables.so.1", True, "present", held=2)
SURICATA = SuricataFacts(Path("/s"), "", "7.0.14 RELEASE", "NFQ", True, ("pk22",), ("pk22", "pk23"), 120)
HEALTHY = Facts(
    now=NOW,
    installation=Installation("0.1.0", "3.11.2", "/opt/portkin/bin/python", "Linux", "portkin"),
    settings=SettingsFile(Path("/etc/portkin/portkin.yaml"), Config()),
    table=TABLE,
    zeek=ANSWERS,
    zeek_here=HERE,
    sidecar=SIDECAR,
    databases=(DatabaseFacts("enforce.database", Path("/b"), "ours"),),
    clock=ClockFacts(True),
)


def codes(facts: Facts, level: str) -> list[str]:
    return [finding.code for finding in check(facts) if finding.level == level]


def with_zeek(**changes: object) -> Facts:
    return replace(HEALTHY, zeek=replace(ANSWERS, nodes=(replace(ZEEK, **changes),)))


def with_connection(connection: str, here: ZeekHere = HERE, **changes: object) -> Facts:
    return replace(HEALTHY, zeek=ZeekAnswers(ADDRESS, connection, **changes), zeek_here=here)


def with_settings(**sections: object) -> Facts:
    return replace(HEALTHY, settings=SettingsFile(None, Config(**sections)))


def with_backend(name: str, **facts: object) -> Facts:
    return replace(with_settings(enforce=EnforceConfig(backend=name)), **facts)
