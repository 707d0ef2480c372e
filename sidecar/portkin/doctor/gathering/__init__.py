"""Gathers the facts: the only part of the doctor that looks at the machine. It changes nothing."""

from __future__ import annotations

import os
from datetime import UTC, datetime
from pathlib import Path

from portkin.blocking.config import EnforceConfig
from portkin.bundles.bundle_reader import open_bundle, read_manifest
from portkin.bundles.manifest import Manifest
from portkin.bundles.table_format import KIND, SCHEMA, default_path, described
from portkin.config.checks import checks
from portkin.config.schema import Config, load_config
from portkin.doctor.facts import BundleFacts, Facts, NftablesFacts, SettingsFile, SuricataFacts
from portkin.doctor.gathering.databases import gather_databases
from portkin.doctor.gathering.host import gather_clock, gather_installation
from portkin.doctor.gathering.sidecar import ask_sidecar
from portkin.doctor.gathering.zeek import ask_zeek
from portkin.doctor.gathering.zeek_here import look_for_zeek
from portkin.errors import BundleError, ConfigError
from portkin.wording import amount


def gather(file: Path | None, timeout: float) -> Facts:
    """All facts about the installation with these settings; no answer may take longer than ``timeout`` s."""
    settings = _settings(file)
    facts = Facts(now=datetime.now(UTC), installation=gather_installation(), settings=settings)
    config = settings.config
    if config is None:
        return facts
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
        nftables=_nftables(config.enforce),
        suricata=_suricata(config.enforce),
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
        denied = file is not None and file.exists() and not os.access(file, os.R_OK)
        return SettingsFile(file, None, str(error), denied)


def _table(config: Config) -> BundleFacts:
    path = config.table.path or default_path()
    shipped = path.resolve() == default_path().resolve()
    try:
        # Of the one that ships it is enough that every byte is right; what is in another is looked at too.
        manifest = open_bundle(path, kind=KIND, schema=SCHEMA).manifest if shipped else _unpacked(path)
    except BundleError as error:
        return BundleFacts(path, error=str(error))
    return BundleFacts(path, manifest.id, manifest.created, described(manifest), shipped=shipped)


def _unpacked(path: Path) -> Manifest:
    from portkin.bundles.table import Table  # which needs numpy

    return Table.load(path).manifest


def _models(config: Config) -> BundleFacts | None:
    path = config.rates.model
    if path is None:
        return None
    from portkin.bundles import forecast_models
    from portkin.bundles.forecast import Forecaster  # onnxruntime is not small

    try:
        models = Forecaster.load(path)
        created = read_manifest(path, kind=forecast_models.KIND, schema=forecast_models.SCHEMA).created
    except BundleError as error:
        return BundleFacts(path, error=str(error))
    return BundleFacts(path, models.id, created, f"of {amount(len(models.ports), 'port')}")


def _nftables(config: EnforceConfig) -> NftablesFacts | None:
    if config.backend != "nftables":
        return None
    from portkin.doctor.gathering.nftables import gather_nftables

    return gather_nftables(config)


def _suricata(config: EnforceConfig) -> SuricataFacts | None:
    if config.backend != "suricata":
        return None
    from portkin.doctor.gathering.suricata import gather_suricata

    return gather_suricata(config)
