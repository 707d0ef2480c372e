"""Checks of the settings file, and of the table and the models that it names."""

from __future__ import annotations

from portkin.doctor.facts import BundleFacts, Facts, SettingsFile
from portkin.doctor.findings import Finding, ok, problem, warning
from portkin.wording import amount

OLD = 365
"""Days after which a table of one's own should be learnt again: what scanners look for changes by the month."""


def check_settings(found: SettingsFile) -> list[Finding]:
    """Whether `portkin serve` takes the settings."""
    if found.config is None:
        # The error names the line, the value and the remedy itself.
        remedy = "correct it; `portkin config --sample` prints a file to copy"
        if found.denied:
            remedy = "run the doctor as root, or as the user of the sidecar"
        return [problem("settings.invalid", found.error, remedy)]
    return [ok("settings.valid", str(found.path) if found.path else "no file: the defaults are in force")]


def check_table(facts: Facts) -> list[Finding]:
    """The table on disk, its age, and whether it is the one that is served."""
    table = facts.table
    if table is None:
        return []
    if table.error:
        return [problem("table.unusable", table.error, "correct table.path, or build the table: portkin table build")]
    days = _days(facts, table)
    said = f"table {table.id}, {table.about}, built {_ago(days)}{', the one that ships' if table.shipped else ''}"
    served = facts.sidecar.table if facts.sidecar else ""
    if served and served != table.id:
        return [
            warning(
                "table.not-served",
                f"{table.path} holds table {table.id}, and the sidecar serves {served}",
                "restart the sidecar with these settings; its log says why it refused the new table",
            )
        ]
    if days > OLD and not table.shipped:
        return [warning("table.old", said, "learn it again from recordings of this year: portkin table build")]
    return [ok("table.usable", said)]


def check_models(facts: Facts) -> list[Finding]:
    """The models of probing rates, where some are set."""
    models = facts.models
    if models is None:
        return []
    if models.error:
        return [problem("models.unusable", models.error, "correct rates.model, or train: portkin rates train")]
    return [ok("models.usable", f"models {models.id}, {models.about}, trained {_ago(_days(facts, models))}")]


def _ago(days: int) -> str:
    return f"{amount(days, 'day')} ago"


def _days(facts: Facts, bundle: BundleFacts) -> int:
    return max(0, (facts.now - bundle.created).days) if bundle.created else 0
