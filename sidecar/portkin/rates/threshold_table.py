"""The thresholds in force, kept in the rates database: they follow what is scored, and survive a restart."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence

import numpy as np

from portkin.net.ports import Port
from portkin.sqlite import transaction
from portkin.timeseries.calibration import Thresholds


class ThresholdTable:
    """The thresholds of one set of models. For one thread at a time. Every method may raise sqlite3.Error."""

    def __init__(self, db: sqlite3.Connection) -> None:
        self._db = db
        self._followed: tuple[str, Thresholds] | None = None

    def read(self, model_id: str, targets: Sequence[Port], first: Thresholds) -> Thresholds:
        """Those of these models after the latest scored bin; ``first`` where no bin was scored by them."""
        if self._followed is None or self._followed[0] != model_id:
            rows = self._db.execute(
                "SELECT proto, port, e, w, over_e, over_w FROM followed WHERE model = ?", (model_id,)
            )
            held = {Port(port, proto): values for proto, port, *values in rows}
            columns = np.array([first.e, first.w, first.over_e, first.over_w], dtype=np.float64)
            for at, target in enumerate(targets):
                columns[:, at] = held.get(target, columns[:, at])
            e, w, *over = columns
            self._followed = (model_id, Thresholds(e, w, *(each.astype(bool) for each in over)))
        return self._followed[1]

    def keep(self, model_id: str, targets: Sequence[Port], now: Thresholds) -> None:
        """Keep the thresholds for the next bin; those of other models are forgotten.

        They are in force whether or not they can be written; the next bin writes all of them again.
        """
        self._followed = (model_id, now)
        each = (values.tolist() for values in (now.e, now.w, now.over_e, now.over_w))
        with transaction(self._db):
            self._db.execute("DELETE FROM followed WHERE model != ?", (model_id,))
            self._db.executemany(
                "INSERT OR REPLACE INTO followed VALUES (?, ?, ?, ?, ?, ?, ?)",
                [(model_id, port.proto, port.number, *values) for port, *values in zip(targets, *each, strict=True)],
            )

    def carry(self, before: ThresholdTable) -> None:
        """Go on with the thresholds of another file; the next `keep` writes them."""
        self._followed = self._followed or before._followed
