"""An installation as the doctor sees it: its report as values, its settings, Zeek with its sidecar."""

from __future__ import annotations

import json
import shutil
import socket
import sys
from pathlib import Path

from click.testing import CliRunner

from portkin.commands.doctor import doctor
from portkin.zeek.messages import PROTOCOL
from support.sidecar_process import SidecarProcess, until
from support.tables import small_table
from support.zeek_process import SCRIPTS, ZeekProcess, free_port

COMMAND = [sys.executable, "-c", "from portkin.commands.doctor import doctor; doctor()"]


def examined(file: Path, *flags: str) -> tuple[int, dict[str, dict[str, str]], dict]:
    """The exit status, the findings by their code, and the facts."""
    ran = CliRunner().invoke(doctor, ["-c", str(file), "--json", "--timeout", "3", *flags])
    assert ran.exit_code in (0, 1, 2), ran.output
    report = json.loads(ran.stdout)
    assert ran.exit_code == report["status"]
    return report["status"], {finding["code"]: finding for finding in report["findings"]}, report["facts"]


def settings(folder: Path, **sections: object) -> Path:
    file = folder / "portkin.yaml"
    file.write_text(json.dumps({"metrics": {"enabled": False}, **sections}))
    return file


class Live:
    """Addresses of a Zeek and a sidecar that a test starts, and the scripts of the former."""

    def __init__(self, zeek: str, folder: Path, *, protocol: int = PROTOCOL) -> None:
        self.port = free_port()
        self.url = f"ws://127.0.0.1:{self.port}/v1/messages/json"
        local = folder / "local.zeek"
        local.write_text(
            f"redef Portkin::websocket_port = {self.port}/tcp;\nredef exit_only_after_terminate = T;\n"
            'event zeek_init() &priority=-100 { print "up"; flush_all(); }\n'
        )
        scripts = SCRIPTS
        if protocol != PROTOCOL:
            scripts = folder / "portkin"
            shutil.copytree(SCRIPTS, scripts)
            api = scripts / "api.zeek"
            api.write_text(api.read_text().replace(f"protocol: count = {PROTOCOL};", f"protocol: count = {protocol};"))
        self.zeek = ZeekProcess(zeek, folder / "zeek", scripts / "websocket.zeek", scripts / "block.zeek", local)
        small_table(folder / "table")
        self.settings = {
            "zeek": {"url": self.url, "backoff": {"first": 0.1, "cap": 0.5}},
            "table": {"path": str(folder / "table")},
            "metrics": {"port": free_port()},
            "enforce": {"database": str(folder / "blocks.sqlite")},
        }
        self.sidecar = SidecarProcess(folder / "sidecar", self.settings)
        self.file = folder / "sidecar" / "portkin.yaml"

    def listens(self) -> None:
        """Wait until Zeek's WebSocket is open."""
        until(lambda: not socket.socket().connect_ex(("127.0.0.1", self.port)), lambda: self.zeek.out)
