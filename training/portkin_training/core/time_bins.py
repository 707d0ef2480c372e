"""Bins of time as Ibis expressions over the probes dataset."""

from __future__ import annotations

import ibis
import ibis.expr.types as ir

DAY_US = 86_400_000_000
"""Microseconds in a day."""


def seconds(probes: ir.Table) -> ir.IntegerValue:
    """Whole seconds since 1970.

    As seconds between two instants: `epoch_seconds` casts to a time without a zone first, which in DuckDB goes by the
    time zone of the session.
    """
    return probes.ts.delta(ibis.timestamp("1970-01-01 00:00:00", timezone="UTC"), unit="second")


def bin_number(probes: ir.Table, width: int) -> ir.IntegerValue:
    """The number of the bin of `width` seconds, counted from 1970, that a probe lies in."""
    return (seconds(probes) / width).floor().cast("int64")
