"""Facts to findings: every check is a pure function."""

from __future__ import annotations

from portkin.doctor.checks.blocking import check_blocking
from portkin.doctor.checks.host import check_clock, check_databases, check_installation
from portkin.doctor.checks.settings import check_models, check_settings, check_table
from portkin.doctor.checks.sidecar import check_sidecar
from portkin.doctor.checks.zeek import check_zeek
from portkin.doctor.facts import Facts
from portkin.doctor.findings import Finding


def check(facts: Facts) -> list[Finding]:
    """All findings, in the order in which the parts depend on each other."""
    findings = [*check_installation(facts.installation), *check_settings(facts.settings)]
    config = facts.settings.config
    if config is None:
        return findings
    return [
        *findings,
        *check_table(facts),
        *check_models(facts),
        *check_sidecar(facts, config),
        *check_zeek(facts, config),
        *check_blocking(facts, config),
        *check_databases(facts.databases, facts.sidecar),
        *check_clock(facts, config),
    ]
