"""Gathers the facts: the only part of the doctor that looks at the machine. It changes nothing."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

from portkin.bundles.bundle_reader import read_manifest
from portkin.bundles.prediction import described
from portkin.bundles.table import Table
from portkin.bundles.table_format import default_path
from portkin.config.checks import checks
from portkin.config.schema import Config, load_config
from portkin.doctor.facts import BundleFacts, Facts, SettingsFile
from portkin.doctor.gathering.blocking import gather_databases, gather_nftables, gather_suricata
from portkin.doctor.gathering.host import gather_clock, gather_installation
from portkin.doctor.gathering.sidecar import ask_sidecar
from portkin.doctor.gathering.zeek import ask_zeek
from portkin.doctor.gathering.zeek_here import look_for_zeek
from portkin.errors import BundleError, ConfigError


def gather(file: Path | None, timeout: float) -> Facts:
    """All facts about the installation with these settings; no part of it may take longer than ``timeout`` s."""
    settings = _settings(file)
    facts = Facts(now=datetime.now(UTC), installation=gather_installation(), settings=settings)
    config = settings.config
    if config is None:
        return facts
    backend = config.enforce.backend
    zeek = ask_zeek(config.zeek, timeout)
    return Facts(
        now=facts.now,
        installation=facts.installation,
        settings=settings,
        table=_table(config),
        models=_models(config),
        zeek=zeek,
        zeek_here=look_for_zeek(),
        sidecar=ask_sidecar(config.metrics, timeout),
        nftables=gather_nftables(config.enforce) if backend == "nftables" else None,
        suricata=gather_suricata(config.enforce) if backend == "suricata" else None,
        databases=gather_databases(config),
        clock=gather_clock(),
    )


def _settings(file: Path | None) -> SettingsFile:
    # A bundle that cannot be used is a finding of its own.
    apart = ("table.path", "rates.model")
    try:
        looked_at = {name: check for name, check in checks().items() if name not in apart}
        return SettingsFile(file, load_config(file, checks=looked_at))
    except ConfigError as error:
        return SettingsFile(file, None, str(error))


def _table(config: Config) -> BundleFacts:
    path = config.table.path or default_path()
    try:
        table = Table.load(path)
    except BundleError as error:
        return BundleFacts(path, error=str(error))
    about = described(table)
    return BundleFacts(path, table.id, table.created, about, shipped=path.resolve() == default_path().resolve())


def _models(config: Config) -> BundleFacts | None:
    path = config.rates.model
    if path is None:
        return None
    from portkin.bundles.forecast import Forecaster  # onnxruntime is not small
    from portkin.bundles.forecast_models import KIND, SCHEMA

    try:
        models = Forecaster.load(path)
        created = read_manifest(path, kind=KIND, schema=SCHEMA).created
    except BundleError as error:
        return BundleFacts(path, error=str(error))
    return BundleFacts(path, models.id, created, f"of {len(models.ports)} ports")
