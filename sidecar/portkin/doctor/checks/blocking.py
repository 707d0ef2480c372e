"""Checks of what carries blocks out: nftables or Suricata."""

from __future__ import annotations

from portkin.blocking.backends.host_bits import stores_ipv6_wrongly
from portkin.config.schema import Config
from portkin.doctor.checks.sidecar import blocks_otherwise
from portkin.doctor.facts import Facts, NftablesFacts, SuricataFacts
from portkin.doctor.findings import Finding, ok, problem, skipped, warning
from portkin.wording import amount

HOST_BYTES = 150
"""What a source takes of host.memcap: 136 bytes in Suricata 7.0.10, 120 in 8.0.8, and its share of the table."""


def check_blocking(facts: Facts, config: Config) -> list[Finding]:
    """The backend that the settings name."""
    if facts.nftables is not None:
        running = facts.sidecar is not None and facts.sidecar.page == "answers"
        # A sidecar of another backend leaves the table as it is.
        return _nftables(facts.nftables, running=running and not blocks_otherwise(facts.sidecar, config))
    if facts.suricata is not None:
        return _suricata(facts.suricata, config.enforce.limits.max_blocks)
    return [ok("blocking.shadow", "backend shadow: blocks are recorded, and nothing is dropped")]


def _nftables(found: NftablesFacts, running: bool) -> list[Finding]:
    if not found.runner:
        return [
            problem("blocking.no-nftables", "nftables is not installed", "apt install nftables, or another backend")
        ]
    if found.state == "unreadable" and not found.privileged:
        return [
            skipped(
                "blocking.unprivileged",
                f"table inet {found.table} cannot be read without CAP_NET_ADMIN",
                "run the doctor as root",
            )
        ]
    if found.state == "unreadable":
        return [
            problem(
                "blocking.nftables-refuses",
                f"the kernel refuses to show table inet {found.table} ({found.detail})",
                "modprobe nf_tables; in a container, give it CAP_NET_ADMIN",
            )
        ]
    if found.state == "missing":
        said = f"the kernel has no table inet {found.table}, or not portkin's"
        if running:
            return [
                problem(
                    "blocking.table-missing",
                    f"{said}: nothing is blocked",
                    "the sidecar of this network namespace puts it back within seconds; if not, its log says why",
                )
            ]
        return [ok("blocking.table-absent", f"{said}; `portkin serve` creates it")]
    held = amount(found.held, "block")
    return [ok("blocking.nftables", f"table inet {found.table} at {found.hook} holds {held}, by {found.runner}")]


def _suricata(found: SuricataFacts, max_blocks: int) -> list[Finding]:
    if found.error:
        return [
            problem(
                "blocking.no-suricata",
                found.error,
                "start Suricata with unix-command.enabled, set enforce.suricata.socket to its unix-command.filename, "
                "and let the sidecar's user write to it",
            )
        ]
    return [
        _suricata_rules(found),
        *_rule_health(found),
        *_suricata_mode(found),
        *_suricata_version(found),
        *_suricata_memory(found, max_blocks),
    ]


def _suricata_rules(found: SuricataFacts) -> Finding:
    said = f"Suricata {found.version} at {found.socket}"
    if found.asked and not found.tested:
        return problem(
            "blocking.no-rules",
            f"{said}, and no loaded rule tests a bit of portkin's: nothing can be blocked",
            "portkin rules build -o portkin.rules && portkin rules install portkin.rules && suricata-update",
        )
    return ok("blocking.suricata", f"{said}, with rules for portkin's bits")


def _rule_health(found: SuricataFacts) -> list[Finding]:
    if found.rules_loaded is None:
        return [skipped("blocking.rules-unknown", "Suricata does not say how many of its rules are loaded")]
    left_out = f", {found.rules_skipped:,} skipped" if found.rules_skipped else ""
    if not found.rules_failed:
        return [ok("blocking.rules", f"{found.rules_loaded:,} rules are loaded, none failed{left_out}")]
    where = f", at {', '.join(found.failed)}" if found.failed else ""
    more = " and others" if found.rules_failed > len(found.failed) > 0 else ""
    failed = f"{amount(found.rules_failed, 'rule')} failed to load{where}{more}"
    return [
        warning(
            "blocking.rules-failed",
            f"{failed}; {found.rules_loaded:,} are loaded{left_out}",
            "suricata -T says why; if it is portkin's file, build it for this Suricata: portkin rules build --check",
        )
    ]


def _suricata_mode(found: SuricataFacts) -> list[Finding]:
    if found.inline is None:
        return [skipped("blocking.inline-unknown", f"whether Suricata ({found.mode}) runs inline is not known yet")]
    if found.inline:
        return [ok("blocking.inline", f"Suricata runs inline ({found.mode})")]
    return [
        warning(
            "blocking.not-inline",
            f"Suricata ({found.mode}) does not run inline: it alerts and drops nothing",
            "run it inline: by NFQUEUE, or by AF_PACKET with copy-mode: ips",
        )
    ]


def _suricata_version(found: SuricataFacts) -> list[Finding]:
    if not stores_ipv6_wrongly(found.version):
        return []
    return [
        warning(
            "blocking.ipv6",
            f"Suricata {found.version} takes the host bits of all IPv6 sources for one, so none of these is blocked",
            "upgrade Suricata to 7.0.14, 8.0.3 or later, or block IPv6 by nftables",
        )
    ]


def _suricata_memory(found: SuricataFacts, max_blocks: int) -> list[Finding]:
    """Whether Suricata keeps the bits of as many sources as the sidecar may block, each by one port."""
    if found.host_memcap is None:
        return []
    sources, needed = found.host_memcap // HOST_BYTES, max_blocks * HOST_BYTES
    said = f"Suricata's host.memcap, {found.host_memcap >> 20} MiB, holds some {sources:,} sources"
    if sources >= max_blocks:
        return [ok("blocking.host-memcap", said)]
    return [
        warning(
            "blocking.host-memcap",
            f"{said}, and enforce.limits.max_blocks is {max_blocks:,}: under a flood of sources, blocks are lost",
            f"set host.memcap in suricata.yaml to {(needed >> 20) + 1}mb, and host.hash-size near {max_blocks:,}",
        )
    ]
