"""Checks of Zeek: the connection to it, what it reports about itself, and its logs."""

from __future__ import annotations

from datetime import timedelta

from portkin.config.schema import Config
from portkin.doctor.facts import Facts, ZeekAnswers, ZeekHere
from portkin.doctor.findings import Finding, ok, problem, skipped, warning
from portkin.zeek.messages import PROTOCOL, StatusResponse

NO_ACKNOWLEDGEMENT = (
    "its reporter.log names the cause, one of: Zeek 8.1 or later without a cluster backend (load portkin/websocket); a "
    "ZeroMQ cluster without a logger (loggers = 1 in zeek.conf, or a [logger] in node.cfg); zeekctl 8.0 with one node "
    "and ZeroMQ (redef Cluster::Backend::ZeroMQ::run_proxy_thread = T)"
)
LOAD = "@load portkin/websocket in local.zeek, and restart Zeek"
INSTALL = "zkg install portkin's package, or link its folder zeek-scripts into Zeek's site folder as portkin"


def check_zeek(facts: Facts, config: Config) -> list[Finding]:
    """From the connection to the latest decision; each check needs the one before."""
    found = facts.zeek
    if found is None:
        return []
    if found.connection != "open":
        return [_no_connection(found, facts.zeek_here)]
    opened = ok("zeek.connects", f"Zeek {found.version} at {found.address}".replace("  ", " "))
    if not found.asked:
        return [opened, skipped("zeek.not-asked", "over Broker Zeek is not asked how it stands")]
    if not found.nodes:
        return [opened, _no_answer(found)]
    return [opened, *_nodes(found.nodes, facts, config)]


def _no_connection(found: ZeekAnswers, here: ZeekHere) -> Finding:
    at = found.address
    match found.connection:
        case "refused":
            return _refused(found, here)
        case "not-acknowledged":
            # What portkin said in Zeek itself is more than a guess.
            said = next((line for line in reversed(here.said) if "sidecar" in line), "")
            named = said.removeprefix("the sidecar cannot connect: ")
            return problem(
                "zeek.not-acknowledged",
                f"Zeek at {at} takes connections and acknowledges none",
                f"Zeek says: {named}" if said else NO_ACKNOWLEDGEMENT,
            )
        case "timeout" if found.loopback:
            who = f"Zeek (process {here.processes[0]})" if here.processes else "what listens there"
            return problem(
                "zeek.hangs",
                f"{at} does not answer ({found.detail}): {who} hangs, is stopped, or has too much to do",
                "look at its load, and restart it: zeekctl restart, or systemctl restart zeek",
            )
        case "timeout" | "unreachable":
            return problem(
                f"zeek.{found.connection}",
                f"{at} cannot be reached ({found.detail})",
                "correct the address in the settings, or open the firewall between the two",
            )
        case "unknown-host":
            return problem("zeek.unknown-host", f"there is no host of {at} ({found.detail})", "correct zeek.url")
        case "tls":
            return problem(
                "zeek.tls",
                f"TLS with {at} fails ({found.detail})",
                "zeek.tls.ca must name who signed Zeek's certificate; a Zeek with enable_peer_verification wants "
                "zeek.tls.certificate too",
            )
        case "not-websocket":
            return problem(
                "zeek.not-websocket",
                f"what listens at {at} is no WebSocket of Zeek's ({found.detail})",
                "correct zeek.url; it ends in /v1/messages/json, and is wss:// where Portkin::websocket_tls is set",
            )
    return problem("zeek.closes", f"{at} closes the connection ({found.detail})", "Zeek's reporter.log says why")


def _refused(found: ZeekAnswers, here: ZeekHere) -> Finding:
    said = f"nothing listens at {found.address}"
    if not found.loopback:
        return problem("zeek.refused", said, f"start Zeek there; {LOAD}")
    if not here.processes:
        how = "zeekctl deploy, or systemctl start zeek" if here.programs else "install Zeek 8.0 or later"
        return problem("zeek.not-running", f"{said}, and no Zeek runs on this machine", how)
    ran = f"{said}, though Zeek runs (process {here.processes[0]})"
    if not here.packages:
        return problem("zeek.no-package", f"{ran}; portkin is not in its search path", f"{INSTALL}; then {LOAD}")
    if here.local is not None and not {"portkin/websocket", "portkin/broker"} & set(here.loads):
        return problem("zeek.not-loaded", f"{ran}; {here.local} does not load portkin/websocket", LOAD)
    return problem(
        "zeek.refused",
        ran,
        "restart Zeek with portkin/websocket loaded (zeekctl deploy); zeek.url must name its Portkin::websocket_port",
    )


def _no_answer(found: ZeekAnswers) -> Finding:
    if found.refused:
        return problem(
            "zeek.no-portkin",
            f"that Zeek does not know the question how it stands ({found.refused})",
            f"{LOAD}; a package of an earlier release does not know it either: install the same release on both sides",
        )
    return problem(
        "zeek.silent",
        "that Zeek does not answer the question how it stands",
        "install the same release of portkin on both sides; where Zeek is a cluster, its manager must be at zeek.url",
    )


def _nodes(nodes: tuple[StatusResponse, ...], facts: Facts, config: Config) -> list[Finding]:
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
