"""A file of rules: what stands above them, what was there before, how it is written."""

from __future__ import annotations

import shlex
from collections.abc import Container, Iterable, Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path

from suricataparser.rule import Rule

from portkin import __version__
from portkin.errors import RulesError
from portkin.files import replacing
from portkin_rules.rule import read_rules, reason, revised

MARK = "# Made by portkin"
"""How a file begins that may be replaced."""


@dataclass(frozen=True)
class Written:
    """What writing a file of rules came to."""

    rules: int
    new: int
    changed: int
    gone: int


def previous(path: Path) -> dict[int, Rule]:
    """The rules that the file at ``path`` holds by sid; none where there is no file.

    RulesError for a file that is not of our making.
    """
    if not path.exists():
        return {}
    if path.is_dir():
        raise RulesError(f"{path}: is a folder; name a file in it with -o")
    try:
        with path.open(encoding="utf-8") as opened:
            first = opened.readline()
    except (OSError, UnicodeDecodeError) as error:
        raise RulesError(f"{path}: cannot be read ({reason(error)}); name another file with -o") from None
    if not first.startswith(MARK):
        raise RulesError(f"{path}: exists and was not made by portkin, so it is not replaced; name another file")
    return {rule.sid: rule for rule in read_rules(path)}


def refuse_foreign_map(path: Path, ours: Container[int]) -> None:
    """RulesError where the sid-msg.map at ``path`` says anything of ids that are not ours: it would be lost."""
    if not path.exists():
        return
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise RulesError(f"{path}: cannot be read ({reason(error)}); write the rules into another folder") from None
    for number, line in enumerate(lines, start=1):
        sid = line.partition("||")[0].strip()
        if line.strip() and not (sid.isascii() and sid.isdigit() and int(sid) in ours):
            raise RulesError(
                f"{path}:{number}: {line[:80]!r} is not of our rules, so the file is not replaced; "
                "write them into another folder with -o"
            )


def merged(rules: Iterable[Rule], before: dict[int, Rule], today: date) -> tuple[list[Rule], Written]:
    """The rules with their revisions, and how they differ from those before."""
    now = [revised(rule, before.get(rule.sid), today) for rule in rules]
    sids = {rule.sid for rule in now}
    changed = sum(rule.sid in before and rule is not before[rule.sid] for rule in now)
    fresh = sum(rule.sid not in before for rule in now)
    return now, Written(len(now), fresh, changed, len(before.keys() - sids))


def header(about: Sequence[str], command: Sequence[str]) -> str:
    """The comment above the rules: by whom, of what, and the command that makes them again."""
    lines = [f"{MARK} {__version__} for Suricata 7 and later.", *(f"# {line}" for line in about)]
    return "\n".join([*lines, f"# Made again by: {shlex.join(command)}", ""])


def write_rules(path: Path, head: str, rules: Iterable[Rule]) -> None:
    """Write the file of rules whole or not at all. RulesError where it cannot be written."""
    _write(path, head + "".join(f"{rule}\n" for rule in rules))


def write_sid_msg_map(path: Path, rules: Iterable[Rule]) -> None:
    """Write the messages by sid, as barnyard2 and suricata-update write them: ``1500443 || message``."""
    _write(path, "".join(f"{rule.sid} || {rule.msg}\n" for rule in sorted(rules, key=lambda rule: rule.sid)))


def _write(path: Path, text: str) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with replacing(path) as aside:
            aside.write_text(text, encoding="utf-8")
    except OSError as error:
        raise RulesError(
            f"{path}: cannot be written ({error.strerror}); nothing was changed there, name another place with -o"
        ) from None
