"""What the extra `offline` brings is enough for all that fits no models of rates."""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]
CAPTURE = ROOT / "tests" / "captures" / "scans.pcap"
MODULE_OF = {"scikit-learn": "sklearn"}
"""Where a package and its module differ in name."""
WITHOUT = "import sys; sys.modules.update(dict.fromkeys({names!r}))\n"
"""Makes an import of these modules fail as if they were not installed."""


def names(extra: str) -> set[str]:
    """The modules of what an extra itself lists."""
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    packages = {re.split(r"[\[<>=]", line)[0] for line in extras[extra]} - {"portkin"}
    return {MODULE_OF.get(package, package).replace("-", "_") for package in packages}


def run(code: str) -> None:
    lacking = names("training") - names("offline")
    assert {"torch", "sklearn", "lightgbm"} <= lacking
    ran = subprocess.run(
        [sys.executable, "-c", WITHOUT.format(names=sorted(lacking)) + code],
        capture_output=True,
        text=True,
        timeout=200,
    )
    assert 0 == ran.returncode, ran.stdout[-2000:] + ran.stderr[-2000:]


def test_every_module_but_those_of_rates_loads():
    """Each module of the package, without what the extra `training` brings beside."""
    run(
        "import importlib, pkgutil, portkin_training as top\n"
        "for found in pkgutil.walk_packages(top.__path__, top.__name__ + '.', onerror=print):\n"
        "    if 'rates' not in found.name:\n"
        "        importlib.import_module(found.name)\n"
    )


def test_the_demo_runs():
    """The first command of the README's demo, from its arguments to its last line."""
    run(
        "from portkin.cli import main\n"
        f"sys.argv = ['portkin', 'replay', {str(CAPTURE)!r}, '--detector', 'zeek', '--decisions']\n"
        "main()\n"
    )
