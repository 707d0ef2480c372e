"""What many tests share: where the recordings and the real peers are, and why a test is skipped without them."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import subprocess
import time
from collections import Counter
from pathlib import Path

import pytest

from support.netns import leave_machine

# Far from UTC, and not by whole hours: what goes by the machine's time zone where it should not is seen.
os.environ.setdefault("TZ", "Asia/Kolkata")
time.tzset()


if "PYTEST_XDIST_WORKER" in os.environ:
    # The workers share the processors; a library's threads in each of them would only wait for each other.
    os.environ.setdefault("OMP_NUM_THREADS", "1")


def pytest_configure(config: pytest.Config) -> None:
    """As root, tests have a network of their own: they share no port, device or nftables table with anybody.

    So tests can run beside each other (each worker of pytest-xdist has its own), and beside a Zeek that is in use.
    """
    only_distributes = not hasattr(config, "workerinput") and config.getoption("numprocesses", None)
    if os.geteuid() == 0 and not only_distributes:
        with contextlib.suppress(OSError):  # a container may forbid it; the tests that need it say so
            leave_machine()


ROOT = Path(__file__).resolve().parent.parent
SHARED = ROOT.parent / "shared" / "data"


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of shared recordings beside the checkout."""
    if not SHARED.is_dir():
        pytest.skip(f"the shared recordings are not here ({SHARED})")
    return SHARED


ZEEK_PREFIXES = "/opt/zeek*", "/usr/local/zeek*"
"""Where Zeek's packages and builds install it, beside the prefixes that ``PORTKIN_ZEEKS=prefix:prefix`` names."""


def installed(program: str, flag: str, least: int, variable: str, usual: tuple[str, ...]) -> dict[str, str]:
    """Every ``program`` from version ``least`` on: on PATH, at the prefixes in ``variable`` and at usual ones."""
    prefixes = [Path(name) for name in os.environ.get(variable, "").split(":") if name]
    prefixes += [path for pattern in usual for path in sorted(Path("/").glob(pattern.lstrip("/")))]
    found: dict[str, str] = {}
    for path in (shutil.which(program), *(prefix / "bin" / program for prefix in prefixes)):
        if path is not None and os.access(path, os.X_OK):
            said = subprocess.run([path, flag], capture_output=True, text=True).stdout
            version = re.search(r"version (\d+)\.(\S+)", said)
            if version is not None and int(version[1]) >= least:
                found.setdefault(f"{version[1]}.{version[2]}", str(path))
    return found


ZEEKS = installed("zeek", "--version", 8, "PORTKIN_ZEEKS", ZEEK_PREFIXES)
NO_ZEEK = f"no Zeek from 8.0 on: none on PATH, in PORTKIN_ZEEKS, or at {' or '.join(ZEEK_PREFIXES)}"


@pytest.fixture(scope="session", params=list(ZEEKS.values()) or [None], ids=[f"zeek-{v}" for v in ZEEKS] or ["no-zeek"])
def zeek(request: pytest.FixtureRequest) -> str:
    """The path of a real Zeek: a test that asks for it runs once with each that is found."""
    if request.param is None:
        pytest.skip(NO_ZEEK)
    return request.param


SURICATA_PREFIXES = "/opt/suricata*", "/usr/local"
"""Where builds of Suricata are installed, beside the prefixes that ``PORTKIN_SURICATAS=prefix:prefix`` names."""
SURICATAS = installed("suricata", "-V", 7, "PORTKIN_SURICATAS", SURICATA_PREFIXES)


@pytest.fixture(
    scope="session",
    params=list(SURICATAS.values()) or [None],
    ids=[f"suricata-{v}" for v in SURICATAS] or ["no-suricata"],
)
def suricata(request: pytest.FixtureRequest) -> str:
    """The path of a real Suricata: a test that asks for it runs once with each that is found."""
    if request.param is None:
        pytest.skip("no suricata from 7.0 on: none on PATH, in PORTKIN_SURICATAS, or at a usual prefix")
    return request.param


@pytest.fixture(scope="session")
def root() -> None:
    """Skips unless the tests run as root."""
    if os.geteuid() != 0:
        pytest.skip("needs root (network namespaces, nftables)")


EXPECTED_SKIPS = (
    NO_ZEEK,
    "the shared recordings are not here",
    "the broker transport needs the Python bindings",
    "this Zeek has no zeek-systemd-generator",
)
"""How the reasons begin for which a test may be skipped where all must run (``CI`` is set)."""


def skip_reasons(reporter: pytest.TerminalReporter) -> Counter[str]:
    """How often each reason was given for a skip."""
    return Counter(str(report.longrepr[2]).removeprefix("Skipped: ") for report in reporter.getreports("skipped"))


def pytest_make_parametrize_id(config: pytest.Config, val: object, argname: str) -> str | None:
    """Bytes of a file name no test: gzip's hold the second in which they were made, and each worker of pytest-xdist
    makes its own, so that the workers would collect tests of other names."""
    return argname if isinstance(val, bytes) and len(val) > 16 else None


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """How many tests were skipped, and why, in few lines."""
    reasons = skip_reasons(terminalreporter)
    if reasons:
        terminalreporter.section(f"{reasons.total()} skipped")
        for reason, times in reasons.most_common():
            terminalreporter.line(f"{times:4d}  {reason}")


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session: pytest.Session) -> None:
    """A skip that nobody expected fails a run in CI: what it would have tested is not tested."""
    reporter = session.config.pluginmanager.get_plugin("terminalreporter")
    if not os.environ.get("CI") or reporter is None:
        return
    for reason in skip_reasons(reporter):
        if not reason.startswith(EXPECTED_SKIPS):
            reporter.write_line(f"a skip that is not expected here: {reason}", red=True)
            session.exitstatus = pytest.ExitCode.TESTS_FAILED
