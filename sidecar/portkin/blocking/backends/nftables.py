"""Blocks in the kernel: sets of (source, port) in a table of our own, each element with its own timeout.

    table inet portkin {
        set tcp4 { type ipv4_addr . inet_service; flags timeout; counter }      and tcp6, udp4, udp6
        chain scanners { type filter hook prerouting priority -310; policy accept;
            ip saddr . tcp dport @tcp4 counter name dropped drop                and so on }
    }

The kernel takes an element away when its time is over, so nothing here outlives its time though we die.
Writing goes through libnftables; reading does not, for that copies every element of every set, twice, to
answer anything: 2 s and 180 MB with 100,000 elements. Reading is plain nfnetlink instead.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import Literal, TypeVar

from portkin.blocking.backends.backend import Batch, Dropped, Held, Timed
from portkin.blocking.backends.libnftables import Runner, find_runner
from portkin.blocking.backends.nfnetlink import counter, elements
from portkin.blocking.block import Mode, Pair, text_of
from portkin.errors import BackendError
from portkin.net.addresses import MAPPED
from portkin.net.ports import Port, Proto

T = TypeVar("T")
Hook = Literal["prerouting", "input", "forward"]
SETS: dict[str, tuple[Proto, int]] = {"tcp4": ("tcp", 4), "tcp6": ("tcp", 6), "udp4": ("udp", 4), "udp6": ("udp", 6)}
"""Each set: the protocol and the version of IP."""
COUNTER = "dropped"
CHAIN = "scanners"


@dataclass(frozen=True)
class Place:
    """Where in the kernel: the names and numbers that an operator chooses."""

    table: str = "portkin"
    hook: Hook = "prerouting"
    priority: int = -310
    size: int = 200_000
    """Elements that one set may have."""


class Nftables:
    """A `Backend`. For one thread at a time."""

    mode: Mode = "nftables"

    def __init__(self, place: Place, runner: Runner | None = None) -> None:
        """Raises BackendError where there is no nftables. The table's name must be a word (ValueError)."""
        if not (place.table.isascii() and place.table.isidentifier()):
            raise ValueError(f"{place.table!r} is no name for a table; use letters, digits and _")
        self._place = place
        self._runner = runner or find_runner()

    @property
    def runner(self) -> str:
        """What carries out our commands."""
        return self._runner.name

    def setup(self) -> None:
        """Make the table, or put its chain in place; a table whose sets are others is made anew."""
        try:
            self._runner.run(setup_commands(self._place))
        except BackendError:
            # Its sets have another size, or something under our name is not ours.
            self._runner.run(teardown_commands(self._place) + setup_commands(self._place))

    def teardown(self) -> None:
        """Take the table away, and every block with it; no error where there is none."""
        self._runner.run(teardown_commands(self._place))

    def apply(self, batch: Batch) -> Collection[Pair]:
        if batch:
            self._runner.run(batch_commands(self._place.table, batch))
        return ()

    def held(self) -> Mapping[Pair, Held]:
        found: dict[Pair, Held] = {}
        for name, (proto, version) in SETS.items():
            width, mapped = (4, MAPPED) if version == 4 else (16, 0)
            ports: dict[int, Port] = {}
            for key, *held in _read(elements, self._place.table, name):
                # The address, then the port, padded to four bytes.
                number = int.from_bytes(key[width : width + 2], "big")
                port = ports.setdefault(number, Port(number, proto))
                found[Pair(int.from_bytes(key[:width], "big") | mapped, port)] = Held(*held)
        return found

    def dropped(self) -> Dropped:
        """What the table's rules have dropped since the table was made."""
        counted = _read(counter, self._place.table, COUNTER)
        if counted is None:
            raise BackendError(
                f"nftables: table inet {self._place.table} is not there, or not ours; `portkin nft setup` makes it"
            )
        return Dropped(*counted)

    def forgot(self) -> bool:
        """Whether the table is gone, as after ``nft flush ruleset``."""
        try:
            self.dropped()
        except BackendError:
            return True
        return False

    def close(self) -> None:
        self._runner.close()


def setup_commands(place: Place) -> str:
    """The nft commands that make the table, and leave what its sets hold.

    The chain is made anew, since a chain's hook and priority cannot be changed.
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
    """The nft commands that take the table away, whether or not it is there."""
    return f"add table inet {place.table}\ndelete table inet {place.table}\n"


def batch_commands(table: str, batch: Batch) -> str:
    """The nft commands of a batch; numbers and addresses only, so no text of anybody's gets in.

    Kernels before 6.12 leave the timeout of an element as it is when it is added again, and deleting one that
    has just run out fails. Added, deleted and added, in one transaction, it is there with its new time whatever
    was before, and no packet sees it absent.
    """
    extended = [pair for pair, _ in batch.extend]
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


def _commands(verb: str, table: str, items: list[Timed] | list[Pair]) -> Iterator[str]:
    """One command per set that the items are in."""
    by_set: dict[str, list[str]] = {}
    for item in items:
        pair, timeout = (item.pair, f" timeout {_time(item.seconds)}") if type(item) is Timed else (item, "")
        name, element = _element(pair)
        by_set.setdefault(name, []).append(element + timeout)
    for name, texts in by_set.items():
        yield f"{verb} element inet {table} {name} {{ {', '.join(texts)} }}\n"


def _element(pair: Pair) -> tuple[str, str]:
    """The set of a pair, and the element's text, made of numbers."""
    number, proto = pair.port
    version = 4 if pair.src >> 32 == 0xFFFF else 6
    return f"{proto}{version}", f"{text_of(pair.src)} . {number:d}"


def _time(seconds: float) -> str:
    """The text of a time; nft reads numbers of eight digits at most (nftables 1.0.6: "value too large")."""
    milliseconds = max(1, int(seconds * 1000))
    return f"{milliseconds}ms" if milliseconds < 10**8 else f"{milliseconds // 1000}s"


def _read(read: Callable[..., T], *args: str) -> T:
    try:
        return read(*args)
    except OSError as error:
        raise BackendError(f"nftables: cannot be read ({error.strerror})") from None
