"""The package's btests, each run by Zeek's own tool."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from conftest import find_zeek

BTESTS = Path(__file__).resolve().parents[1] / "zeek"
TESTS = sorted(str(path.relative_to(BTESTS)) for path in BTESTS.glob("[a-z]*/*.zeek") if path.parent.name != "support")

pytestmark = [pytest.mark.zeek, pytest.mark.timeout(300)]


@pytest.mark.parametrize("name", TESTS)
def test_btest(zeek, name):
    """What the test's @TEST-DOC says."""
    btest = find_zeek("btest")
    if btest is None:
        pytest.skip("no btest on PATH or in /opt/zeek/bin")
    here = Path(os.sys.executable).parent  # where `portkin` is
    ran = subprocess.run(
        [btest, "-c", "btest.cfg", "-d", name],
        cwd=BTESTS,
        env={**os.environ, "PATH": f"{here}:{Path(zeek).parent}:{os.environ['PATH']}"},
        capture_output=True,
        text=True,
        stdin=subprocess.DEVNULL,
    )
    assert 0 == ran.returncode, ran.stdout + ran.stderr
