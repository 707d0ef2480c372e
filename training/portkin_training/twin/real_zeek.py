"""The same capture through real Zeek and a real sidecar, for comparison with the twin."""

from __future__ import annotations

import contextlib
import json
import shutil
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from portkin.errors import InputError
from portkin.net.addresses import number_of
from portkin.net.ports import Port
from portkin_training.core.context import context_of_text, describe, source_of
from portkin_training.ingest.captures.options import CaptureOptions
from portkin_training.twin.decisions import ProbeDecision

FOLDERS = "/opt/zeek/bin", "/usr/local/zeek/bin"
"""Where to look for Zeek outside of PATH."""
LEAST = (8, 0)
WAIT = 120.0
"""Seconds after which a run of Zeek is aborted."""


@dataclass(frozen=True, order=True)
class DecisionRecord:
    """A decision, reduced to what Zeek and the twin must agree on."""

    ts: float
    """Seconds since 1970, to the microsecond."""
    src: int
    probed: Port
    evidence: str
    predicted: tuple[Port, ...]
    kept: tuple[Port, ...]
    vetoed: tuple[str, ...]
    probes: int
    hits: int
    by_source: bool = False


@dataclass(frozen=True)
class ZeekRun:
    """The decisions of a run, and what Zeek and the sidecar printed."""

    version: str
    decisions: list[DecisionRecord]
    messages: str


def version_of(zeek: str) -> str:
    """The version that a program zeek states, as ``9.0.0-rc1``; empty where it states none."""
    output = subprocess.run([zeek, "--version"], capture_output=True, text=True, check=False).stdout  # noqa: S603
    return output.strip().rpartition(" ")[2]


def explain(theirs: list[DecisionRecord], ours: list[DecisionRecord]) -> Iterator[str]:
    """Yield how real Zeek's decisions differ from the twin's, a sentence each, in order of time."""

    def key(record: DecisionRecord) -> tuple[float, int, Port]:
        return record.ts, record.src, record.probed

    zeek, twin = {key(record): record for record in theirs}, {key(record): record for record in ours}
    for one in sorted(zeek.keys() | twin.keys()):
        ts, src, probed = one
        when = datetime.fromtimestamp(ts, UTC).strftime("%H:%M:%S.%f")
        subject = f"{when} {describe(src)} probed {probed}:"
        if one not in twin:
            yield f"{subject} only Zeek took a decision"
        elif one not in zeek:
            yield f"{subject} only portkin replay took a decision"
        elif zeek[one] != twin[one]:
            names = [field.name for field in fields(DecisionRecord) if field.name not in ("ts", "src", "probed")]
            told = (
                f"{name} is {_words(getattr(zeek[one], name))} in Zeek, {_words(getattr(twin[one], name))} in replay"
                for name in names
                if getattr(zeek[one], name) != getattr(twin[one], name)
            )
            yield f"{subject} {'; '.join(told)}"


def _words(value: Any) -> str:
    return (" ".join(map(str, value)) or "nothing") if isinstance(value, tuple) else str(value)


def find_zeek() -> str | None:
    """The path of a Zeek >= 8.0, from PATH or the usual places; None where there is none."""
    for path in filter(None, [shutil.which("zeek"), *(shutil.which("zeek", path=folder) for folder in FOLDERS)]):
        version = version_of(path).partition("-")[0].split(".")
        if all(part.isdigit() for part in version[:2]) and tuple(map(int, version[:2])) >= LEAST:
            return path
    return None


def decision_records(decisions: list[ProbeDecision]) -> list[DecisionRecord]:
    """Decisions of the twin, reduced and sorted."""
    return sorted(
        DecisionRecord(
            ts=decision.ts / 1e6,
            src=decision.src,
            probed=decision.probed,
            evidence=decision.evidence.value,
            predicted=decision.predicted,
            kept=decision.kept,
            vetoed=tuple(f"{port} {reason}" for port, reason in decision.vetoed),
            probes=decision.probes,
            hits=decision.hits,
            by_source=decision.by_source,
        )
        for decision in decisions
    )


