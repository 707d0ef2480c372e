"""What commands load when they start: the time until a command does its work is that of its imports."""

from __future__ import annotations

import subprocess
import sys

import pytest

LOADED = """
import sys
from portkin.cli import main
sys.argv = ["portkin", *sys.argv[1:]]
try:
    main()
finally:
    print(*sorted({name.partition(".")[0] for name in sys.modules}), file=sys.stderr)
"""
SERVICE = {"structlog", "prometheus_client", "onnxruntime", "zeekpy", "websockets", "starlette", "uvicorn"}
"""What the running sidecar alone needs."""
BUNDLES = {"numpy"}
"""What reads tables and models."""
OFFLINE = {"torch", "scipy", "sklearn", "numba", "pyarrow", "duckdb", "ibis", "matplotlib", "networkx", "pandas"}


@pytest.mark.parametrize(
    ("command", "needed"),
    [
        ("--help", set()),
        ("table info", BUNDLES),
        ("table show 443", BUNDLES),
        ("config", {"websockets"}),  # which judges URLs
        ("config --sample", set()),
        ("blocks list", set()),
        ("blocks add 203.0.113.5 443 -c shadow.yaml", {"prometheus_client", "zeekpy", "websockets"}),
        ("blocks export -c shadow.yaml", {"zeekpy", "websockets"}),
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
    words = [sys.executable, "-c", LOADED, *command.split()]
    ran = subprocess.run(words, capture_output=True, text=True, timeout=100, cwd=tmp_path)
    loaded = set(ran.stderr.splitlines()[-1].split())
    assert "click" in loaded
    assert set() == (loaded & (SERVICE | BUNDLES | OFFLINE)) - needed, ran.stderr
