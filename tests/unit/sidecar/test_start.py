"""What commands load when they start: the time until a command does its work is that of its imports."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

LOADED = """
import os, sys
from portkin.cli import main
sys.argv = ["portkin", *sys.argv[1:]]
try:
    main()
finally:
    print(*sorted({name.partition(".")[0] for name in sys.modules}), file=sys.stderr)
    print(len(os.listdir("/proc/self/task")), file=sys.stderr)
"""
SERVICE = {"structlog", "prometheus_client", "onnxruntime", "zeekpy", "websockets", "starlette", "uvicorn"}
"""What the running sidecar alone needs."""
BUNDLES = {"numpy"}
"""What reads tables and models."""
OFFLINE = {"torch", "scipy", "sklearn", "numba", "pyarrow", "duckdb", "ibis", "matplotlib", "networkx", "pandas"}


def run(command: str, folder: Path) -> subprocess.CompletedProcess[str]:
    """The command, run in that folder; the last lines on standard error are what it loaded, and how many threads."""
    words = [sys.executable, "-c", LOADED, *command.split()]
    return subprocess.run(words, capture_output=True, text=True, timeout=100, cwd=folder)


@pytest.mark.parametrize(
    ("command", "needed"),
    [
        ("--help", set()),
        ("table info", BUNDLES),
        ("table show 443", BUNDLES),
        ("config", {"websockets"}),  # which judges URLs
        ("config --sample", set()),
        ("blocks list", set()),
        ("blocks add 203.0.113.5 443 -c shadow.yaml", {"prometheus_client"}),
        ("blocks export -c shadow.yaml", set()),
        ("nft setup --print", set()),
        ("doctor", {"websockets"}),  # where nothing runs, and for the table that ships
        ("serve --help", set()),
        ("ingest --help", set()),
        ("ingest --formats", set()),
        ("rates --help", set()),
        ("rules --help", set()),
    ],
)
def test_a_command_loads_no_more_than_it_needs(command, needed, tmp_path, monkeypatch):
    """A command loads nothing of what serving, learning, tables and models need, but for what it uses itself."""
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "shadow.yaml").write_text(f"enforce: {{database: {tmp_path}/blocks.sqlite}}")
    ran = run(command, tmp_path)
    loaded = set(ran.stderr.splitlines()[-2].split())
    assert "click" in loaded
    assert set() == (loaded & (SERVICE | BUNDLES | OFFLINE)) - needed, ran.stderr


@pytest.mark.parametrize("command", ["table info", "table show 443"])
def test_a_query_starts_no_threads(command, tmp_path):
    """numpy starts none for linear algebra, one for each processor, where a table is only looked up."""
    ran = run(command, tmp_path)
    assert (0, "1") == (ran.returncode, ran.stderr.splitlines()[-1])
