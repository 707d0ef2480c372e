"""The unit with which systemd runs the sidecar; what its capabilities allow is tried where blocking is."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

UNIT = Path(__file__).resolve().parents[3] / "sidecar" / "portkin.service"


def test_systemd_finds_nothing_to_complain_of(tmp_path):
    """`systemd-analyze verify` is silent about the unit."""
    if shutil.which("systemd-analyze") is None:
        pytest.skip("no systemd-analyze on PATH")
    unit = tmp_path / UNIT.name
    unit.write_text(UNIT.read_text().replace("/usr/local/bin/portkin", "/bin/true"))
    checked = subprocess.run(["systemd-analyze", "verify", unit], capture_output=True, text=True, check=False)
    assert (0, "") == (checked.returncode, checked.stdout + checked.stderr)
