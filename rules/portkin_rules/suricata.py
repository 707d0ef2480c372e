"""The Suricata on this machine: which one, whether it takes the rules, and how it is told to load them anew."""

from __future__ import annotations

import json
import re
import shutil
import socket
import subprocess
import tempfile
from pathlib import Path

from portkin.errors import RulesError

OLDEST = (7, 0)
SOCKET = Path("/run/suricata/suricata-command.socket")  # Debian's; Suricata's own is /var/run/suricata/...
CONFIG = Path("/etc/suricata/suricata.yaml")


def find_suricata(program: str = "suricata") -> str:
    """The path of a Suricata that is new enough. RulesError where there is none, or an old one."""
    path = shutil.which(program)
    if path is None:
        raise RulesError(f"no {program} on PATH; install Suricata 7 or later, or name it with --suricata")
    said = subprocess.run([path, "-V"], capture_output=True, text=True, check=False, timeout=30).stdout  # noqa: S603
    found = re.search(r"version (\d+)\.(\d+)", said)
    if found is None:
        raise RulesError(f"{path}: does not say which Suricata it is ({said.strip()!r}); name another with --suricata")
    if tuple(map(int, found.groups())) < OLDEST:
        raise RulesError(f"{path}: {said.strip()}; these rules need Suricata {OLDEST[0]}.{OLDEST[1]} or later")
    return path


def check_rules(rules: Path, *, program: str, config: Path = CONFIG) -> None:
    """Let Suricata load the rules, and nothing else, without running. RulesError with what it complains of."""
    with tempfile.TemporaryDirectory(prefix="portkin-") as logs:
        run = subprocess.run(  # noqa: S603
            [program, "-T", "-c", str(config), "-S", str(rules), "-l", logs],
            capture_output=True,
            text=True,
            check=False,
        )
    complaints = [line for line in run.stderr.splitlines() if re.match(r"(Error|Warning|E:|W:)", line)]
    if run.returncode or complaints:
        shown = "\n  ".join(complaints[:5] or run.stderr.splitlines()[-5:])
        raise RulesError(f"{rules}: {program} -T does not accept it (status {run.returncode}):\n  {shown}")


def reload_rules(path: Path = SOCKET, *, timeout: float = 30.0) -> None:
    """Tell the running Suricata to load its rules anew, without waiting until it has.

    RulesError where nobody listens on the unix socket, or Suricata refuses.
    """
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
            connection.settimeout(timeout)
            connection.connect(str(path))
            with connection.makefile("rwb") as stream:
                _ask(stream, {"version": "0.2"})
                answer = _ask(stream, {"command": "ruleset-reload-nonblocking"})
    except (OSError, ValueError) as error:
        raise RulesError(
            f"{path}: Suricata does not answer on its unix socket ({error}); is it running, and is "
            "unix-command enabled in suricata.yaml? Name another socket with --socket"
        ) from None
    if answer.get("return") != "OK":
        raise RulesError(f"{path}: Suricata does not load its rules anew: {answer.get('message', answer)}")


def _ask(stream, request: dict[str, str]) -> dict[str, object]:
    """One request and its answer, each a line of JSON (doc/userguide/unix-socket.rst)."""
    stream.write(json.dumps(request).encode() + b"\n")
    stream.flush()
    line = stream.readline()
    if not line:
        raise ValueError("it hung up")
    answer = json.loads(line)
    if not isinstance(answer, dict):
        raise ValueError(f"it answered {line[:80]!r}")
    return answer
