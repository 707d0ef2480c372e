"""The package's btests, each run by Zeek's own tool."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

BTESTS = Path(__file__).resolve().parents[1] / "zeek"
TESTS = sorted(str(path.relative_to(BTESTS)) for path in BTESTS.glob("[a-z]*/*.zeek") if path.parent.name != "support")

pytestmark = [pytest.mark.zeek, pytest.mark.timeout(400)]


@pytest.mark.parametrize("name", TESTS)
def test_btest(zeek, name, tmp_path):
    """What the test's @TEST-DOC says."""
    here = Path(sys.executable).parent  # where `portkin` is
    btest = shutil.which("btest", path=f"{Path(zeek).parent}:{here}")
    if btest is None:
        pytest.skip(f"no btest beside {zeek} or in the environment of the tests")
    ran = subprocess.run(
        [btest, "-c", "btest.cfg", "-s", f"scratch={tmp_path}", "-d", name],
        cwd=BTESTS,
        env={**os.environ, "PATH": f"{here}:{Path(zeek).parent}:{os.environ['PATH']}"},
        capture_output=True,
        text=True,
        stdin=subprocess.DEVNULL,
    )
    assert 0 == ran.returncode, ran.stdout + ran.stderr + _said(tmp_path)


def _said(scratch: Path) -> str:
    """What the sidecar and the nodes of a test that failed wrote last: btest shows standard error alone."""
    names = ("sidecar.log", "cluster.log", "reporter.log", "portkin.log", "portkin_block.log", "portkin_rates.log")
    logs = sorted(path for path in scratch.rglob("*.log") if path.name in names)
    return "".join(f"\n== {log.relative_to(scratch)}\n{log.read_text(errors='replace')[-2000:]}" for log in logs)
