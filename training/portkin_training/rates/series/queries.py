"""What rates and affinities are counted from, as Ibis expressions over the probes dataset: top ports, probes per port
and bin, ports that a source probed in sequence. Beside `portkin_training.tables.scans`, all that is asked of an engine.
"""

from __future__ import annotations

from collections.abc import Sequence

import ibis
import ibis.expr.types as ir

from portkin.timeseries.bins import DAY
from portkin_training.core.time_bins import bin_number, seconds


def port_totals(probes: ir.Table) -> ir.Table:
    """The probes of each port: ``proto``, ``dport``, ``n``, by protocol and port."""
    return probes.group_by("proto", "dport").agg(n=probes.count()).order_by("proto", "dport")


def watched_bins(probes: ir.Table, width: int) -> ir.Table:
    """The bins that have a probe of any port: ``bin``."""
    return probes.select(bin=bin_number(probes, width)).distinct()


def bin_counts(probes: ir.Table, ports: Sequence[int], width: int) -> ir.Table:
    """Probes per port and bin, of these port numbers: ``proto``, ``dport``, ``bin``, ``n``."""
    wanted = probes.filter(probes.dport.isin(list(ports)))
    return wanted.group_by("proto", "dport", bin=bin_number(wanted, width)).agg(n=wanted.count())


def sequential_pairs(probes: ir.Table, *, sample: float, seed: int) -> ir.Table:
    """How many (source, day) probed two ports one right after the other, either way: ``low``, ``high``, ``n``.

    A port is proto * 65536 + number. Sources count that probed at least two ports and were active for at most 24
    hours; of these a share `sample` is drawn, by a digest of the address and `seed`, the same on every engine.
    """
    source = ("src_hi", "src_lo")
    base = probes.mutate(
        port=probes.proto.cast("int64") * 65536 + probes.dport,
        second=seconds(probes),
        date=bin_number(probes, DAY),
    )
    active = base.group_by(source).agg(ports=base.port.nunique(), span=base.second.max() - base.second.min())
    drawn = active.filter((active.ports >= 2) & (active.span <= DAY))
    if sample < 1:
        name = drawn.src_hi.cast("string") + ":" + drawn.src_lo.cast("string") + f":{seed}"
        drawn = drawn.filter(name.hexdigest("md5").left(8) < f"{int(sample * 2**32):08x}")
    chosen = base.semi_join(drawn, source)
    walk = ibis.window(group_by=(*source, "date"), order_by=("ts", "seq"))
    steps = chosen.mutate(before=chosen.port.lag().over(walk))
    steps = steps.filter(steps.before.notnull() & (steps.before != steps.port))
    pairs = steps.select(
        *source, "date", low=ibis.least(steps.before, steps.port), high=ibis.greatest(steps.before, steps.port)
    ).distinct()
    return pairs.group_by("low", "high").agg(n=pairs.count())


def watched_days(probes: ir.Table) -> ir.IntegerScalar:
    """On how many days (UTC) there was any probe."""
    return bin_number(probes, DAY).nunique()
