"""The nft commands that create and delete our table, as text: what an operator may want to read first."""

from __future__ import annotations

from portkin.blocking.backends.place import Place
from portkin.net.ports import Proto

MARK = "portkin: do not edit"
"""The comment on our table."""
SETS: dict[str, tuple[Proto, int]] = {"tcp4": ("tcp", 4), "tcp6": ("tcp", 6), "udp4": ("udp", 4), "udp6": ("udp", 6)}
"""Each set: protocol and IP version."""
COUNTER = "dropped"
CHAIN = "scanners"


def setup_commands(place: Place) -> str:
    """The nft commands that create the table, and keep what its sets hold.

    The chain is recreated, since a chain's hook and priority cannot be changed.
    """
    table = f"inet {place.table}"
    lines = [f"add {declared(place.table)}".rstrip()]
    for name, (_, version) in SETS.items():
        lines.append(
            f"add set {table} {name} "
            f"{{ type ipv{version}_addr . inet_service; flags timeout; size {place.size}; counter; }}"
        )
    lines += [
        f"add counter {table} {COUNTER}",
        f"add chain {table} {CHAIN}",
        f"delete chain {table} {CHAIN}",
        f"add chain {table} {CHAIN} {{ type filter hook {place.hook} priority {place.priority}; policy accept; }}",
    ]
    for name, (proto, version) in SETS.items():
        address = "ip saddr" if version == 4 else "ip6 saddr"
        lines.append(f"add rule {table} {CHAIN} {address} . {proto} dport @{name} counter name {COUNTER} drop")
    return "\n".join(lines) + "\n"


def teardown_commands(place: Place) -> str:
    """The nft commands that delete the table, whether or not it exists."""
    return f"add table inet {place.table}\ndelete table inet {place.table}\n"


def declared(table: str) -> str:
    """Our table, with its mark."""
    return f'table inet {table} {{ comment "{MARK}"; }}\n'
