"""From rows of columns, as a format's reader finds them, to probes or packets: the same for every format."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from portkin.errors import InputError
from portkin_training.core.context import located, packed
from portkin_training.core.probes import Probes
from portkin_training.core.protocols import TCP
from portkin_training.ingest.captures.packets import Packets
from portkin_training.ingest.reading import NAMED, Reading
from portkin_training.ingest.reasons import Reasons
from portkin_training.ingest.values.addresses import addresses, no_address
from portkin_training.ingest.values.stamps import Clock, no_time
from portkin_training.ingest.values.text_numbers import whole_numbers
from portkin_training.ingest.values.transport import no_protocols, ports, protos, tcp_flags

FIELDS = ("ts", "src", "dst", "sport", "dport", "proto")
"""The columns of a probe; sport may be missing."""

OUTCOMES = ("", "answered", "refused")
"""What came of a flow: neither answer nor refusal was seen; one, or the other."""

CONTEXT = ("vlan", "inner_vlan", "vni")
"""Columns of what distinguishes equal addresses; see `core.context`."""

Columns = dict[str, pa.Array]


@dataclass
class Rows:
    """A chunk of n rows of an input.

    Attributes:
        columns: field -> (n,) values, text or typed: `FIELDS`, "flags" of packets, and `CONTEXT`.
        where: (n,) number of each row, for people.
        reasons: why rows are no probes.
        what: what ``where`` counts.
    """

    columns: Mapping[str, pa.Array]
    where: NDArray[np.int64]
    reasons: Reasons | None = None
    what: str = "line"


@dataclass
class Decoder:
    """Makes probes of rows, and counts in ``reading`` those that are none or make no sense.

    Attributes:
        names: host names are allowed as addresses; see `values.addresses.name_address`.
        constants: field -> text that every row has where no column says so.
    """

    reading: Reading
    clock: Clock = field(default_factory=Clock)
    names: bool = False
    constants: Mapping[str, str] = field(default_factory=dict)

    def packets(self, rows: Rows) -> Packets:
        """The rows as packets of the recording; those of other protocols are skipped."""
        n = len(rows.where)
        flags = tcp_flags(rows.columns["flags"]) if "flags" in rows.columns else np.zeros(n, np.uint8)
        (ts, src, dst, sport, dport, proto), kept = self._values(rows)
        flags = np.where(proto == TCP, flags[kept], 0).astype(np.uint8)
        context = contexts(rows, kept)
        return Packets(ts, src, dst, sport, dport, proto, flags, np.zeros(len(ts), np.uint32), context)

    def probes(self, rows: Rows, seq: int = 0) -> Probes:
        """The rows without a reason as probes; the first has the place ``seq`` in the recording."""
        (ts, src, dst, sport, dport, proto), kept = self._values(rows)
        context = contexts(rows, kept)
        src, dst = located(src, context), located(dst, context)
        return Probes(ts, np.arange(seq, seq + len(ts)), src, dst, sport, dport, proto, np.zeros(len(ts), np.uint8))

    def flows(self, rows: Rows) -> tuple[Probes, NDArray[np.uint8]]:
        """The rows without a reason, and the place of each one's outcome in `OUTCOMES`: (n,) each."""
        values, kept = self._values(rows)
        ts, src, dst, sport, dport, proto = values
        context = contexts(rows, kept)
        where = np.arange(len(ts))
        flows = Probes(
            ts, where, located(src, context), located(dst, context), sport, dport, proto, np.zeros(len(ts), np.uint8)
        )
        found = pc.index_in(rows.columns["outcome"].take(pa.array(kept)), pa.array(OUTCOMES, pa.string()))
        return flows, pc.fill_null(found, 0).to_numpy().astype(np.uint8)

    def _values(self, rows: Rows) -> tuple[tuple[NDArray[Any], ...], NDArray[np.int64]]:
        """ts, src, dst, sport, dport, proto of the rows that count, and which these are."""
        n = len(rows.where)
        columns = {name: constant(text, n) for name, text in self.constants.items()} | {**rows.columns}
        missing = [name for name in FIELDS if name not in columns and name != "sport"]
        if missing:
            raise InputError(
                f"{self.reading.path}: {self.reading.kind} records hold no {', '.join(missing)}; "
                f"give it with {' and '.join('--' + name for name in missing)}"
            )
        proto = protos(columns["proto"])
        picked = self._counted(rows, columns["proto"], proto)
        if len(picked) < n:
            taken = pa.array(picked)
            columns = {name: columns[name].take(taken) for name in FIELDS if name in columns}
        ts, bad_ts = self.clock.stamps(columns["ts"])
        src, bad_src = addresses(columns["src"], names=self.names)
        dst, bad_dst = addresses(columns["dst"], names=self.names)
        m = len(picked)
        sport, bad_sport = (
            ports(columns["sport"], proto[picked], optional=True)
            if "sport" in columns
            else (np.zeros(m, np.uint16), np.zeros(m, np.bool_))
        )
        dport, bad_dport = ports(columns["dport"], proto[picked])
        bad = {"ts": bad_ts, "src": bad_src, "dst": bad_dst, "sport": bad_sport, "dport": bad_dport}
        kept = ~np.logical_or.reduce([*bad.values()])
        values = ts, src, dst, sport, dport, proto[picked]
        if kept.all():
            return values, picked
        self._report(columns, rows.where[picked], rows.what, bad)
        return tuple(column[kept] for column in values), picked[kept]

    def _counted(self, rows: Rows, names: pa.Array, proto: NDArray[np.uint8]) -> NDArray[np.int64]:
        """Which rows have no reason against them; the others are counted by their reasons, and the faulty ones named.

        Args:
            rows: n rows.
            names: (n,) their protocols as written.
            proto: (n,) and as numbers, 0 for others than TCP and UDP.
        """
        reasons = rows.reasons or Reasons(len(proto))
        other = (proto == 0) & reasons.kept
        if other.any():
            reasons.mark(other & no_protocols(names), _NO_PROTOCOL, wrong=True)
            reasons.mark(other, "neither TCP nor UDP")
        for row in np.flatnonzero(reasons.faulty) if reasons.wrong else ():
            text = what = reasons.texts[reasons.codes[row]]
            if text == _NO_PROTOCOL:
                what = f"proto {names[int(row)].as_py()!r} is no protocol; write tcp, udp, or its number"
            self.reading.bad_row(f"{rows.what} {rows.where[row]}", what, text)
        counts = reasons.counted()
        self.reading.skipped.update({text: count for text, count in counts.items() if text not in reasons.wrong})
        self.reading.read += len(proto)
        return np.flatnonzero(reasons.kept)

    def _report(
        self, columns: Mapping[str, pa.Array], where: NDArray[np.int64], what: str, bad: Mapping[str, NDArray[np.bool_]]
    ) -> None:
        left = np.ones(len(where), np.bool_)
        reasons = {}
        for name, mask in bad.items():
            reasons[name] = mask & left
            left &= ~mask
        named = np.flatnonzero(~left)[: max(0, NAMED - self.reading.bad)]
        for row in named:
            name = next(name for name, mask in reasons.items() if mask[row])
            value = _value(columns[name][int(row)])
            self.reading.problem(f"{what} {where[row]}", f"{name} {value!r} is {self._expected(name, value)}")
        for name, mask in reasons.items():
            if count := int(mask.sum()):
                self.reading.bad += count
                self.reading.bad_reasons[f"{name} is {_EXPECTED[name]}"] += count

    def _expected(self, name: str, value: object) -> str:
        """What the value is not, and what to do."""
        text = _EXPECTED[name]
        if name in ("src", "dst"):
            return f"{text}; {no_address('' if value is None else str(value))}"
        if name in ("sport", "dport") and str(value)[:1].isalpha():
            return f"{text}, nor a service of this system; have the program write numbers"
        if name == "ts" and self.clock.unit != "auto" and str(value).replace(".", "", 1).isdigit():
            return f"{text} in --unit {self.clock.unit}; leave --unit out, or name the right one"
        return f"{text}; {no_time(str(value or ''))}" if name == "ts" else text


def _value(scalar: pa.Scalar) -> object:
    """A value for people; of a stamp or a date that Python has none for, its number."""
    try:
        return scalar.as_py()
    except (ValueError, OverflowError):
        return scalar.value


def constant(text: str, n: int) -> pa.Array:
    """A text n times."""
    return pa.repeat(pa.scalar(text, pa.string()), n)


def contexts(rows: Rows, kept: NDArray[np.int64]) -> NDArray[np.int64]:
    """The contexts of the rows `kept` (n,), as of `core.context`: (n,); 0 where their input names none."""
    found = np.zeros(len(kept), np.int64)
    for name in CONTEXT:
        if name in rows.columns:
            numbers = whole_numbers(pc.cast(rows.columns[name].take(pa.array(kept)), pa.string()))
            found += np.where(numbers >= 0, numbers * packed(**{name: 0}) + packed(**{name: 0}), 0)
    return found


_NO_PROTOCOL = "proto is no protocol"
_EXPECTED = {
    "ts": "no time",
    "src": "no address",
    "dst": "no address",
    "sport": "no port from 0 to 65535",
    "dport": "no port from 0 to 65535",
}
