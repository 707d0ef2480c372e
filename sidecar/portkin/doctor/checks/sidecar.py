"""Checks of the running sidecar, by its metrics."""

from __future__ import annotations

from portkin.config.schema import Config
from portkin.doctor.facts import Facts, SidecarAnswers
from portkin.doctor.findings import Finding, ok, problem, skipped, warning

START = "start it: systemctl start portkin, or portkin serve"


def check_sidecar(facts: Facts, config: Config) -> list[Finding]:
    """Whether `portkin serve` runs, is connected to Zeek, and had no trouble."""
    found = facts.sidecar
    if found is None:
        return []
    match found.page:
        case "off":
            return [
                skipped("sidecar.no-metrics", "metrics.enabled is false, so the sidecar reports nothing about itself")
            ]
        case "refused":
            return [problem("sidecar.not-running", f"no sidecar answers at {found.address}", START)]
        case "foreign":
            return [
                problem(
                    "sidecar.foreign",
                    f"what answers at {found.address} is no sidecar of portkin's",
                    "set metrics.port to a free port, and restart the sidecar",
                )
            ]
        case "failed":
            return [
                problem(
                    "sidecar.silent",
                    f"the metrics at {found.address} cannot be read ({found.detail})",
                    "restart the sidecar; its log says why",
                )
            ]
    return [_connection(found), *_troubles(found)]


def _connection(found: SidecarAnswers) -> Finding:
    if not found.samples.get("portkin_connected"):
        return problem(
            "sidecar.not-connected",
            f"the sidecar at {found.address} is not connected to Zeek",
            "see the findings about Zeek below; the sidecar retries by itself",
        )
    if not found.zeek:
        return problem(
            "sidecar.hello-unanswered",
            "the sidecar is connected, and Zeek does not answer its hello",
            "load portkin, and portkin/websocket or portkin/broker, in the Zeek that it is connected to",
        )
    node, version = found.zeek.get("node", "?"), found.zeek.get("version", "?")
    return ok("sidecar.connected", f"connected, and greeted by {node} (Zeek {version})")


_TROUBLES = (
    (
        "portkin_failures_total",
        "sidecar.defects",
        "{:.0f} messages could not be handled since its start, a defect of portkin",
        "report it with `portkin doctor --bundle`; the log has the details",
    ),
    (
        "portkin_messages_dropped_total",
        "sidecar.dropped",
        "{:.0f} messages to Zeek were dropped since its start: Zeek was slow or away",
        "look at Zeek's load; zeek.outbox keeps more",
    ),
    (
        "portkin_block_errors_total",
        "sidecar.block-errors",
        "{:.0f} failures of the backend, the block database or the queue since its start",
        "the sidecar's log names each",
    ),
)
"""Counters that stay at zero where all is well: name, code, text, remedy."""


def _troubles(found: SidecarAnswers) -> list[Finding]:
    return [
        warning(code, text.format(found.samples[name]), remedy)
        for name, code, text, remedy in _TROUBLES
        if found.samples.get(name)
    ]
