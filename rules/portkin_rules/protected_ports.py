"""Which ports are protected: the N that are predicted most often, or a list."""

from __future__ import annotations

from collections import Counter

from portkin.bundles.table import Table
from portkin.errors import PortError, RulesError
from portkin.net.ports import PORTS, PROTOS, Port


def chosen(text: str, table: Table, k: int) -> tuple[Port, ...]:
    """The ports that ``text`` means: ``1000`` (so many), or ``22,80/tcp,53/udp,8000-8100`` (these).

    A number alone is how many, so one port alone is written ``80/tcp``. In order of protocol and number. Raises
    RulesError for a port that the table does not know, PortError for what is no port.
    """
    if text.strip().isdigit():
        return _sorted(most_predicted(table, k, int(text)))
    known = set(most_predicted(table, table.k, 2 * PORTS))
    found: set[Port] = set()
    for part in text.split(","):
        wanted = _parse(part)
        unknown = [port for port in wanted if port not in known]
        # A range stands for what is known of it; a port named alone must be known.
        if len(unknown) == len(wanted):
            raise RulesError(
                f"{part.strip()}: table {table.id} has never seen it, so nothing predicts it; "
                "leave it out, or build a table from recordings that hold it"
            )
        found.update(port for port in wanted if port in known)
    return _sorted(found)


def most_predicted(table: Table, k: int, n: int) -> list[Port]:
    """The ``n`` ports that are most often among the ``k`` nearest of another; fewer where the table knows fewer."""
    if not 1 <= n <= 2 * PORTS:
        raise RulesError(f"{n} ports: protect 1 to {2 * PORTS}; one port alone is written 80/tcp")
    times: Counter[Port] = Counter()
    for proto in PROTOS:
        if proto not in table.rows:
            continue
        nearest = table.matrix(proto)[:, :k]
        times.update({Port(number, proto): 0 for number in table.rows[proto].ports.tolist()})
        times.update(Port(number, proto) for number in nearest[nearest >= 0].tolist())
    return sorted(times, key=lambda port: (-times[port], port.proto, port.number))[:n]


def _parse(text: str) -> list[Port]:
    numbers, slash, proto = text.strip().partition("/")
    first, dash, last = numbers.partition("-")
    if not first or (dash and not last):
        raise PortError(f"{text.strip()!r} is no port and no range of ports; write 80/tcp or 8000-8100/tcp")
    start = Port.parse(f"{first}{slash}{proto}")
    if not dash:
        return [start]
    end = Port.parse(f"{last}{slash}{proto}")
    if end.number < start.number or end.number >= PORTS:
        raise PortError(f"{text.strip()!r}: the range ends before it begins")
    return [Port(number, start.proto) for number in range(start.number, end.number + 1)]


def _sorted(ports) -> tuple[Port, ...]:
    return tuple(sorted(ports, key=lambda port: (port.proto, port.number)))
