"""Rules as values: created from options, read from files, compared without their revision and dates.

The parser and printer is suricataparser (Apache-2.0): its `Rule` holds an action, a header and named options.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from datetime import date
from pathlib import Path
from typing import cast

from suricataparser import parse_rules
from suricataparser.exceptions import RuleParseException
from suricataparser.rule import Metadata, Option, Rule

from portkin.errors import RulesError

PROVENANCE = ("created_at", "updated_at", "portkin_table")
"""Metadata about when and from which table a rule was built; rules that differ in nothing else are equal."""

LONGEST = 8191
"""Bytes of a rule at most: DETECT_MAX_RULE_SIZE - 1 of Suricata 7 and 8 (src/detect.h)."""

_SPECIAL = re.compile(r'([;:"\\])')


def new_rule(
    action: str,
    header: str,
    options: Iterable[tuple[str, str | None]],
    *,
    msg: str,
    sid: int,
    metadata: Mapping[str, object],
    noalert: bool = False,
) -> Rule:
    """Return a rule with revision 1. The message is escaped where Suricata's syntax needs it.

    Raises RulesError for a rule longer than Suricata reads.
    """
    escaped = _SPECIAL.sub(r"\\\1", msg)
    parts = [
        Option("msg", f'"{escaped}"'),
        *(Option(name, value) for name, value in options),
        *([Option("noalert")] if noalert else []),
        Option("metadata", Metadata([f"{key} {value}" for key, value in metadata.items()])),
        Option("sid", str(sid)),
        Option("rev", "1"),
    ]
    rule = Rule(True, action, header, parts)
    if len(str(rule).encode()) > LONGEST:
        raise RulesError(
            f"rule {sid} ({msg}) is longer than the {LONGEST} bytes that Suricata reads; choose a smaller K"
        )
    return rule


def content(rule: Rule) -> tuple[object, ...]:
    """Return what identifies a rule: everything but its revision and provenance."""
    options = []
    for option in rule.options:
        if option.name == Option.METADATA:
            kept = [item for item in option.value.data if item.split(" ", 1)[0] not in PROVENANCE]
            options.append((option.name, ", ".join(kept)))
        elif option.name != Option.REV:
            options.append((option.name, option.value))
    return (rule.enabled, rule.action, rule.header, tuple(options))


def revised(new: Rule, old: Rule | None, today: date) -> Rule:
    """Return the rule to write in place of ``old``: ``old`` itself unless the content changed."""
    if old is None:
        return new
    if content(new) == content(old):
        return old
    created = [item for item in old.metadata if item.startswith("created_at ")]
    options = []
    for option in new.options:
        if option.name == Option.METADATA:
            kept = [item for item in option.value.data if not item.startswith("created_at ")]
            since = created or [f"created_at {metadata_date(today)}"]
            options.append(Option(option.name, Metadata([*since, f"updated_at {metadata_date(today)}", *kept])))
        elif option.name == Option.REV:
            options.append(Option(option.name, str((old.rev or 0) + 1)))
        else:
            options.append(option)
    return Rule(new.enabled, new.action, new.header, options)


def metadata_date(when: date) -> str:
    """Return a date as rule metadata writes it, ``2026_11_21``."""
    return when.strftime("%Y_%m_%d")


def read_rules(path: Path) -> list[Rule]:
    """Return all rules of a file, including disabled ones.

    Raises RulesError for a file that cannot be read, or holds a rule that cannot be parsed.
    """
    try:
        return cast(list[Rule], parse_rules(path.read_text(encoding="utf-8")))
    except (OSError, UnicodeDecodeError) as error:
        raise RulesError(f"{path}: cannot be read ({reason(error)}); name a file of Suricata rules") from None
    except (RuleParseException, ValueError, IndexError, KeyError, TypeError, AttributeError) as error:
        raise RulesError(f"{path}: holds a rule that cannot be parsed ({error or 'bad options'}); correct it") from None


def reason(error: Exception) -> str:
    """Return why a file cannot be read, for a message that names the file."""
    return error.strerror or str(error) if isinstance(error, OSError) else str(error)
