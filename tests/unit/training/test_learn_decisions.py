"""What a learner decides by: when a table is due, what may not replace it, how it did on a day."""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta
from pathlib import Path

import numpy as np
import pytest

from portkin.bundles.table import Rows, Table, write_table
from portkin_training.core.history import History
from portkin_training.evaluation.table_on_day import figures_of_day
from portkin_training.learning.acceptance import why_worse
from portkin_training.learning.schedule import is_due, learnt_until, not_over
from portkin_training.tables.daily.counts import Day, next_port_day
from portkin_training.tables.protocol_rows import ProtocolRows

FIRST = datetime(2026, 3, 1, tzinfo=UTC)


class TestSchedule:
    def test_due(self, tmp_path):
        """Due is a table that is not there, was not made by days up to a date, or knows less than what is over."""
        rows = {"tcp": ROWS}
        plain = write_table(tmp_path / "plain", rows, method="kin", about={})
        learnt = write_table(tmp_path / "days", rows, method="kin", about={"days": {"until": "2026-03-02"}})

        assert [True, True] == [is_due(None, date(2026, 3, 1)), is_due(plain, date(2026, 3, 1))]
        assert [False, True] == [is_due(learnt, date(2026, 3, day)) for day in (2, 3)]
        assert date(2026, 3, 2) == learnt_until(learnt)
        assert plain.created.date() + timedelta(days=1) == learnt_until(plain)

    def test_over(self):
        """At midnight the day before yesterday is the last that is over and gathered."""
        assert date(2026, 2, 28) == not_over(FIRST, time(0, 15))


def rows_of(ports: list[int], neighbors: list[list[int]], chances: list[list[float]]) -> Rows:
    """Rows of a table with chances."""
    distances = np.where(np.array(chances) > 0, -np.log(np.maximum(chances, 1e-300)), np.inf)
    return Rows(np.array(ports, np.uint16), np.array(neighbors, np.uint16), distances.astype(np.float32))


ROWS = rows_of([22, 80], [[80, 443], [443, 8080]], [[0.5, 0.25], [0.5, 0.125]])


class TestAcceptance:
    def built(self, rows: Rows, probes: int = 100) -> dict[str, ProtocolRows]:
        return {"tcp": ProtocolRows(rows, {"probes": probes})}

    @pytest.fixture
    def present(self, tmp_path: Path) -> Table:
        counts = {"counts": {"tcp": {"probes": 1000}}}
        return write_table(tmp_path / "present", {"tcp": ROWS}, method="kin", about=counts)

    def test_as_good(self, present):
        """As many entries, from a tenth of the probes, take its place; anything is better than nothing."""
        assert why_worse(self.built(ROWS), present) is None
        assert why_worse(self.built(ROWS, probes=1), None) is None

    @pytest.mark.parametrize(
        ("proto", "rows", "probes", "why"),
        [
            ("tcp", rows_of([22], [[0]], [[0.0]]), 1000, "predicts nothing"),
            ("udp", ROWS, 1000, "predicts nothing for tcp"),
            ("tcp", rows_of([22], [[80]], [[0.5]]), 1000, "1 entries for tcp, and the table in service 4"),
            ("tcp", ROWS, 99, "99 probes, and the table in service from 1,000"),
        ],
    )
    def test_worse(self, present, proto, rows, probes, why):
        """Nothing at all, nothing of a protocol, less than half of the entries, less than a tenth of the probes."""
        assert why in why_worse({proto: ProtocolRows(rows, {"probes": probes})}, present)


def test_figures_by_hand(tmp_path):
    """Two sources probe 22, 80, 443; the table predicts 80 after 22, and 8080, in vain, and 443 after 80 by too little.

    New ports: 80 and 443 for each, of which 80 was blocked: a half. Blocks: 22, 80 and 443 themselves and 80 and 8080
    from 22 for each, 8 in all since 80 is extended; of these 80 is probed, 2 of all 9, with that of a third source,
    which probes 9 half a day later, so that the horizon was recorded. The chances say that of 80 and 443 after 22, each
    source counting a third, 0.5 come true and all do.
    """
    about = {"chances": {"horizon": 20_000.0}, "cutoff": {"min_chance": 0.2, "expected": {"recall": 0.4}}}
    rows = rows_of([22, 80], [[80, 8080], [443, 8081]], [[0.5, 0.25], [0.125, 0.0625]])
    table = write_table(tmp_path / "table", {"tcp": rows}, method="kin", about=about)
    second, code = np.array([0, 1, 2, 3, 4, 5, 43_200]), np.array([22, 80, 443, 22, 80, 443, 9])
    history = History(second * 1_000_000, np.array([0, 0, 0, 1, 1, 1, 2]), code)
    counted = next_port_day(history)
    day = Day(date(2026, 3, 1), 7, lambda: None, lambda: counted)

    found = figures_of_day(table, day)

    assert (7, 4, 0.5, 0.4) == (found.probes, found.new_ports, found.recall, found.expected_recall)
    assert (9, 2 / 9) == (found.blocks, found.usefulness)
    # at 22: 80 and 8080, at 80: 443 and 8081; a third of a source each, and two sources
    assert (2 / 3 * 2) / (2 / 3 * (0.5 + 0.25 + 0.125 + 0.0625)) == pytest.approx(found.chance_ratio, rel=0.01)
    assert figures_of_day(table, Day(date(2026, 3, 1), 0, lambda: None, lambda: next_port_day(history[:0]))) is None
