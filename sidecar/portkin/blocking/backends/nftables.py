"""Blocks in the kernel: sets of (source, port) in a table of our own, each element with its own timeout.

    table inet portkin {
        comment "portkin: do not edit"
        set tcp4 { type ipv4_addr . inet_service; flags timeout; counter }      and tcp6, udp4, udp6
        chain scanners { type filter hook prerouting priority -310; policy accept;
            ip saddr . tcp dport @tcp4 counter name dropped drop                and so on }
    }

The kernel removes an element when its timeout is over, so no block outlives its time even if the sidecar dies.
The table is made by libnftables, or else by the program nft. Its elements are written and read by nfnetlink: the
library takes half a millisecond for a batch, and copies every element of every set, twice, for any answer, 2 s and
180 MB with 100,000 elements.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from ipaddress import IPv4Address, IPv6Address
from itertools import islice
from typing import TypeVar

from portkin.blocking.backends.backend import Batch, Dropped, HeldBlock, TimedKey
from portkin.blocking.backends.libnftables import Runner, find_runner
from portkin.blocking.backends.nfnetlink import Element, counter, element, elements
from portkin.blocking.backends.nfnetlink_write import Change, Command, ElementWriter
from portkin.blocking.backends.nftables_setup import (
    CHAIN,
    COUNTER,
    MARK,
    SETS,
    declared,
    setup_commands,
    teardown_commands,
)
from portkin.blocking.backends.nftables_table import TableState, dropping_sets, read_table, set_sizes
from portkin.blocking.backends.place import ELEMENTS, Place, fault_of_name
from portkin.blocking.block import BlockKey, Mode, key_of
from portkin.errors import BackendError
from portkin.net.addresses import MAPPED, Address
from portkin.net.ports import Port

T = TypeVar("T")
_PARTS = frozenset({("chain", CHAIN), ("object", COUNTER), *(("set", name) for name in SETS)})
_OTHER_TYPE = ("File exists", "datatype mismatch")
"""What the kernel (EEXIST) and nft say of a set that has another type than the one to be added; never translated."""
_NOBODY: dict[int, Address] = {4: IPv4Address("240.0.0.1"), 6: IPv6Address("100::1")}
"""Addresses that no packet comes from: reserved (RFC 1112, section 4), and discarded (RFC 6666)."""
_ONE_BY_ONE = 200
"""Elements that are asked for one by one, at some 40 microseconds each, before giving up if none of them is there."""
_TRIAL_KEYS = [key_of(_NOBODY[version], Port(1, proto)) for proto, version in SETS.values()]


class Nftables:
    """A `Backend`. For one thread at a time."""

    mode: Mode = "nftables"

    def __init__(self, place: Place, runner: Runner | None = None, *, prolongs: bool | None = None) -> None:
        """``prolongs``: whether the kernel prolongs an element in place, keeping its counter; None: it is tried out.

        Raises BackendError where nftables is not installed, ValueError for a name that no table can have.
        """
        fault = fault_of_name(place.table)
        if fault:
            raise ValueError(f"{place.table!r} is not the name of a table: {fault}")
        self._place = place
        self._runner = runner or find_runner()
        self._writer = ElementWriter()
        self._ways = (True, False) if prolongs is None else (prolongs,)
        self._handle: int | None = None
        """Of the table as `setup` left it; None before."""
        self.prolongs = False
        """Whether the kernel extends an element in place; known once `setup` has tried it."""

    @property
    def runner(self) -> str:
        """What changes the table: the library, or the program nft."""
        return self._runner.name

    def setup(self, room: int = 0) -> None:
        """Create the table, or mend it; of ours with sets of another type, or too small ones, nothing is kept.

        Raises BackendError for a table of the same name that is not ours, which is left as it is.
        """
        self._place = replace(self._place, size=max(self._place.size, ELEMENTS * room))
        state = self._ours()
        if state is None:
            # Fails where somebody else has created one meanwhile.
            self._runner.run(f"create {declared(self._place.table)}")
        elif state.dormant:
            # By itself: the kernel takes no chains in the transaction that switches a table on.
            self._runner.run(f"add {declared(self._place.table)}")
        try:
            self._runner.run(setup_commands(self._place))
        except BackendError as error:
            if not any(text in str(error) for text in _OTHER_TYPE):
                raise
            self._replace(state)
        else:
            # Linux 6.1 takes the new size of a set that is there, and leaves it as it is.
            sizes = _read(set_sizes, self._place.table)
            if any(0 < sizes.get(name, 0) < self._place.size for name in SETS):
                self._replace(state)
        state = self._ours()
        if state is None:
            raise BackendError(f"nftables: table inet {self._place.table} was deleted just now; it is tried again")
        self._handle = state.handle
        self._prove()

    def _replace(self, state: TableState | None) -> None:
        self._refuse_foreign_parts(state, "replaced")
        self._runner.run(teardown_commands(self._place) + setup_commands(self._place))

    def join(self) -> bool:
        """Whether the table is there and drops."""
        if self.lost_blocks():
            return False
        self._prove()
        return True

    def teardown(self) -> None:
        """Delete the table, and every block with it; no error where there is none.

        Raises BackendError for a table that is not ours.
        """
        state = self._ours()
        if state is not None:
            self._refuse_foreign_parts(state, "deleted")
            self._runner.run(teardown_commands(self._place))

    def apply(self, batch: Batch) -> Mapping[BlockKey, str]:
        if batch:
            extend = batch.extend if self.prolongs else [self._with_counter(item) for item in batch.extend]
            self._write(Batch(batch.add, extend, batch.remove), prolongs=self.prolongs)
        return {}

    def held(self, expected: Iterable[BlockKey] = ()) -> Mapping[BlockKey, HeldBlock]:
        found: dict[BlockKey, HeldBlock] = {}
        for name, (proto, version) in SETS.items():
            width, mapped = (4, MAPPED) if version == 4 else (16, 0)
            ports: dict[int, Port] = {}
            for key, seconds, packets, octets in _read(elements, self._place.table, name):
                # The address, then the port, padded to four bytes.
                number = int.from_bytes(key[width : width + 2], "big")
                port = ports.setdefault(number, Port(number, proto))
                found[BlockKey(int.from_bytes(key[:width], "big") | mapped, port)] = HeldBlock(seconds, packets, octets)
        for trial in _TRIAL_KEYS:  # of another process, just now
            found.pop(trial, None)
        lacking = (key for key in expected if key not in found)
        # A batch without a single one that is there: these are gone, and so is the rest.
        while (keys := list(islice(lacking, _ONE_BY_ONE))) and (there := self.counted(keys)):
            found.update(there)
        return found

    def counted(self, keys: Iterable[BlockKey]) -> Mapping[BlockKey, HeldBlock]:
        found = {key: self._element(key) for key in keys}
        return {key: HeldBlock(*there[1:]) for key, there in found.items() if there is not None}

    def dropped(self) -> Dropped:
        """What the table's rules have dropped since the table was created. BackendError where it is not there."""
        counted = _read(counter, self._place.table, COUNTER)
        if counted is None:
            raise BackendError(
                f"nftables: table inet {self._place.table} is missing, or not ours; `portkin nft setup` creates it"
            )
        return Dropped(*counted)

    def lost_blocks(self) -> bool:
        """Whether the table, or a rule of it, is gone or switched off, as when a firewall is loaded again.

        Or is another one: a ruleset that was saved brings blocks back that have ended, and lacks those that came since.
        """
        state = _read(read_table, self._place.table)
        if state is None or not state.ours or state.dormant or not state.parts >= _PARTS:
            return True
        if self._handle not in (None, state.handle):
            return True
        return _read(dropping_sets, self._place.table, CHAIN) != list(SETS)

    def ipv6_fault(self) -> str:
        return ""

    def close(self) -> None:
        self._runner.close()
        self._writer.close()

    def _ours(self) -> TableState | None:
        """Our table; None where there is none. Raises BackendError where the name is somebody else's."""
        state = _read(read_table, self._place.table)
        if state is None or state.ours:
            return state
        raise BackendError(
            f"nftables: table inet {self._place.table} is not portkin's: it lacks the comment {MARK!r} (which needs "
            f"Linux 5.10 or later); set enforce.nftables.table to an unused name, or, if nothing else uses the table, "
            f"`nft delete table inet {self._place.table}`"
        )

    def _refuse_foreign_parts(self, state: TableState | None, what: str) -> None:
        """Raise BackendError where somebody has put something into our table."""
        foreign = sorted(f"{kind} {name}" for kind, name in (state.parts - _PARTS if state else ()))
        if foreign:
            raise BackendError(
                f"nftables: table inet {self._place.table} also holds {', '.join(foreign[:5])}, which portkin did not "
                f"create, so it is not {what}; move that to another table"
            )

    def _prove(self) -> None:
        """Set an element of each set, and look whether it is seen; and whether the kernel prolongs it in place."""
        for prolongs in self._ways:
            if self._try(prolongs=prolongs):
                self.prolongs = prolongs
                return
        raise BackendError(
            f"nftables: an element that was set in table inet {self._place.table} is not seen; nothing is blocked"
        )

    def _try(self, *, prolongs: bool) -> bool:
        """Whether trial elements have the time they were extended to."""
        steps = (
            Batch(add=[TimedKey(key, 30) for key in _TRIAL_KEYS]),
            Batch(extend=[TimedKey(key, 90) for key in _TRIAL_KEYS]),
        )
        for batch in steps:
            self._write(batch, prolongs=prolongs)
        left = [found.seconds if (found := self._element(key)) else 0 for key in _TRIAL_KEYS]
        self._write(Batch(remove=_TRIAL_KEYS), prolongs=prolongs)
        return min(left) > 60

    def _with_counter(self, item: TimedKey) -> TimedKey:
        """With what the element has dropped, for it will be another one."""
        found = self._element(item.key)
        if found is None:
            return item
        return item._replace(packets=max(item.packets, found.packets), bytes=max(item.bytes, found.bytes))

    def _element(self, key: BlockKey) -> Element | None:
        return _read(element, self._place.table, *_set_and_key(key))

    def _write(self, batch: Batch, *, prolongs: bool) -> None:
        try:
            self._writer.write(self._place.table, commands_of(batch, prolongs=prolongs))
        except OSError as error:
            raise BackendError(f"nftables: blocks cannot be written ({error.strerror or error})") from None


