"""Facts about Suricata, over its socket. Nothing is blocked, released or created."""

from __future__ import annotations

import re
from typing import Any

from portkin.blocking.backends.host_bits import bit_of
from portkin.blocking.config import EnforceConfig
from portkin.doctor.facts import SuricataFacts
from portkin.errors import BackendError
from portkin.net.ports import Port
from portkin.net.suricata_socket import SuricataSocket

_FAILED = 3
"""How many of the rules that failed are named."""
_NOBODY = "255.255.255.255"
"""An address that is never a source, and never has a bit."""
_OFTEN = (22, 23, 80, 443, 445, 2323, 3389, 5555, 8080, 8443)
"""Ports for which any rules of portkin's test a bit."""


def gather_suricata(config: EnforceConfig) -> SuricataFacts:
    """What Suricata says over its socket.

    Removing a bit of an address that has none changes nothing, and shows whether a rule tests the bit.
    """
    suricata = SuricataSocket(config.suricata.socket, timeout=config.suricata.timeout)
    bits = tuple(bit_of(Port(number, "tcp")) for number in _OFTEN)
    try:
        suricata.connect()
        version, mode = (str(suricata.command(name).get("message"))[:120] for name in ("version", "capture-mode"))
        counters = suricata.command("dump-counters").get("message")
        rules = _rules(suricata)
        memcap = _bytes(suricata.command("memcap-show", config="host").get("message"))
        said = {bit: suricata.command("remove-hostbit", ipaddress=_NOBODY, hostbit=bit).get("message") for bit in bits}
    except BackendError as error:
        return SuricataFacts(suricata.path, error=str(error))
    finally:
        suricata.close()
    # Only an inline Suricata counts what it let pass and what it dropped.
    inline = "ips" in counters if isinstance(counters, dict) else None
    tested = tuple(bit for bit in bits if said[bit] != "hostbit not found")
    return SuricataFacts(suricata.path, "", version, mode, inline, tested, bits, *rules, memcap)


def _rules(suricata: SuricataSocket) -> tuple[int | None, int, int, tuple[str, ...]]:
    """How many rules are loaded, failed and skipped, and where the first failed ones stand; see `SuricataFacts`.

    Suricata before 7 does not count those that it skipped. Raises BackendError.
    """
    stats = _listed(suricata.command("ruleset-stats"))
    if not stats:
        return None, 0, 0, ()
    loaded, failed, skipped = (
        sum(int(tenant.get(name) or 0) for tenant in stats)
        for name in ("rules_loaded", "rules_failed", "rules_skipped")
    )
    where = _listed(suricata.command("ruleset-failed-rules")) if failed else []
    return loaded, failed, skipped, tuple(f"{rule.get('filename')}:{rule.get('line')}" for rule in where[:_FAILED])


def _listed(reply: dict[str, Any]) -> list[dict[str, Any]]:
    """The objects of a reply; none where it is something else, or an error."""
    message = reply.get("message")
    if reply.get("return") != "OK" or not isinstance(message, list):
        return []
    return [each for each in message if isinstance(each, dict)]


def _bytes(message: object) -> int | None:
    """The bytes of what Suricata answers about a memcap: ``{"value": "32mb"}``; None where it is unlimited."""
    value = message.get("value") if isinstance(message, dict) else None
    found = re.fullmatch(r"(\d+)\s*([kmg]?)i?b?", str(value).strip().lower())
    return int(found[1]) << {"": 0, "k": 10, "m": 20, "g": 30}[found[2]] if found else None
