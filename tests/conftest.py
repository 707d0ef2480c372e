"""What many tests share: where the recordings and the real peers are, and why a test is skipped without them."""

from __future__ import annotations

import os
import shutil
import time
from collections import Counter
from pathlib import Path

import pytest

# Far from UTC, and not by whole hours: what goes by the machine's time zone where it should not is seen.
os.environ.setdefault("TZ", "Asia/Kolkata")
time.tzset()

ROOT = Path(__file__).resolve().parent.parent
SHARED = ROOT.parent / "shared" / "data"


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of shared recordings beside the checkout."""
    if not SHARED.is_dir():
        pytest.skip(f"the shared recordings are not here ({SHARED})")
    return SHARED


def find_zeek(name: str = "zeek") -> str | None:
    """The path of one of Zeek's programs, from PATH or /opt/zeek/bin; None where there is none."""
    return shutil.which(name) or shutil.which(name, path="/opt/zeek/bin")


@pytest.fixture(scope="session")
def zeek() -> str:
    """The path of a real Zeek."""
    path = find_zeek()
    if path is None:
        pytest.skip("no zeek on PATH or in /opt/zeek/bin")
    return path


@pytest.fixture(scope="session")
def suricata() -> str:
    """The path of a real Suricata."""
    path = shutil.which("suricata")
    if path is None:
        pytest.skip("no suricata on PATH")
    return path


@pytest.fixture(scope="session")
def root() -> None:
    """Skips unless the tests run as root."""
    if os.geteuid() != 0:
        pytest.skip("needs root (network namespaces, nftables)")


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """How many tests were skipped, and why, in few lines."""
    reasons = Counter(
        str(report.longrepr[2]).removeprefix("Skipped: ") for report in terminalreporter.getreports("skipped")
    )
    if reasons:
        terminalreporter.section(f"{reasons.total()} skipped")
        for reason, times in reasons.most_common():
            terminalreporter.line(f"{times:4d}  {reason}")
