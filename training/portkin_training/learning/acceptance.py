"""Whether a table that was learnt may take the place of the one in service."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from portkin.bundles.table import Rows, Table
from portkin.net.ports import Proto
from portkin_training.tables.protocol_rows import ProtocolRows

EVIDENCE = 0.1
"""A table learnt from less than this share of the probes of the present one has lost its days."""
ENTRIES = 0.5
"""A table with less than this share of the entries of the present one has lost its rows."""


def why_worse(built: Mapping[Proto, ProtocolRows], present: Table | None) -> str | None:
    """Why what was learnt is empty or in worse form than the table in service, if it is; None where it may take its
    place."""
    entries = {proto: _entries(part.rows) for proto, part in built.items()}
    if not any(entries.values()):
        return "it predicts nothing: too few sources went on from one port to another"
    if present is None:
        return None
    before = {proto: _entries(rows) for proto, rows in present.rows.items()}
    for proto, some in before.items():
        if some and not entries.get(proto):
            return f"it predicts nothing for {proto}, and the table in service does"
        if entries.get(proto, 0) < ENTRIES * some:
            return f"it has {entries[proto]:,} entries for {proto}, and the table in service {some:,}"
    probes = sum(int(part.counts["probes"]) for part in built.values())
    of = sum(int(part.get("probes", 0)) for part in present.manifest.about.get("counts", {}).values())
    if probes < EVIDENCE * of:
        return f"it was learnt from {probes:,} probes, and the table in service from {of:,}"
    return None


def _entries(rows: Rows) -> int:
    return int(np.count_nonzero(np.isfinite(rows.distances)))
