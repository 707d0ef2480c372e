"""Checks of this machine: portkin itself, its databases, the clock."""

from __future__ import annotations

from collections.abc import Sequence

from portkin.config.schema import Config
from portkin.doctor.facts import DatabaseFacts, Facts, Installation, SidecarAnswers
from portkin.doctor.findings import Finding, ok, problem, warning

LEAST = 2**20
"""Bytes: with less on its disk a database cannot grow for long."""
MAX_SKEW = 2.0
"""Seconds between the clocks of Zeek and of the sidecar: a bin of probing rates waits for two minutes."""


def check_installation(found: Installation) -> list[Finding]:
    """Python, portkin, and what each extra still needs."""
    missing = dict(found.missing)
    runtime = missing.pop("runtime", ())
    said = f"portkin {found.portkin}, Python {found.python} ({found.executable})"
    if runtime:
        return [
            problem(
                "installation.incomplete",
                f"{said} lacks {', '.join(runtime)}",
                f"install it again: {found.remedies['runtime']}",
            )
        ]
    findings = [ok("installation.complete", said)]
    if missing:
        # An extra that is not installed is a choice.
        findings.append(ok("installation.extras", f"without the extras {', '.join(missing)}, which serving needs not"))
    return findings


def check_databases(databases: Sequence[DatabaseFacts], sidecar: SidecarAnswers | None) -> list[Finding]:
    """The block and the rates database."""
    ready = 1.0 if sidecar is None else sidecar.samples.get("portkin_block_database_ready", 1.0)
    return [_database(found, unwritten=found.name == "enforce.database" and not ready) for found in databases]


def _database(found: DatabaseFacts, *, unwritten: bool) -> Finding:
    code = "rates-database" if found.name.startswith("rates.") else "block-database"
    full = found.free is not None and found.free < LEAST
    if found.state in ("ours", "absent") and (full or unwritten):
        return _no_room(found, code, full=full, unwritten=unwritten or found.free == 0)
    match found.state:
        case "foreign":
            return problem(
                f"{code}.foreign", f"{found.path} is no database of portkin's ({found.detail})", f"correct {found.name}"
            )
        case "unreadable":
            return problem(
                f"{code}.unreadable",
                f"{found.path} cannot be read ({found.detail})",
                f"run the doctor as the user of the sidecar, or correct {found.name}",
            )
        case "absent" if not found.writable:
            return warning(
                f"{code}.not-creatable",
                f"{found.path} is not there, and this user cannot create it",
                f"create {found.path.parent} for the user of the sidecar, or set {found.name}",
            )
        case "absent":
            return ok(f"{code}.absent", f"{found.path} is created when it is needed")
    return ok(f"{code}.usable", f"{found.path}{f', {found.detail}' if found.detail else ''}")


def _no_room(found: DatabaseFacts, code: str, *, full: bool, unwritten: bool) -> Finding:
    """A database that cannot be written, or soon cannot."""
    left = f"{(found.free or 0) >> 10} KiB are left on the disk of {found.path}"
    remedy = f"free space there, or set {found.name} to a file on another disk, and restart the sidecar"
    if not unwritten:
        return warning(f"{code}.disk-full", left, remedy)
    without = "no rates are recorded" if found.name.startswith("rates.") else "nothing new is blocked"
    return problem(
        f"{code}.not-written",
        f"{found.path} cannot be written, so {without}{f': {left}' if full else ''}",
        remedy if full else "the sidecar's log says why",
    )


def check_clock(facts: Facts, config: Config) -> list[Finding]:
    """This machine's clock, and Zeek's beside it."""
    skew = facts.zeek.skew if facts.zeek else None
    if skew is not None and abs(skew) > MAX_SKEW:
        which = "ahead of" if skew > 0 else "behind"
        return [
            warning(
                "clock.differs",
                f"Zeek's clock is {abs(skew):.0f} s {which} this machine's",
                "synchronise both by NTP (Debian: apt install chrony)",
            )
        ]
    if facts.clock.synchronised is None:
        return []
    if facts.clock.synchronised:
        return [ok("clock.synchronised", "the clock is synchronised")]
    said = "the kernel says that the clock is not synchronised"
    if config.rates.model is None:
        return [ok("clock.unsynchronised", f"{said}; nothing here depends on it while no rates are scored")]
    # Bins of probing rates are hours of the clock.
    return [warning("clock.unsynchronised", said, "synchronise it by NTP (Debian: apt install chrony)")]
