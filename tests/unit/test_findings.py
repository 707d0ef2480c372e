"""Findings keep to the form that their page states."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

FINDINGS = Path(__file__).parents[2] / "findings"
SCRIPTS = sorted(FINDINGS.glob("*.sh"))


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.stem)
def test_a_finding_states_what_its_form_asks_for(script):
    """The tool with its version and the behaviour in the first line, what was seen, and what it needs; it stops at
    errors, is listed on the page, and never runs portkin."""
    text = script.read_text(encoding="utf-8")
    shell, first, *_ = text.splitlines()
    header = "".join(line for line in text.splitlines(keepends=True) if line.startswith("#"))
    listed = (FINDINGS / "README.md").read_text(encoding="utf-8")
    assert "#!/bin/bash" == shell
    assert re.match(r"# [\w. -]+ \d+(\.\d+)+( and later)?: \S", f"{first}."), first
    assert ("# Seen" in header, "# Needs: " in header) == (True, True)
    assert ("set -euo pipefail" in text, "portkin" in text) == (True, False)
    assert f"]({script.name})" in listed
