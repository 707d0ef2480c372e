"""Checks of the running sidecar, by its metrics."""

from __future__ import annotations

from portkin.config.schema import Config
from portkin.doctor.facts import Facts, SidecarAnswers
from portkin.doctor.findings import Finding, ok, problem, skipped, warning

START = "start it: systemctl start portkin, or portkin serve"
RESTART = "restart the sidecar with these settings: systemctl restart portkin, or portkin serve -c"


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
    return [_connection(found), *_settings(found, config), *_troubles(found, facts.now.timestamp())]


def blocks_otherwise(found: SidecarAnswers | None, config: Config) -> bool:
    """Whether the running sidecar has another backend than these settings name."""
    if found is None or found.page != "answers":
        return False
    return "enforce.backend" in found.pending or found.backend not in ("", config.enforce.backend)


def _settings(found: SidecarAnswers, config: Config) -> list[Finding]:
    """Whether the sidecar runs with what its file says now."""
    findings = []
    if blocks_otherwise(found, config):
        if "enforce.backend" in found.pending:
            said = "enforce.backend was changed in the settings, and the sidecar blocks as before"
        else:
            said = f"enforce.backend is {config.enforce.backend}, and the sidecar's is {found.backend}"
        findings.append(problem("sidecar.other-backend", said, RESTART))
    others = [name for name in found.pending if name != "enforce.backend"]
    if others:
        findings.append(
            warning(
                "sidecar.settings-pending", f"changed in the settings, and not in force: {', '.join(others)}", RESTART
            )
        )
    return findings


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
        "failures of the backend, the block database or the queue since its start: {:.0f}",
        "the sidecar's log names each",
    ),
    (
        "portkin_block_foreign_elements",
        "sidecar.foreign-elements",
        "elements of portkin's table that the sidecar never asked for, added by somebody else: {:.0f}",
        "`portkin blocks list` names one, `portkin blocks remove SOURCE PORT` releases it",
    ),
)
"""Metrics that are zero where all is well: name, code, text, remedy."""
_LATEST = {"portkin_block_errors_total": "portkin_block_latest_error_timestamp_seconds"}
"""Of those that heal by themselves, the metric that says when the latest was (s since 1970)."""
PAST = 86_400.0
"""Seconds after which what healed is not reported any more: until then a daily look at the doctor sees it."""


def _troubles(found: SidecarAnswers, now: float) -> list[Finding]:
    return [
        warning(code, text.format(found.samples[name]), remedy)
        for name, code, text, remedy in _TROUBLES
        if found.samples.get(name) and not _is_past(name, found, now)
    ]


def _is_past(name: str, found: SidecarAnswers, now: float) -> bool:
    """Whether what was counted happened long ago, and so needs nobody any more."""
    latest = found.samples.get(_LATEST.get(name, ""))
    return latest is not None and now - latest > PAST
