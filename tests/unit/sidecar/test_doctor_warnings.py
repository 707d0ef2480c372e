"""What the doctor warns of: it works, less well than it could."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from portkin.blocking.config import EnforceConfig
from portkin.blocking.limits import Limits
from portkin.config.schema import Config
from portkin.doctor.checks import check
from portkin.doctor.facts import (
    ClockFacts,
    DatabaseFacts,
    Facts,
    SettingsFile,
)
from portkin.doctor.findings import STATUS, in_words, verdict
from portkin.rates.config import RatesConfig
from portkin.zeek.event import Count
from support.doctor_facts import (
    ANSWERS,
    HEALTHY,
    NFTABLES,
    NOW,
    SAMPLES,
    SIDECAR,
    SURICATA,
    TABLE,
    codes,
    with_backend,
    with_settings,
    with_zeek,
)


def with_errors(latest: datetime) -> Facts:
    """A sidecar that had two failures of blocking, the later one then."""
    counted = {
        "portkin_block_errors_total": 2.0,
        "portkin_block_latest_error_timestamp_seconds": latest.timestamp(),
    }
    return replace(HEALTHY, sidecar=replace(SIDECAR, samples={**SAMPLES, **counted}))


WARNINGS = {
    "not served": (replace(HEALTHY, table=replace(TABLE, id="ba9876543210")), "table.not-served"),
    "old": (replace(HEALTHY, table=replace(TABLE, created=NOW - timedelta(days=366))), "table.old"),
    "dropped": (
        replace(HEALTHY, sidecar=replace(SIDECAR, samples={**SAMPLES, "portkin_messages_dropped_total": 7.0})),
        "sidecar.dropped",
    ),
    "defects": (
        replace(HEALTHY, sidecar=replace(SIDECAR, samples={**SAMPLES, "portkin_failures_total": 1.0})),
        "sidecar.defects",
    ),
    "errors": (
        replace(HEALTHY, sidecar=replace(SIDECAR, samples={**SAMPLES, "portkin_block_errors_total": 1.0})),
        "sidecar.block-errors",
    ),
    "foreign elements": (
        replace(HEALTHY, sidecar=replace(SIDECAR, samples={**SAMPLES, "portkin_block_foreign_elements": 2.0})),
        "sidecar.foreign-elements",
    ),
    "recent errors": (with_errors(NOW - timedelta(hours=23)), "sidecar.block-errors"),
    "pending": (
        replace(HEALTHY, sidecar=replace(SIDECAR, pending=("metrics.port", "table.poll"))),
        "sidecar.settings-pending",
    ),
    "nearly full": (
        replace(HEALTHY, databases=(DatabaseFacts("enforce.database", Path("/b"), "ours", free=4096),)),
        "block-database.disk-full",
    ),
    "no packets": (with_zeek(packets=Count(0)), "zeek.no-packets"),
    "nodes": (
        with_zeek(node="manager", peers=("logger-1", "proxy-1", "worker-1")),
        "zeek.nodes-absent",
    ),
    "other table": (with_zeek(table_id="ba9876543210"), "zeek.other-table"),
    "no block": (
        replace(
            with_zeek(scripts=("websocket",)),
            settings=SettingsFile(None, Config(enforce=EnforceConfig(backend="nftables"))),
            nftables=NFTABLES,
        ),
        "zeek.no-block",
    ),
    "no rates": (
        replace(
            with_zeek(scripts=("websocket",)),
            settings=SettingsFile(None, Config(rates=RatesConfig(model=Path("/m")))),
        ),
        "zeek.no-rates",
    ),
    "skew": (replace(HEALTHY, zeek=replace(ANSWERS, skew=-9.0)), "clock.differs"),
    "clock": (
        replace(with_settings(rates=RatesConfig(model=Path("/m"))), clock=ClockFacts(False)),
        "clock.unsynchronised",
    ),
    "rules failed": (
        with_backend("suricata", suricata=replace(SURICATA, rules_failed=2, failed=("x.rules:7",))),
        "blocking.rules-failed",
    ),
    "ids": (with_backend("suricata", suricata=replace(SURICATA, inline=False)), "blocking.not-inline"),
    "7.0.10": (with_backend("suricata", suricata=replace(SURICATA, version="7.0.10 RELEASE")), "blocking.ipv6"),
    "8.0.2": (with_backend("suricata", suricata=replace(SURICATA, version="8.0.2 RELEASE")), "blocking.ipv6"),
    # 16 MiB hold 111,848 sources of 150 bytes.
    "host memcap": (
        replace(
            with_settings(enforce=EnforceConfig(backend="suricata", limits=Limits(max_blocks=111_849))),
            suricata=replace(SURICATA, host_memcap=16 << 20),
        ),
        "blocking.host-memcap",
    ),
    "not creatable": (
        replace(HEALTHY, databases=(DatabaseFacts("enforce.database", Path("/b"), "absent", writable=False),)),
        "block-database.not-creatable",
    ),
}


@pytest.mark.parametrize(("facts", "code"), WARNINGS.values(), ids=WARNINGS)
def test_what_works_less_well_is_a_warning(facts, code):
    """One warning, by its name, with a remedy; the status is that of a warning."""
    assert ([code], []) == (codes(facts, "warning"), codes(facts, "problem"))
    findings = check(facts)
    assert (1, "Works, with 1 warning.") == (STATUS[verdict(findings)], in_words(findings))
    assert all(finding.remedy for finding in findings if finding.level == "warning")


def test_enough_memory_for_blocks():
    """Suricata's default of 16 MiB is enough for the default number of blocks, and an unlimited table is no finding."""
    found = check(with_backend("suricata", suricata=replace(SURICATA, host_memcap=16 << 20)))
    (memory,) = [finding for finding in found if finding.code == "blocking.host-memcap"]
    assert ("ok", True) == (memory.level, "16 MiB, holds some 111,848 sources" in memory.what)
    assert "blocking.host-memcap" not in {
        finding.code for finding in check(with_backend("suricata", suricata=SURICATA))
    }


def test_failures_of_long_ago_are_no_warning():
    """A day after the latest failure of blocking, which healed, all is well."""
    assert [] == codes(with_errors(NOW - timedelta(hours=25)), "warning")
