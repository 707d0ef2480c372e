"""Where Zeek finds the package without zkg: each way of docs/zeek.md, and the one that does not work."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from support.zeek_process import SCRIPTS

pytestmark = pytest.mark.zeek
OPT_IN = ("portkin/websocket", "portkin/block", "portkin/notice", "portkin/rates")


def parsed(zeek: str, folder: Path, text: str, *search: Path) -> tuple[int, str]:
    """Status and messages of a Zeek that parses a local.zeek with this text, and searches these folders too."""
    local = folder / "local.zeek"
    local.write_text(text)
    said = subprocess.run([Path(zeek).parent / "zeek-config", "--zeekpath"], capture_output=True, text=True, check=True)
    env = {**os.environ, "ZEEKPATH": ":".join([said.stdout.strip(), *map(str, search)])}
    ran = subprocess.run([zeek, "--parse-only", local], env=env, capture_output=True, text=True, cwd=folder)
    return ran.returncode, ran.stderr


@pytest.fixture
def linked(tmp_path: Path) -> Path:
    """A folder that Zeek searches, with a link named portkin."""
    site = tmp_path / "site"
    site.mkdir()
    (site / "portkin").symlink_to(SCRIPTS)
    return site


def test_a_link_named_portkin_in_a_searched_folder(zeek, tmp_path, linked):
    """In the site folder, or in any folder of ZEEKPATH: every load is found by its name."""
    text = "".join(f"@load {name}\n" for name in ("portkin", *OPT_IN))
    assert (0, "") == parsed(zeek, tmp_path, text, linked)


def test_whole_paths(zeek, tmp_path):
    """Without any link, by the whole path of each script, with its suffix; the folder itself is `portkin`."""
    text = "".join(f"@load {SCRIPTS}{name.removeprefix('portkin')}.zeek\n" for name in OPT_IN)
    text = f"@load {SCRIPTS}\n{text}"
    assert (0, "") == parsed(zeek, tmp_path, text)


def test_paths_and_names_may_be_mixed(zeek, tmp_path, linked):
    """Zeek knows a script by its file, not by its name: nothing is loaded twice."""
    assert (0, "") == parsed(zeek, tmp_path, f"@load {SCRIPTS}\n@load portkin/websocket\n", linked)


def test_a_name_without_a_link_is_fatal(zeek, tmp_path):
    """Loading the folder by its path makes no name known: Zeek ends, and names the load that it cannot find."""
    status, said = parsed(zeek, tmp_path, f"@load {SCRIPTS}\n@load portkin/websocket\n")
    assert (1, True) == (status, "can't find portkin/websocket" in said)
