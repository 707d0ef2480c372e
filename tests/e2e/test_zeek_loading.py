"""Where Zeek finds the package without zkg: each way of docs/zeek.md, and the one that does not work."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from support.zeek_process import SCRIPTS

pytestmark = pytest.mark.zeek
OPT_IN = ("portkin/websocket", "portkin/block", "portkin/notice", "portkin/rates")


def run(zeek: str, folder: Path, text: str, *search: Path, flags: tuple[str, ...] = ()) -> subprocess.CompletedProcess:
    """Zeek with a local.zeek of this text that searches these folders too and, as zeekctl's checks, does not listen."""
    local = folder / "local.zeek"
    local.write_text(text)
    said = subprocess.run([Path(zeek).parent / "zeek-config", "--zeekpath"], capture_output=True, text=True, check=True)
    path = ":".join([said.stdout.strip(), *map(str, search)])
    env = {**os.environ, "ZEEKPATH": path, "ZEEKCTL_DISABLE_LISTEN": "1"}
    return subprocess.run([zeek, *flags, local], env=env, capture_output=True, text=True, cwd=folder)


def parsed(zeek: str, folder: Path, text: str, *search: Path) -> tuple[int, str]:
    """Status and messages of a Zeek that only parses a local.zeek with this text."""
    ran = run(zeek, folder, text, *search, flags=("--parse-only",))
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


@pytest.mark.parametrize("before", ["", "@load frameworks/cluster/backend/zeromq\n"])
def test_log_lines_go_to_a_logger_only_where_there_may_be_one(zeek, tmp_path, linked, before):
    """Where portkin loads the cluster backend there is no logger, and nothing is serialized for one; where somebody
    else did, and on 8.0, which has Broker, remote logging stays as it is."""
    text = "event zeek_init() { print cat(Cluster::backend), Log::enable_remote_logging; terminate(); }\n"
    (tmp_path / "own").mkdir()
    without, having = (
        run(zeek, folder, f"{before}{load}{text}", linked).stdout.strip().split(", ")
        for folder, load in ((tmp_path / "own", ""), (tmp_path, "@load portkin/websocket\n"))
    )
    ours = without[0] == "Cluster::CLUSTER_BACKEND_NONE"
    assert ["Cluster::CLUSTER_BACKEND_ZEROMQ" if ours else without[0], "F" if ours else "T"] == having
    assert "T" == without[1]
