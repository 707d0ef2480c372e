"""How an extra is added where portkin was installed from, and which extra brings a module."""

from __future__ import annotations

import json
import shlex
import sys

import pytest

import portkin.installation as installation
from portkin.installation import command_to_add, extra_of, requirements

METADATA = """Metadata-Version: 2.4
Name: portkin
Version: 0.1.0
Requires-Dist: click>=8.1
Provides-Extra: offline
Requires-Dist: duckdb>=1.1; extra == 'offline'
Requires-Dist: ibis-framework[duckdb]>=10.0; extra == 'offline'
Provides-Extra: training
Requires-Dist: portkin[offline]; extra == 'training'
Requires-Dist: torch==2.13.0; extra == 'training'
"""


@pytest.fixture
def installed(tmp_path, monkeypatch):
    """Puts a portkin first on the path whose metadata record this origin (PEP 610)."""

    def install(origin: dict | None) -> None:
        folder = tmp_path / "site" / "portkin-0.1.0.dist-info"
        folder.mkdir(parents=True)
        (folder / "METADATA").write_text(METADATA)
        if origin is not None:
            (folder / "direct_url.json").write_text(json.dumps(origin))
        monkeypatch.syspath_prepend(str(tmp_path / "site"))

    return install


def command(extra: str = "offline") -> list[str]:
    words = shlex.split(command_to_add(extra))
    assert [sys.executable, "-m", "pip", "install"] == words[:4]
    return words[4:]


def test_from_a_folder(installed, tmp_path):
    """A clone, also one with a space in its name; editable stays editable."""
    clone = tmp_path / "my clone"
    clone.mkdir()
    installed({"url": clone.as_uri(), "dir_info": {"editable": True}})
    assert ["-e", f"{clone}[offline]"] == command()


def test_from_a_wheel(installed, tmp_path):
    """The wheel itself, while it is there."""
    wheel = tmp_path / "portkin-0.1.0-py3-none-any.whl"
    wheel.touch()
    installed({"url": wheel.as_uri(), "archive_info": {}})
    assert [f"{wheel}[offline]"] == command()


@pytest.mark.parametrize("origin", [None, {"url": "file:///gone/portkin.whl", "archive_info": {}}])
def test_from_what_is_gone(installed, origin):
    """What the extra consists of, without its marker; never a portkin from an index."""
    installed(origin)
    assert ["duckdb>=1.1", "ibis-framework[duckdb]>=10.0"] == command()
    assert ["torch==2.13.0", "duckdb>=1.1", "ibis-framework[duckdb]>=10.0"] == command("training")


def test_from_a_repository(installed):
    """The same commit of the same repository."""
    url = "https://git.example.org/portkin.git"
    installed({"url": url, "vcs_info": {"vcs": "git", "commit_id": "0a1b2c"}})
    assert [f"portkin[offline] @ git+{url}@0a1b2c"] == command()


@pytest.mark.parametrize("extra", [*installation.EXTRAS, installation.RUNTIME])
def test_no_extra_is_added_by_the_name_of_portkin_alone(extra):
    """Of the real metadata: portkin is named by where it lies, or not at all."""
    assert not [word for word in shlex.split(command_to_add(extra)) if word.startswith("portkin")]


@pytest.mark.parametrize(
    ("module", "extra"),
    [
        ("duckdb", "offline"),
        ("ibis.expr", "offline"),
        ("torch", "training"),
        ("ruamel.yaml", "rules"),
        ("llvmlite", "offline"),
        ("s3fs", "s3"),
        ("numpy", None),
        ("no_such_module", None),
    ],
)
def test_the_lightest_extra_that_brings_a_module(module, extra):
    """By the module's name, which is not always that of the distribution; None for the runtime's own."""
    assert extra == extra_of(module)


def test_an_extra_within_an_extra_is_part_of_it(installed):
    """`training` names `offline`."""
    installed(None)
    assert {"torch", "duckdb", "ibis-framework"} == {found.name for found in requirements("training")}
