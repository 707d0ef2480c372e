"""Checks of Zeek: the connection to it, and if there is none, what its processes and logs say."""

from __future__ import annotations

from portkin.config.schema import Config
from portkin.doctor.facts import Facts, ZeekAnswers, ZeekHere
from portkin.doctor.findings import Finding, ok, problem, skipped

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
    from portkin.doctor.checks.zeek_nodes import check_nodes  # here, since messages take longer to load than all else

    return [opened, *check_nodes(found.nodes, facts, config)]


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
