"""Commands that have a Suricata check rules end with it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from support.processes import ended

PORTKIN = [sys.executable, "-m", "portkin.cli"]
RULE = 'alert tcp any any -> any any (msg:"PORTKIN x"; sid:1500000; rev:1;)\n'
SURICATA = """#!/bin/sh
case "$1" in -V) echo "This is Suricata version 8.0.8 RELEASE";; *) sleep 600;; esac
"""
"""A Suricata that takes its time, and has a process of its own, as suricata-update has one."""


def suricata_in(folder: Path) -> dict[str, str]:
    """The environment in which ``suricata`` is one that goes on for ten minutes."""
    folder.mkdir()
    (folder / "suricata").write_text(SURICATA)
    (folder / "suricata").chmod(0o755)
    return os.environ | {"PATH": f"{folder}:{os.environ['PATH']}"}


@pytest.mark.parametrize("command", ["build", "install"])
def test_suricata_ends_with_the_command(tmp_path, command):
    """`rules build --check` and `install` that are terminated leave no Suricata, nor what it has started, behind."""
    environment = suricata_in(tmp_path / "bin")
    output, given = tmp_path / "portkin.rules", tmp_path / "given.rules"
    given.write_text(RULE)
    to_folders = ["--folder", tmp_path / "rules", "--config", tmp_path / "update.yaml", "--merged", tmp_path / "none"]
    options = {"build": ["--ports", "22", "--check", "-o", output], "install": [given, *to_folders]}[command]
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    with subprocess.Popen([*PORTKIN, "rules", command, *options], env=environment, **quiet) as started:
        assert -signal.SIGTERM == ended(started, signal.SIGTERM)
    assert not output.exists()
    assert not (tmp_path / "rules").exists()
