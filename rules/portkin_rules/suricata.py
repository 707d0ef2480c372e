"""The Suricata on this machine: find it, have it check rules, have it reload them."""

from __future__ import annotations

import re
import shutil
import subprocess
import tempfile
from pathlib import Path

from portkin.errors import BackendError, RulesError
from portkin.net.suricata_socket import CONFIG, SuricataSocket

OLDEST = (7, 0)
_COMPLAINT = re.compile(r"\b((?:E|Error): .+|(?:W|Warning): detect.+)")
"""An error, or a warning about a rule, whatever the format of the log line; others concern Suricata's own settings."""


def find_suricata(program: str = "suricata", *, otherwise: str = "name it with --suricata") -> str:
    """Return the path of a Suricata that is new enough.

    Raises RulesError if there is none or an older one; ``otherwise`` ends the message with what else to do.
    """
    path = shutil.which(program)
    if path is None:
        raise RulesError(f"no {program} on PATH; install Suricata 7 or later, or {otherwise}")
    try:
        said = subprocess.run([path, "-V"], capture_output=True, text=True, check=False, timeout=30).stdout  # noqa: S603
    except (OSError, subprocess.TimeoutExpired) as error:
        raise RulesError(f"{path}: -V fails ({error}); repair it, or {otherwise}") from None
    found = re.search(r"version (\d+)\.(\d+)", said)
    if found is None:
        raise RulesError(f"{path}: -V prints no version of Suricata ({said.strip()!r}); repair it, or {otherwise}")
    if tuple(map(int, found.groups())) < OLDEST:
        raise RulesError(f"{path}: {said.strip()}; these rules need Suricata {OLDEST[0]}.{OLDEST[1]} or later")
    return path


def check_rules(rules: Path, *, program: str, config: Path = CONFIG) -> None:
    """Have Suricata load these rules only, in test mode.

    Raises RulesError with its errors, and with its warnings about rules: an error goes to standard error, a warning to
    standard output, and both to a file alone if the console is off.
    """
    with tempfile.TemporaryDirectory(prefix="portkin-") as logs:
        run = subprocess.run(  # noqa: S603
            [program, "-T", "-c", str(config), "-S", str(rules), "-l", logs],
            capture_output=True,
            text=True,
            check=False,
        )
        files = [path.read_text(encoding="utf-8", errors="replace") for path in sorted(Path(logs).glob("*.log"))]
    lines = [line for text in (run.stderr, run.stdout, *files) for line in text.splitlines()]
    messages = [found[1] for line in lines if (found := _COMPLAINT.search(line))]
    if run.returncode or messages:
        shown = "\n  ".join(list(dict.fromkeys(messages))[:5] or lines[-5:])
        raise RulesError(f"{rules}: {program} -T does not accept it (status {run.returncode}):\n  {shown}")


def reload_rules(named: Path | None = None, *, config: Path = CONFIG, timeout: float = 30.0) -> Path:
    """Have the running Suricata reload its rules, without waiting until it has. Returns its unix socket.

    ``named``: the socket; None to look where ``config`` and the distributions put it. Raises RulesError if nobody
    listens there, or Suricata refuses.
    """
    client = SuricataSocket(named, timeout=timeout, config=config)
    try:
        client.connect()
        answer = client.command("ruleset-reload-nonblocking")
    except BackendError as error:
        raise RulesError(f"{error}, or name it with --socket") from None
    finally:
        client.close()
    if answer.get("return") != "OK" or client.path is None:
        raise RulesError(f"{client.path}: Suricata does not reload its rules: {answer.get('message', answer)}")
    return client.path
