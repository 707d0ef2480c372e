"""What is installed: a light runtime by itself, and a word about extras instead of tracebacks."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import venv
import zipfile
from pathlib import Path

import pytest

from support.netns import machine_network

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = {"portkin", "portkin_training", "portkin_rules"}
HEAVY = ("torch", "networkx", "scipy", "sklearn", "numba", "pyarrow", "duckdb", "ibis", "matplotlib", "pandas")


@pytest.fixture(scope="session")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel, as `make wheel` builds it."""
    folder = tmp_path_factory.mktemp("wheel")
    with machine_network():
        built = subprocess.run(
            [sys.executable, "-m", "build", "--wheel", "--outdir", folder, ROOT], capture_output=True, text=True
        )
    assert 0 == built.returncode, built.stdout + built.stderr
    (path,) = folder.glob("portkin-*.whl")
    return path


@pytest.fixture(scope="session")
def light(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The programs of an environment with the wheel and no extra."""
    folder = tmp_path_factory.mktemp("light")
    venv.create(folder, with_pip=True)
    with machine_network():
        subprocess.run(
            [folder / "bin" / "pip", "--disable-pip-version-check", "install", "--quiet", wheel],
            check=True,
            capture_output=True,
            env={key: value for key, value in os.environ.items() if key != "PYTHONPATH"},
        )
    return folder / "bin"


def run(*command: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run([str(part) for part in command], capture_output=True, text=True, cwd="/")


def test_the_wheel_holds_three_packages_and_nothing_generic(wheel):
    """Nothing but portkin's own names lands in site-packages; the default table and the marks of types come along."""
    names = zipfile.ZipFile(wheel).namelist()
    tops = {name.partition("/")[0] for name in names}
    assert PACKAGES == {top for top in tops if not top.endswith(".dist-info")}
    assert {"portkin/data/default-table/manifest.json", *(f"{top}/py.typed" for top in PACKAGES)} <= {*names}


def test_the_wheel_holds_the_page_and_its_chart(wheel):
    """Whoever installs the wheel needs no npm; nothing else of node_modules comes along."""
    static = "portkin/web/static/"
    names = {name.removeprefix(static) for name in zipfile.ZipFile(wheel).namelist() if name.startswith(static)}
    assert {"index.html", "page.css", "js/main.js"} <= names
    vendor = {name for name in names if name.startswith("vendor/")}
    if shutil.which("npm") is None:
        pytest.skip("no npm on PATH: the wheel is built without the chart")
    assert {"vendor/uPlot.esm.js", "vendor/uPlot.min.css", "vendor/uPlot-LICENSE.txt"} == vendor


def test_the_lock_of_npm_has_hashes_and_no_registry():
    """Packages are known by their content, wherever they are fetched from."""
    lock = (ROOT / "sidecar" / "portkin" / "web" / "npm" / "package-lock.json").read_text()
    packages = [package for name, package in json.loads(lock)["packages"].items() if name]
    assert packages
    assert all(package["integrity"].startswith("sha512-") for package in packages)
    assert "http" not in lock


@pytest.mark.timeout(600)
def test_the_runtime_alone_brings_nothing_heavy(light):
    """`pip install .` has no torch, no networkx, no scipy, no scikit-learn, no numba."""
    code = f"import importlib.util as u; print([m for m in {HEAVY!r} if u.find_spec(m)])"
    assert "[]" == run(light / "python", "-c", code).stdout.strip()


@pytest.mark.timeout(600)
def test_the_runtime_alone_looks_up_ports_and_serves(light):
    """The commands of the runtime work; the table is the one that ships."""
    assert 0 == run(light / "portkin", "serve", "--help").returncode
    code = (
        "from portkin.bundles.table import default_table; from portkin.net.ports import Port; "
        "print(default_table().nearest(Port(80, 'tcp'), 3))"
    )
    assert re.search(r"Port\(number=\d+, proto='tcp'\)", run(light / "python", "-c", code).stdout)


@pytest.mark.timeout(600)
@pytest.mark.parametrize(
    ("command", "extra"),
    [
        (["replay", __file__], "offline"),
        (["ingest", __file__, "-o", "/nonexistent/probes"], "offline"),
        (["table", "plot", "-o", "/nonexistent/kin.png"], "offline"),
    ],
)
def test_a_light_install_says_which_extra_is_missing(light, command, extra):
    """One line that names the extra, not a traceback."""
    said = run(light / "portkin", *command)
    assert 1 == said.returncode
    assert f"portkin-0.1.0-py3-none-any.whl[{extra}]" in said.stderr
    assert "pip install 'portkin[" not in said.stderr
    assert "Traceback" not in said.stderr


@pytest.mark.timeout(600)
def test_help_lists_every_command_without_the_extras(light):
    """People see what there is before they install it."""
    said = run(light / "portkin", "--help").stdout
    for command in ("compare", "ingest", "replay", "rules", "serve", "table"):
        assert re.search(rf"^  {command} ", said, re.MULTILINE), said
