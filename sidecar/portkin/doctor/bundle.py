"""The bundle for a bug report: what the doctor found, versions and metrics, in one file to attach.

It holds no secrets, no packets, no blocks and no address of a source; networks of the site are counted, not named.
"""

from __future__ import annotations

import io
import shutil
import subprocess
import tarfile
from collections.abc import Sequence
from pathlib import Path

from portkin.doctor.facts import Facts
from portkin.doctor.findings import Finding
from portkin.doctor.redaction import shown_text
from portkin.doctor.report import as_text, to_json
from portkin.errors import OutputError
from portkin.files import replacing
from portkin.installation import installed
from portkin.zeek.programs import ZEEK_BIN

_VERSIONS = (("zeek", "--version"), ("suricata", "-V"), ("nft", "--version"))
_PATH = f"{ZEEK_BIN}:/usr/sbin:/sbin"


def write_bundle(path: Path, facts: Facts, findings: Sequence[Finding]) -> None:
    """Write the bundle, a .tar.gz that only this user can read. Raises OutputError where it cannot be written."""
    files = {
        "README.txt": f"{__doc__}\nMade by `portkin doctor --bundle`. Read it before you send it.\n",
        "report.txt": as_text(facts, findings),
        "report.json": to_json(facts, findings),
        "versions.txt": _versions(),
    }
    try:
        with replacing(path) as written:
            written.touch(0o600)
            with tarfile.open(written, "w:gz") as archive:
                for name, text in files.items():
                    content = text.encode()
                    entry = tarfile.TarInfo(f"portkin-doctor/{name}")
                    entry.size, entry.mtime, entry.mode = len(content), int(facts.now.timestamp()), 0o600
                    archive.addfile(entry, io.BytesIO(content))
    except OSError as error:
        raise OutputError(f"{path}: cannot be written ({error.strerror or error}); name another file") from None


def _versions() -> str:
    """The versions of the programs beside us, and of the distributions beneath us."""
    lines = []
    for name, flag in _VERSIONS:
        program = shutil.which(name) or shutil.which(name, path=_PATH)
        lines.append(f"{name}: {_said(program, flag) if program else 'not installed'}")
    return shown_text("\n".join([*lines, "", *installed()])) + "\n"


def _said(program: str, flag: str) -> str:
    try:
        ran = subprocess.run([program, flag], capture_output=True, text=True, timeout=10)  # noqa: S603
    except (OSError, subprocess.TimeoutExpired) as error:
        return str(error)
    return next(iter((ran.stdout + ran.stderr).splitlines()), "says nothing")
