"""The rules as a local source of suricata-update, which merges and tests them and applies drop.conf and disable.conf.

suricata-update reads the list ``local`` of its update.yaml. That file is the operator's: ruamel.yaml keeps its
comments and order, and one line is added. A remote source would be wrong here: suricata-update fetches Emerging
Threats Open only if no source is enabled.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Sequence
from io import StringIO
from pathlib import Path

from ruamel.yaml import YAML
from ruamel.yaml.comments import CommentedMap, CommentedSeq
from ruamel.yaml.error import YAMLError

from portkin.errors import RulesError
from portkin.files import replacing
from portkin_rules.rule import read_rules

FOLDER = Path("/var/lib/suricata/portkin")
UPDATE_YAML = Path("/etc/suricata/update.yaml")
MERGED = Path("/var/lib/suricata/rules/suricata.rules")


def install(
    rules: Path, *, folder: Path = FOLDER, config: Path = UPDATE_YAML, merged: Path = MERGED
) -> tuple[Path, bool]:
    """Copy a file of rules into ``folder`` and add it to the local sources in ``config``.

    Returns the path of the copy, and whether ``config`` was changed. Raises RulesError, and changes nothing, for a file
    without rules, for signature ids that other rules in ``merged`` (the last output of suricata-update) use, and for a
    ``config`` that suricata-update would not accept.
    """
    found = read_rules(rules)
    if not found:
        raise RulesError(f"{rules}: holds no rules; generate them with `portkin rules build`")
    _refuse_used_sids({rule.sid for rule in found}, merged)
    there = (folder / rules.name).resolve()
    text, added = with_local_source(config, there)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if there != rules.resolve():
            with replacing(there) as temporary:
                shutil.copyfile(rules, temporary)
        if added:
            target = config.resolve()  # a link stays a link; the file it names gets the line
            target.parent.mkdir(parents=True, exist_ok=True)
            with replacing(target) as temporary:
                temporary.write_text(text, encoding="utf-8")
                if target.exists():
                    shutil.copystat(target, temporary)
    except OSError as error:
        raise RulesError(f"{error.filename or folder}: cannot be written ({error.strerror}); are you root?") from None
    return there, added


def with_local_source(config: Path, rules: Path) -> tuple[str, bool]:
    """Return the text of update.yaml with the file among its local sources, and whether that is a change.

    Raises RulesError if update.yaml is not a mapping, or ``local`` is not a list.
    """
    yaml = YAML()
    yaml.preserve_quotes = True
    yaml.width = 4096
    try:
        before = config.read_text(encoding="utf-8") if config.exists() else ""
        settings = yaml.load(before) if before else None
    except (OSError, UnicodeDecodeError, YAMLError) as error:
        raise RulesError(f"{config}: cannot be read ({error}); correct it first") from None
    if settings is None:
        # An empty file, or only comments.
        lines = before if not before or before.endswith("\n") else before + "\n"
        return f"{lines}local:\n  - {rules}\n", True
    local = settings.get("local") if isinstance(settings, CommentedMap) else False
    if local is None:
        local = settings["local"] = CommentedSeq()
    if not isinstance(local, CommentedSeq):
        raise RulesError(f"{config}: 'local' is not a list of files, which suricata-update needs; correct it first")
    if str(rules) in local:
        return before, False
    local.append(str(rules))
    yaml.indent(mapping=2, sequence=4, offset=2)
    out = StringIO()
    yaml.dump(settings, out)
    return out.getvalue(), True


def run_update(config: Path, more: Sequence[str] = ()) -> None:
    """Run suricata-update with that update.yaml, without its own reload. Raises RulesError if it fails."""
    beside = Path(sys.executable).with_name("suricata-update")
    program = str(beside) if beside.exists() else shutil.which("suricata-update")
    if program is None:
        raise RulesError("no suricata-update on PATH; install it, or omit --reload and run it yourself")
    command = [program, "-c", str(config), "--no-reload", *more]
    run = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603
    if run.returncode:
        said = "\n  ".join((run.stderr or run.stdout).splitlines()[-5:])
        raise RulesError(f"suricata-update failed (status {run.returncode}):\n  {said}")


def _refuse_used_sids(sids: set[int], merged: Path) -> None:
    if not merged.exists():
        return
    for rule in read_rules(merged):
        if rule.sid in sids and not (rule.msg or "").startswith("PORTKIN "):
            raise RulesError(
                f"{merged}: sid {rule.sid} is used by {rule.msg!r}; build the rules with another --sid-base"
            )
