"""The doctor from within a running sidecar: what it can see without asking anybody, by the same checks."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from prometheus_client import CollectorRegistry

from portkin.bundles.table import Table
from portkin.bundles.table_format import default_path, described
from portkin.config.schema import Config
from portkin.doctor.checks.blocking import check_blocking
from portkin.doctor.checks.host import check_clock, check_databases
from portkin.doctor.checks.settings import check_table
from portkin.doctor.checks.sidecar import check_sidecar
from portkin.doctor.facts import BundleFacts, Facts, SettingsFile
from portkin.doctor.findings import Finding, in_words, ok, problem, verdict
from portkin.doctor.gathering.databases import gather_databases
from portkin.doctor.gathering.host import gather_clock, gather_installation
from portkin.doctor.gathering.sidecar import read_families
from portkin.doctor.redaction import shown_text


class LiveHealth:
    """Looks when it is called, from any thread. ``table`` returns the table that is served, ``folder`` is its own."""

    def __init__(
        self,
        config: Config,
        file: Path | None,
        registry: CollectorRegistry,
        *,
        table: Callable[[], Table],
        folder: Path,
    ) -> None:
        self._config = config
        self._settings = SettingsFile(file, config)
        self._registry = registry
        self._table = table
        self._folder = folder
        self._shipped = folder.resolve() == default_path().resolve()
        self._installation = gather_installation()

    def __call__(self) -> dict[str, Any]:
        """The verdict in a word and in a sentence, and the findings."""
        findings = self.findings()
        return {
            "verdict": verdict(findings),
            "summary": in_words(findings),
            "findings": [
                {**asdict(each), "what": shown_text(each.what), "remedy": shown_text(each.remedy)} for each in findings
            ],
        }

    def findings(self) -> list[Finding]:
        """The sidecar itself, table, backend, databases, clock."""
        table, config = self._table(), self._config
        about = described(table.manifest)
        facts = Facts(
            now=datetime.now(UTC),
            installation=self._installation,
            settings=self._settings,
            table=BundleFacts(self._folder, table.id, table.created, about, self._shipped),
            sidecar=read_families("this address", self._registry.collect()),
            databases=gather_databases(config),
            clock=gather_clock(),
        )
        return [
            *check_sidecar(facts, config),
            *check_table(facts),
            *self._backend(facts),
            *check_databases(facts.databases, facts.sidecar),
            *check_clock(facts, config),
        ]

    def _backend(self, facts: Facts) -> list[Finding]:
        """By what the enforcer says: to ask nftables or Suricata is the doctor's, which waits for nobody."""
        backend = self._config.enforce.backend
        if backend == "shadow":
            return check_blocking(facts, self._config)
        if facts.sidecar is not None and facts.sidecar.samples.get("portkin_block_backend_ready"):
            return [ok(f"blocking.{backend}", f"backend {backend}: it holds all blocks")]
        return [
            problem(
                "blocking.not-ready",
                f"backend {backend} does not hold the blocks: it cannot be reached, or refuses",
                "portkin doctor says why; it is tried again every few seconds",
            )
        ]
