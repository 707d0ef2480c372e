"""Fetches uPlot from npm when portkin is built, so that installing the wheel needs no npm.

Where npm is missing or cannot reach its registry, portkin is built without: the page then says how to get its chart.
"""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

FILES = ("uPlot.esm.js", "uPlot.min.css")
PACKAGE = Path("sidecar/portkin/web/npm")
VENDOR = Path("sidecar/portkin/web/static/vendor")
PATIENCE = 120.0
"""Seconds that npm may take."""


class ChartsHook(BuildHookInterface[Any]):
    """The build hook of wheels, editable ones included."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Fetch, and have the files in the wheel though git ignores them."""
        if self.target_name != "wheel":
            return
        root = Path(self.root)
        problem = fetch(root)
        if problem:
            self.app.display_warning(f"the page is built without its chart: {problem}")
        build_data["artifacts"].append(f"{VENDOR.as_posix()}/*")


def fetch(root: Path) -> str:
    """Put uPlot's files into the tree at ``root``; what went wrong, empty for nothing.

    npm checks them against the hashes in package-lock.json, runs no scripts of theirs, and uses the registry that it is
    configured with.
    """
    vendor = root / VENDOR
    if all((vendor / name).is_file() for name in FILES):
        return ""
    npm = shutil.which("npm")
    if npm is None:
        return "npm is not installed"
    with tempfile.TemporaryDirectory() as folder:
        for name in ("package.json", "package-lock.json"):
            shutil.copy(root / PACKAGE / name, folder)
        command = [npm, "ci", "--ignore-scripts", "--no-audit", "--no-fund"]
        try:
            ran = subprocess.run(  # noqa: S603
                command, cwd=folder, capture_output=True, text=True, timeout=PATIENCE, check=False
            )
        except (OSError, subprocess.TimeoutExpired) as error:
            return str(error)
        package = Path(folder) / "node_modules" / "uplot"
        if ran.returncode:
            return (ran.stderr.strip() or f"npm ended with {ran.returncode}").splitlines()[-1]
        vendor.mkdir(parents=True, exist_ok=True)
        for name in FILES:
            shutil.copy(package / "dist" / name, vendor / name)
        shutil.copy(package / "LICENSE", vendor / "uPlot-LICENSE.txt")
    return ""