def commands_of(batch: Batch, *, prolongs: bool) -> Iterator[Command]:
    """What to do with the elements for a batch.

    From Linux 6.12 on (``prolongs``) an element that is added again has the new timeout if its expiration is given too,
    and keeps its counter. Older kernels leave it as it is, and deleting one that has just expired fails: added, deleted
    and added, in one transaction, it has its new timeout whatever was before, and no packet sees it absent.
    """
    # An element that has expired this moment may still be there: the same form as that of an extension.
    yield from _timed(batch.add, expires=prolongs)
    if not prolongs:
        yield from _replaced([item.key for item in batch.extend])
    yield from _timed(batch.extend, expires=prolongs)
    yield from _replaced(batch.remove)


def _timed(items: Sequence[TimedKey], *, expires: bool) -> Iterator[Command]:
    """Add elements with their times; one command per set."""
    by_set: dict[str, list[Change]] = {}
    for key, seconds, packets, octets in items:
        name, element = _set_and_key(key)
        milliseconds = max(1, int(seconds * 1000))
        by_set.setdefault(name, []).append(Change(element, milliseconds, expires, packets, octets))
    for name, changes in by_set.items():
        yield Command(name, changes)


def _replaced(keys: Sequence[BlockKey]) -> Iterator[Command]:
    """Delete elements, whether or not they are there: added first, none of them is missing."""
    by_set: dict[str, list[Change]] = {}
    for key in keys:
        name, element = _set_and_key(key)
        by_set.setdefault(name, []).append(Change(element))
    for delete in (False, True):
        for name, changes in by_set.items():
            yield Command(name, changes, delete)


def _set_and_key(key: BlockKey) -> tuple[str, bytes]:
    """The set of a key, and the element's key as the kernel has it: address and port, padded to four bytes."""
    number, proto = key.port
    address = key.src.to_bytes(16, "big")
    if key.src >> 32 == 0xFFFF:
        return f"{proto}4", address[12:] + number.to_bytes(2, "big") + b"\0\0"
    return f"{proto}6", address + number.to_bytes(2, "big") + b"\0\0"


def _read(read: Callable[..., T], *args: str | bytes) -> T:
    try:
        return read(*args)
    except OSError as error:
        raise BackendError(f"nftables: cannot be read ({error.strerror or error})") from None