def run_zeek(
    zeek: str,
    capture: Path,
    scripts: Path,
    *,
    table: Path | None = None,
    options: Mapping[str, str] | None = None,
    captures: CaptureOptions = CaptureOptions(),  # noqa: B008  (immutable)
) -> ZeekRun:
    """Run a capture through Zeek with the package and a sidecar of its own.

    Args:
        zeek: the program.
        capture: what `zeek -r` reads (pcap or pcapng).
        scripts: the folder of the package's Zeek scripts.
        table: a table bundle; the default table where None.
        options: Zeek options by name, values as Zeek writes them.
        captures: how Zeek is to read the capture; it has no key of VNIs, and always opens tunnels.

    Raises InputError with the output of Zeek when it fails.
    """
    loads = ["frameworks/conn_key/vlan_fivetuple"] if captures.context == "vlan" else []
    with tempfile.TemporaryDirectory(prefix="portkin-zeek-") as folder, _sidecar(table) as (port, log):
        try:
            finished = subprocess.run(  # noqa: S603
                [
                    *(zeek, "-C", "-r", str(capture.resolve())),
                    *(str(scripts.resolve()), str(scripts.resolve() / "websocket.zeek"), *loads),
                    f"Portkin::websocket_port={port}/tcp",
                    "LogAscii::use_json=T",
                    *(f"{name}={value}" for name, value in (options or {}).items()),
                ],
                cwd=folder,
                capture_output=True,
                text=True,
                timeout=WAIT,
                check=False,
            )
        except subprocess.TimeoutExpired:
            raise InputError(f"{zeek} did not end within {WAIT} s on {capture}; try a shorter capture") from None
        messages = finished.stderr + log.read_text()
        if finished.returncode != 0:
            raise InputError(f"{zeek} ended with status {finished.returncode} on {capture}:\n{messages}")
        written = Path(folder) / "portkin.log"
        lines = [json.loads(line) for line in written.read_text().splitlines()] if written.exists() else []
    return ZeekRun(version_of(zeek), _taken_of(lines), messages)


@contextlib.contextmanager
def _sidecar(table: Path | None) -> Iterator[tuple[int, Path]]:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    with tempfile.TemporaryDirectory(prefix="portkin-sidecar-") as folder:
        settings, log = Path(folder) / "portkin.yaml", Path(folder) / "log"
        # A sidecar of the site may hold the port of the metrics.
        settings.write_text("metrics:\n  enabled: false\n")
        command = [*(sys.executable, "-m", "portkin", "serve"), "-c", str(settings)]
        command += ["--url", f"ws://127.0.0.1:{port}/v1/messages/json"]
        if table is not None:
            command += ["--table", str(table.resolve())]
        with log.open("w") as written:
            process = subprocess.Popen(command, stdout=written, stderr=subprocess.STDOUT)  # noqa: S603
        try:
            yield port, log
        finally:
            process.terminate()
            process.wait(timeout=10)


def _taken_of(lines: list[dict[str, Any]]) -> list[DecisionRecord]:
    ends = {line["id"]: line for line in lines if line["kind"] == "Portkin::OUTCOME"}
    found = []
    for line in lines:
        if line["kind"] != "Portkin::DECISION":
            continue

        def ports(field: str, line: dict[str, Any] = line) -> tuple[Port, ...]:
            return tuple(Port(number, line["proto"]) for number in line.get(field, ()))

        end = ends.get(line["id"], {})
        found.append(
            DecisionRecord(
                ts=line["ts"],
                src=source_of(number_of(line["src"]), context_of_text(line.get("context", ""))),
                probed=Port(line["probed"], line["proto"]),
                evidence=line["evidence"].removeprefix("Portkin::"),
                predicted=ports("predicted"),
                kept=ports("kept"),
                vetoed=tuple(line.get("vetoed", ())),
                probes=end.get("probes", -1),
                hits=end.get("hits", -1),
                by_source=line.get("predicted_by") == "Portkin::BY_SOURCE",
            )
        )
    return sorted(found)
