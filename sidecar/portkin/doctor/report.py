"""The report: for people, and as JSON for programs."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import yaml

from portkin.config.loading import to_yaml
from portkin.doctor.facts import Facts
from portkin.doctor.findings import STATUS, Finding, in_words, verdict
from portkin.doctor.redaction import shown_settings, shown_text

SCHEMA = 1
"""Of the JSON; a field is added without a new number, never taken away or changed."""
_CONTROL = {code: f"\\x{code:02x}" for code in (*range(32), *range(127, 160))}


def as_text(facts: Facts, findings: Sequence[Finding]) -> str:
    """A line per finding, its remedy below, and the verdict last."""
    lines = [
        f"{finding.level:8} {finding.subject:15} {_plain(finding.what)}"
        + (f"\n{'':25}-> {_plain(finding.remedy)}" if finding.remedy else "")
        for finding in findings
    ]
    return "\n".join([*lines, in_words(findings)]) + "\n"


def _plain(text: str) -> str:
    """The text as a terminal may have it: what peers said is in it."""
    return shown_text(text).translate(_CONTROL)


def as_json(facts: Facts, findings: Sequence[Finding]) -> dict[str, Any]:
    """The same as plain values, with the facts."""
    worst = verdict(findings)
    return {
        "schema": SCHEMA,
        "portkin": facts.installation.portkin,
        "time": facts.now.isoformat(timespec="seconds"),
        "verdict": worst,
        "status": STATUS[worst],
        "summary": in_words(findings),
        "findings": [
            {**asdict(finding), "what": shown_text(finding.what), "remedy": shown_text(finding.remedy)}
            for finding in findings
        ],
        "facts": _facts(facts),
    }


def to_json(facts: Facts, findings: Sequence[Finding]) -> str:
    """The text of `as_json`."""
    return json.dumps(as_json(facts, findings), indent=2, ensure_ascii=True) + "\n"


def _facts(facts: Facts) -> dict[str, Any]:
    config = facts.settings.config
    settings = None if config is None else shown_settings(yaml.safe_load(to_yaml(config)))
    others = {name: getattr(facts, name) for name in vars(facts) if name not in ("now", "settings")}
    return {
        "settings": {"path": _value(facts.settings.path), "values": settings},
        **{name: _value(asdict_or_none(value)) for name, value in others.items()},
    }


def asdict_or_none(value: Any) -> Any:
    """A dataclass, or a tuple of them, as dictionaries."""
    if isinstance(value, tuple):
        return [asdict(item) for item in value]
    return None if value is None else asdict(value)


def _value(value: Any) -> Any:
    """A value as JSON has it."""
    if isinstance(value, dict):
        return {str(key): _value(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_value(item) for item in value]
    if isinstance(value, Path):
        return str(value)
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, timedelta):
        return value.total_seconds()
    return shown_text(value) if isinstance(value, str) else value
