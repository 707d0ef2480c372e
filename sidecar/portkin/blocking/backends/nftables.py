"""Blocks in the kernel: sets of (source, port) in a table of our own, each element with its own timeout.

    table inet portkin {
        set tcp4 { type ipv4_addr . inet_service; flags timeout; counter }      and tcp6, udp4, udp6
        chain scanners { type filter hook prerouting priority -310; policy accept;
            ip saddr . tcp dport @tcp4 counter name dropped drop                and so on }
    }

The kernel removes an element when its timeout is over, so no block outlives its time even if the sidecar dies.
Writing goes through libnftables; reading does not, since that copies every element of every set, twice, for any
answer: 2 s and 180 MB with 100,000 elements. Reading is plain nfnetlink instead.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, TypeVar

from portkin.blocking.backends.backend import Batch, Dropped, HeldBlock, TimedKey
from portkin.blocking.backends.libnftables import Runner, find_runner
from portkin.blocking.backends.nfnetlink import counter, elements
from portkin.blocking.block import BlockKey, Mode
from portkin.errors import BackendError
from portkin.net.addresses import MAPPED, text_of
from portkin.net.ports import Port, Proto

T = TypeVar("T")
Hook = Literal["prerouting", "input", "forward"]
SETS: dict[str, tuple[Proto, int]] = {"tcp4": ("tcp", 4), "tcp6": ("tcp", 6), "udp4": ("udp", 4), "udp6": ("udp", 6)}
"""Each set: protocol and IP version."""
COUNTER = "dropped"
CHAIN = "scanners"


@dataclass(frozen=True)
class Place:
    """Where in the kernel: the names and numbers that an operator chooses."""

    table: str = "portkin"
    hook: Hook = "prerouting"
    priority: int = -310
    size: int = 200_000
    """Elements that one set may hold."""


class Nftables:
    """A `Backend`. For one thread at a time."""

    mode: Mode = "nftables"

    def __init__(self, place: Place, runner: Runner | None = None) -> None:
        """Raises BackendError where nftables is not installed, ValueError for a table name that is not a word."""
        if not (place.table.isascii() and place.table.isidentifier()):
            raise ValueError(f"{place.table!r} is not a table name; use letters, digits and _")
        self._place = place
        self._runner = runner or find_runner()

    @property
    def runner(self) -> str:
        """What runs the commands: the library or the program."""
        return self._runner.name

    def setup(self) -> None:
        """Create the table, or move its chain; a table with different sets is recreated."""
        try:
            self._runner.run(setup_commands(self._place))
        except BackendError:
            # Its sets have another size, or another program uses the name.
            self._runner.run(teardown_commands(self._place) + setup_commands(self._place))

    def teardown(self) -> None:
        """Delete the table, and every block with it; no error where there is none."""
        self._runner.run(teardown_commands(self._place))

    def apply(self, batch: Batch) -> Collection[BlockKey]:
        if batch:
            self._runner.run(batch_commands(self._place.table, batch))
        return ()

    def held(self) -> Mapping[BlockKey, HeldBlock]:
        found: dict[BlockKey, HeldBlock] = {}
        for name, (proto, version) in SETS.items():
            width, mapped = (4, MAPPED) if version == 4 else (16, 0)
            ports: dict[int, Port] = {}
            for key, seconds, packets, octets in _read(elements, self._place.table, name):
                # The address, then the port, padded to four bytes.
                number = int.from_bytes(key[width : width + 2], "big")
                port = ports.setdefault(number, Port(number, proto))
                found[BlockKey(int.from_bytes(key[:width], "big") | mapped, port)] = HeldBlock(seconds, packets, octets)
        return found

    def dropped(self) -> Dropped:
        """What the table's rules have dropped since the table was created."""
        counted = _read(counter, self._place.table, COUNTER)
        if counted is None:
            raise BackendError(
                f"nftables: table inet {self._place.table} is missing, or not ours; `portkin nft setup` creates it"
            )
        return Dropped(*counted)

    def lost_blocks(self) -> bool:
        """Whether the table is gone, as after ``nft flush ruleset``."""
        try:
            self.dropped()
        except BackendError:
            return True
        return False

    def close(self) -> None:
        self._runner.close()


def setup_commands(place: Place) -> str:
    """The nft commands that create the table, and keep what its sets hold.

    The chain is recreated, since a chain's hook and priority cannot be changed.
    """
    table = f"inet {place.table}"
    lines = [f"add table {table}"]
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


def batch_commands(table: str, batch: Batch) -> str:
    """The nft commands of a batch; numbers and addresses only, so that no foreign text gets in.

    Kernels before 6.12 leave the timeout of an element as it is when it is added again, and deleting one that
    has just expired fails. Added, deleted and added, in one transaction, it has its new timeout whatever was
    before, and no packet sees it absent.
    """
    extended = [key for key, _ in batch.extend]
    return "".join(
        [
            *_commands("add", table, batch.add),
            *_commands("add", table, batch.extend),
            *_commands("delete", table, extended),
            *_commands("add", table, batch.extend),
            *_commands("add", table, batch.remove),
            *_commands("delete", table, batch.remove),
        ]
    )


def _commands(verb: str, table: str, items: Sequence[TimedKey] | Sequence[BlockKey]) -> Iterator[str]:
    """One command per set that the items are in."""
    by_set: dict[str, list[str]] = {}
    for item in items:
        if isinstance(item, TimedKey):
            key, timeout = item.key, f" timeout {_time(item.seconds)}"
        else:
            key, timeout = item, ""
        name, element = _element(key)
        by_set.setdefault(name, []).append(element + timeout)
    for name, texts in by_set.items():
        yield f"{verb} element inet {table} {name} {{ {', '.join(texts)} }}\n"


def _element(key: BlockKey) -> tuple[str, str]:
    """The set of a key, and the element's text, made of numbers."""
    number, proto = key.port
    version = 4 if key.src >> 32 == 0xFFFF else 6
    return f"{proto}{version}", f"{text_of(key.src)} . {number:d}"


def _time(seconds: float) -> str:
    """The text of a time; nft reads numbers of eight digits at most (nftables 1.0.6: "value too large")."""
    milliseconds = max(1, int(seconds * 1000))
    return f"{milliseconds}ms" if milliseconds < 10**8 else f"{milliseconds // 1000}s"


def _read(read: Callable[..., T], *args: str) -> T:
    try:
        return read(*args)
    except OSError as error:
        raise BackendError(f"nftables: cannot be read ({error.strerror})") from None
