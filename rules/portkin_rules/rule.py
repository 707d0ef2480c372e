"""Rules as values: made from options, read from files, compared without their bookkeeping.

The parser and printer is suricataparser (Apache-2.0): its `Rule` holds an action, a header and named options.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from datetime import date
from pathlib import Path

from suricataparser import parse_rules
from suricataparser.exceptions import RuleParseException
from suricataparser.rule import Metadata, Option, Rule

from portkin.errors import RulesError

BOOKKEEPING = ("created_at", "updated_at", "portkin_table")
"""Metadata that says when and from which table a rule is; a rule that differs in nothing else has not changed."""

LONGEST = 8191
"""Bytes of a rule at most: DETECT_MAX_RULE_SIZE - 1 of Suricata 7 and 8 (src/detect.h)."""

_SPECIAL = re.compile(r'([;:"\\])')


def make(
    action: str,
    header: str,
    options: Iterable[tuple[str, str | None]],
    *,
    msg: str,
    sid: int,
    metadata: Mapping[str, object],
    noalert: bool = False,
) -> Rule:
    """A rule with revision 1, whose message is ``msg``, escaped where it must be.

    Raises RulesError for one longer than Suricata reads.
    """
    escaped = _SPECIAL.sub(r"\\\1", msg)
    books = Metadata([f"{key} {value}" for key, value in metadata.items()])
    parts = [
        Option("msg", f'"{escaped}"'),
        *(Option(name, value) for name, value in options),
        *([Option("noalert")] if noalert else []),
        Option("metadata", books),
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
    """What makes a rule the rule it is: all but its revision and bookkeeping."""
    options = []
    for option in rule.options:
        if option.name == Option.METADATA:
            kept = [item for item in option.value.data if item.split(" ", 1)[0] not in BOOKKEEPING]
            options.append((option.name, ", ".join(kept)))
        elif option.name != Option.REV:
            options.append((option.name, option.value))
    return (rule.enabled, rule.action, rule.header, tuple(options))


def revised(new: Rule, old: Rule | None, today: date) -> Rule:
    """The rule to write where ``old`` was there before: ``old`` itself unless the content changed."""
    if old is None:
        return new
    if content(new) == content(old):
        return old
    created = [item for item in old.metadata if item.startswith("created_at ")]
    options = []
    for option in new.options:
        if option.name == Option.METADATA:
            kept = [item for item in option.value.data if not item.startswith("created_at ")]
            since = created or [f"created_at {day(today)}"]
            options.append(Option(option.name, Metadata([*since, f"updated_at {day(today)}", *kept])))
        elif option.name == Option.REV:
            options.append(Option(option.name, str((old.rev or 0) + 1)))
        else:
            options.append(option)
    return Rule(new.enabled, new.action, new.header, options)


def day(when: date) -> str:
    """A date as rule metadata writes it, ``2026_11_21``."""
    return when.strftime("%Y_%m_%d")


def read_rules(path: Path) -> list[Rule]:
    """All rules of a file, disabled ones too. RulesError for a file that cannot be read."""
    try:
        return parse_rules(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise RulesError(f"{path}: cannot be read ({reason(error)}); name a file of Suricata rules") from None
    except (RuleParseException, ValueError, IndexError) as error:
        raise RulesError(f"{path}: holds a rule that cannot be parsed ({error or 'bad options'}); mend it") from None


def reason(error: Exception) -> str:
    """Why a file cannot be read, for a message that names it."""
    return error.strerror or str(error) if isinstance(error, OSError) else str(error)
