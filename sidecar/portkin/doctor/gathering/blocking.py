"""Facts about what carries blocks out, and about the databases. Nothing is blocked, released or created."""

from __future__ import annotations

import os
import re
import sqlite3
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

from portkin.blocking.backends.host_bits import bit_of
from portkin.blocking.backends.nftables import Nftables
from portkin.blocking.config import EnforceConfig, database_path, place_of
from portkin.config.schema import Config
from portkin.doctor.facts import DatabaseFacts, NftablesFacts, SuricataFacts
from portkin.errors import BackendError
from portkin.net.ports import Port
from portkin.net.suricata_socket import SuricataSocket
from portkin.rates.config import rates_database_path

_CAP_NET_ADMIN = 12
_FAILED = 3
"""How many of the rules that failed are named."""
_NOBODY = "255.255.255.255"
"""An address that is never a source, and never has a bit."""
_OFTEN = (22, 23, 80, 443, 445, 2323, 3389, 5555, 8080, 8443)
"""Ports for which any rules of portkin's test a bit."""
APPLICATIONS = {"enforce.database": 0x706B696E, "rates.database": 0x706B7274}
"""The marks of our databases (PRAGMA application_id): ``pkin``, ``pkrt``."""


def gather_nftables(config: EnforceConfig) -> NftablesFacts:
    """The kernel's table, and whether this process may change it."""
    place = place_of(config)
    privileged = bool(_capabilities() >> _CAP_NET_ADMIN & 1)
    try:
        backend = Nftables(place)
    except BackendError as error:
        return NftablesFacts(place.table, privileged=privileged, detail=str(error))
    try:
        backend.dropped()
        held = len(backend.held())
    except BackendError as error:
        state: Literal["missing", "unreadable"] = (
            "missing" if "is missing" in str(error) and privileged else "unreadable"
        )
        return NftablesFacts(place.table, backend.runner, privileged, state, str(error), hook=place.hook)
    finally:
        backend.close()
    return NftablesFacts(place.table, backend.runner, privileged, "present", held=held, hook=place.hook)


def _capabilities() -> int:
    """The effective capabilities of this process (capabilities(7)), a bit each."""
    try:
        status = Path("/proc/self/status").read_text(encoding="ascii", errors="replace")
    except OSError:
        return 0
    found = re.search(r"^CapEff:\s*([0-9a-f]+)$", status, re.MULTILINE)
    return int(found[1], 16) if found else 0


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


def gather_databases(config: Config) -> tuple[DatabaseFacts, ...]:
    """The block database, and where models are set the rates database."""
    found = [_database("enforce.database", database_path(config.enforce))]
    if config.rates.model is not None:
        found.append(_database("rates.database", rates_database_path(config.rates)))
    return tuple(found)


def _database(name: str, path: Path) -> DatabaseFacts:
    return replace(_file(name, path), free=_room(path.parent))


def _room(folder: Path) -> int | None:
    """Bytes that users other than root may still write there; 0 where nothing can be written, None where unknown."""
    try:
        disk = os.statvfs(folder)
    except OSError:
        return None
    return 0 if disk.f_flag & os.ST_RDONLY else disk.f_bavail * disk.f_frsize


def _file(name: str, path: Path) -> DatabaseFacts:
    try:
        if not path.exists():
            return DatabaseFacts(name, path, "absent", writable=_can_create(path.parent))
        with path.open("rb") as opened:
            header = opened.read(72)
    except OSError as error:
        return DatabaseFacts(name, path, "unreadable", False, error.strerror or str(error))
    writable = os.access(path, os.W_OK)
    # The format of the first page: https://www.sqlite.org/fileformat.html#the_database_header
    if not header:
        return DatabaseFacts(name, path, "ours", writable, "empty")
    if not header.startswith(b"SQLite format 3\0"):
        return DatabaseFacts(name, path, "foreign", writable, "not a SQLite file")
    if APPLICATIONS[name] not in (int.from_bytes(header[68:72], "big"), _mark_in_log(path)):
        return DatabaseFacts(name, path, "foreign", writable, "a SQLite file of another program")
    return DatabaseFacts(name, path, "ours", writable)


def _mark_in_log(path: Path) -> int | None:
    """The mark that is still in the write-ahead log alone, as in the first minutes of a database; None without a log.

    SQLite gives files that it makes here as root to the owner of the database.
    """
    if not path.with_name(path.name + "-wal").exists():
        return None
    try:
        with closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True, timeout=1.0)) as database:
            (mark,) = database.execute("PRAGMA application_id").fetchone()
    except sqlite3.Error:
        return None
    return int(mark)


def _can_create(folder: Path) -> bool:
    """Whether this user may make the folder, or write in it."""
    while not folder.exists() and folder != folder.parent:
        folder = folder.parent
    return folder.is_dir() and os.access(folder, os.W_OK | os.X_OK)
