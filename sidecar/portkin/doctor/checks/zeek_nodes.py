"""Checks of what Zeek's nodes report about themselves."""

from __future__ import annotations

from datetime import timedelta

from portkin.config.schema import Config
from portkin.doctor.checks.zeek import LOAD
from portkin.doctor.facts import Facts
from portkin.doctor.findings import Finding, ok, problem, warning
from portkin.zeek.messages import PROTOCOL, StatusResponse


def check_nodes(nodes: tuple[StatusResponse, ...], facts: Facts, config: Config) -> list[Finding]:
    """Versions, absent nodes, packets, the sidecar, what is loaded; ``nodes``: one at least, the one asked first."""
    first = nodes[0]
    if first.protocol != PROTOCOL:
        return [
            problem(
                "zeek.protocol",
                f"the package in Zeek speaks version {first.protocol} of the event protocol, this portkin {PROTOCOL}",
                "install the same release of portkin on both sides",
            )
        ]
    return [
        *_described(nodes),
        *_absent(nodes),
        *_packets(nodes),
        _sidecar(first, facts),
        *_table(first, facts),
        *_loads(first, config),
        _activity(nodes),
    ]


def _described(nodes: tuple[StatusResponse, ...]) -> list[Finding]:
    first = nodes[0]
    of = f"{len(nodes)} nodes" if first.peers else "one Zeek"
    opted = [name for name in first.scripts if name in OPT_IN]
    said = (
        f"{of}, cluster backend {first.backend}, mode {first.mode}, loads portkin and {', '.join(opted) or 'no more'}"
    )
    findings = [ok("zeek.portkin", said)]
    versions = {node.zeek_version for node in nodes}
    if len(versions) > 1:
        findings.append(
            warning("zeek.versions", f"the nodes run {', '.join(sorted(versions))}", "restart them all: zeekctl deploy")
        )
    return findings


OPT_IN = ("websocket", "broker", "block", "netcontrol", "rates", "rates-notice", "scan-notice")
"""The scripts that are loaded by choice."""


def _absent(nodes: tuple[StatusResponse, ...]) -> list[Finding]:
    answered = {node.node for node in nodes}
    # Loggers keep no state and are not asked.
    absent = [name for name in nodes[0].peers if name not in answered and not name.startswith("logger")]
    if not absent:
        return []
    return [
        warning(
            "zeek.nodes-absent",
            f"{', '.join(absent)} did not answer",
            "zeekctl status; each node must load portkin, which local.zeek does",
        )
    ]


def _packets(nodes: tuple[StatusResponse, ...]) -> list[Finding]:
    # In a cluster the workers see packets, and the others never do.
    watching = [node for node in nodes if not node.peers or node.node.startswith("worker")]
    if not watching or any(node.packets for node in watching):
        return []
    return [
        warning(
            "zeek.no-packets",
            "no packet has reached Zeek since its start",
            "look at its interface (node.cfg, zeek.conf, or -i), and at the mirror port",
        )
    ]


def _sidecar(first: StatusResponse, facts: Facts) -> Finding:
    if first.sidecar:
        return ok("zeek.sidecar", "Zeek has its sidecar")
    if "websocket" not in first.scripts and "broker" not in first.scripts:
        return problem(
            "zeek.not-loaded", "Zeek loads neither portkin/websocket nor portkin/broker: it asks nobody", LOAD
        )
    running = facts.sidecar is not None and facts.sidecar.page == "answers"
    remedy = "zeek.url of the running sidecar must name this Zeek" if running else "start the sidecar: portkin serve"
    return problem("zeek.no-sidecar", "Zeek has no sidecar, so nothing is predicted", remedy)


def _table(first: StatusResponse, facts: Facts) -> list[Finding]:
    served = facts.sidecar.table if facts.sidecar else ""
    if not (first.sidecar and served and first.table_id) or served == first.table_id:
        return []
    return [
        warning(
            "zeek.other-table",
            f"Zeek has its answers from table {first.table_id}, and this sidecar serves {served}",
            "does another sidecar answer this Zeek too? Let one of them answer",
        )
    ]


def _loads(first: StatusResponse, config: Config) -> list[Finding]:
    findings = []
    backend = config.enforce.backend
    asks = {"block", "netcontrol"} & set(first.scripts)
    if backend != "shadow" and not asks:
        findings.append(
            warning(
                "zeek.no-block",
                f"the settings block with {backend}, and Zeek asks for no block",
                "@load portkin/block in local.zeek, or set enforce.backend to shadow",
            )
        )
    if config.rates.model is not None and "rates" not in first.scripts:
        findings.append(
            warning(
                "zeek.no-rates",
                "the settings name models of probing rates, and Zeek reports no rates",
                "@load portkin/rates-notice in local.zeek, or set rates.model to null",
            )
        )
    return findings


def _activity(nodes: tuple[StatusResponse, ...]) -> Finding:
    def latest(name: str) -> str:
        times = [value for node in nodes if (value := getattr(node, name)) >= timedelta(0)]
        return f"{duration(min(times))} ago" if times else "none yet"

    scanners = max(node.scanners for node in nodes)
    return ok(
        "zeek.activity",
        f"{scanners} scanners known; latest probe {latest('probe')}, answer of the sidecar {latest('answer')}, "
        f"decision {latest('decision')}",
    )


def duration(time: timedelta) -> str:
    """``5 s``, ``12 min``, ``3 h`` or ``2 days``."""
    seconds = time.total_seconds()
    for limit, unit, name in ((120, 1, "s"), (7200, 60, "min"), (172_800, 3600, "h")):
        if seconds < limit:
            return f"{seconds // unit:.0f} {name}"
    return f"{seconds // 86_400:.0f} days"
