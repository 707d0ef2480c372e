"""Where the Zeek scripts of the package are found, whatever installed them."""

from __future__ import annotations

from pathlib import Path

import pytest

from portkin.errors import InputError
from portkin.zeek import scripts
from portkin.zeek.scripts import LOAD, find_scripts


@pytest.fixture
def nothing(tmp_path, monkeypatch) -> Path:
    """A folder in which nothing is installed, by nobody."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("ZEEKPATH", raising=False)
    monkeypatch.setattr(scripts, "source_folder", lambda: None)
    monkeypatch.setattr(scripts, "DEBIAN", tmp_path / "debian")
    monkeypatch.setattr(scripts, "zeek_program", lambda name: None)
    return tmp_path


def installed(folder: Path) -> Path:
    folder.mkdir(parents=True)
    (folder / LOAD).touch()
    return folder


def zeek_with_path(folder: Path, searched: Path) -> str:
    """A Zeek whose ``zeek-config`` names a folder."""
    folder.mkdir()
    config = folder / "zeek-config"
    config.write_text(f"#!/bin/sh\n[ $1 = --zeekpath ] && echo .:{searched}\n")
    config.chmod(0o755)
    return str(folder / "zeek")


def test_scripts_of_the_folder_of_the_source_and_of_debian(nothing, monkeypatch):
    """The current folder comes first, then what portkin was installed from, then the Debian package."""
    debian = installed(nothing / "debian")
    assert debian == find_scripts("zeek")
    monkeypatch.setattr(scripts, "source_folder", lambda: nothing / "source")
    source = installed(nothing / "source" / "zeek-scripts")
    assert source == find_scripts("zeek")
    installed(nothing / "zeek-scripts")
    assert Path("zeek-scripts") == find_scripts("zeek")


def test_scripts_that_zkg_installed(nothing, monkeypatch):
    """zkg's are found where the chosen Zeek looks for them, or where ZEEKPATH says."""
    site = installed(nothing / "site" / "packages" / "portkin")
    assert site == find_scripts(zeek_with_path(nothing / "bin", nothing / "site"))
    named = installed(nothing / "named" / "portkin")
    monkeypatch.setenv("ZEEKPATH", f".:{nothing / 'named'}")
    assert named == find_scripts(str(nothing / "bin" / "zeek"))


def test_no_scripts_at_all(nothing):
    """Where there are none, it is said where they were looked for, and what to do."""
    (nothing / "zeek-scripts").mkdir()  # empty
    with pytest.raises(InputError, match=r"in zeek-scripts, .*/debian\); install them, by `zkg install`.* --scripts"):
        find_scripts("zeek")
