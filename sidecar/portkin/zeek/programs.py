"""Where Zeek's programs are on this machine."""

from __future__ import annotations

import shutil

ZEEK_BIN = "/opt/zeek/bin:/usr/local/zeek/bin"
"""Where Zeek's packages and builds put its programs, which need not be on PATH."""


def zeek_program(name: str) -> str | None:
    """The path of a program of Zeek's, as ``zeek-config``: that on PATH first; None where there is none."""
    return shutil.which(name) or shutil.which(name, path=ZEEK_BIN)
