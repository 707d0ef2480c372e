"""Which ports are protected: the N that are predicted most often, or a list."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

from portkin.bundles.table import Table
from portkin.errors import PortError, RulesError
from portkin.net.ports import PORTS, PROTOS, Port


def select_ports(text: str, table: Table, k: int) -> tuple[Port, ...]:
    """Return the ports that ``text`` names: ``1000`` (the number of ports), or ``22,80/tcp,53/udp,8000-8100`` (a list).

    A number alone is how many, so a single port is written ``80/tcp``. In order of protocol and number. Raises
    RulesError for a port that is not in the table, PortError for text that is not a port.
    """
    if text.strip().isdigit():
        return _sorted(most_predicted(table, k, int(text)))
    known = set(most_predicted(table, table.k, 2 * PORTS))
    found: set[Port] = set()
    for part in text.split(","):
        wanted = _parse(part)
        unknown = [port for port in wanted if port not in known]
        # A range stands for those of its ports that are in the table; a port named alone must be there.
        if len(unknown) == len(wanted):
            raise RulesError(
                f"{part.strip()}: not in table {table.id}, so nothing predicts it; "
                "leave it out, or build a table from recordings that contain it"
            )
        found.update(port for port in wanted if port in known)
    return _sorted(found)


def most_predicted(table: Table, k: int, n: int) -> list[Port]:
    """Return the ``n`` ports that are most often among the ``k`` nearest of another; all if the table has fewer.

    RulesError for no port or more than there are.
    """
    if not 1 <= n <= 2 * PORTS:
        raise RulesError(f"{n} ports: protect 1 to {2 * PORTS}; a single port is written 80/tcp")
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
        raise PortError(f"{text.strip()!r} is neither a port nor a range of ports; write 80/tcp or 8000-8100/tcp")
    start = Port.parse(f"{first}{slash}{proto}")
    if not dash:
        return [start]
    end = Port.parse(f"{last}{slash}{proto}")
    if end.number < start.number or end.number >= PORTS:
        raise PortError(f"{text.strip()!r}: the range ends before it begins")
    return [Port(number, start.proto) for number in range(start.number, end.number + 1)]


def _sorted(ports: Iterable[Port]) -> tuple[Port, ...]:
    return tuple(sorted(ports, key=lambda port: (port.proto, port.number)))
