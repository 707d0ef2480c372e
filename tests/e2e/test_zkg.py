"""The package as Zeek's package manager installs it."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
CAPTURE = ROOT / "tests" / "captures" / "ipv6.pcap"

pytestmark = pytest.mark.zeek


@pytest.fixture
def installed(zeek: str, tmp_path: Path) -> dict[str, str]:
    """The environment of a Zeek that has the package from zkg, in folders of its own."""
    zkg = Path(os.sys.executable).parent / "zkg"
    if not zkg.exists():
        pytest.skip("no zkg in the environment of the tests")
    package = tmp_path / "portkin"
    shutil.copytree(ROOT / "zeek-scripts", package / "zeek-scripts")
    shutil.copy(ROOT / "zkg.meta", package)
    git = ["git", "-C", package, "-c", "user.name=tests", "-c", "user.email=tests@localhost"]
    for command in (["init", "-q", "-b", "main"], ["add", "-A"], ["commit", "-q", "-m", "package"]):
        subprocess.run([*git, *command], check=True)
    folders = "".join(f"{name}_dir = {tmp_path / name}\n" for name in ("state", "script", "plugin", "bin"))
    settings = tmp_path / "zkg.conf"
    settings.write_text(f"[paths]\n{folders}zeek_dist =\n[sources]\n[templates]\n")
    env = {**os.environ, "PATH": f"{Path(zeek).parent}:{os.environ['PATH']}"}
    command = [zkg, "--configfile", settings, "install", "--force", "--skiptests", package]
    ran = subprocess.run(command, env=env, capture_output=True, text=True, stdin=subprocess.DEVNULL)
    assert 0 == ran.returncode, ran.stdout + ran.stderr
    config = Path(zeek).parent / "zeek-config"
    paths = subprocess.run([config, "--zeekpath"], capture_output=True, text=True, check=True).stdout
    return {**env, "ZEEKPATH": f"{paths.strip()}:{tmp_path / 'script'}"}


def test_zkg_installs_what_zeek_loads(zeek, installed, tmp_path):
    """`zkg install` needs nothing but the repository, and `@load packages` brings the detector."""
    run = tmp_path / "run"
    run.mkdir()
    ran = subprocess.run(
        [zeek, "-C", "-r", CAPTURE, "packages"], cwd=run, env=installed, capture_output=True, text=True
    )
    assert 0 == ran.returncode, ran.stderr
    assert "2001:db8::66" in (run / "portkin.log").read_text()


@pytest.mark.parametrize("load", ["portkin", "portkin/websocket", "portkin/broker"])
def test_every_load_is_found_by_its_name(zeek, installed, load):
    """The loads that the README names."""
    ran = subprocess.run([zeek, "--parse-only", load], env=installed, capture_output=True, text=True)
    assert (0, "") == (ran.returncode, ran.stderr)
