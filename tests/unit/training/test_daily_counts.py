"""Tables from counts of days: the same as from all probes, and a day is counted once."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from dataclasses import replace
from datetime import date
from functools import partial
from pathlib import Path

import numpy as np
import pytest

from portkin.bundles.table import Table
from portkin.errors import BundleError, InputError
from portkin_training.commands.table import table as command
from portkin_training.core.dataset import open_probes
from portkin_training.core.dataset_writer import ProbesWriter
from portkin_training.tables.daily import store as day_store
from portkin_training.tables.daily.counts import count_each
from portkin_training.tables.daily.methods import divided, joined_samples, weighted_days
from portkin_training.tables.scans import ScanOptions
from support.days import DATES, DAY, FIRST, add, day_of
from support.running import output_of

run = partial(output_of, command)
"""What ``portkin table`` prints."""


def files(table: Path) -> dict[str, bytes]:
    """The bytes of the arrays of a table."""
    return {file.name: file.read_bytes() for file in table.glob("*.npy")}


def blank(dataset: Path, *days: date) -> None:
    """Overwrite the data of these partitions, but for the footers: who reads a column of them fails."""
    for day in days:
        for part in dataset.glob(f"day={day}/*.parquet"):
            with part.open("r+b") as opened:
                opened.seek(-8, os.SEEK_END)
                footer = int.from_bytes(opened.read(4), "little") + 8
                opened.seek(4)
                opened.write(b"\xff" * (part.stat().st_size - footer - 4))


class TestSame:
    @pytest.mark.parametrize(
        ("method", "half_life"), [("kin", "2.5"), ("shortest-path", "2.5"), ("shortest-path", "inf")]
    )
    def test_day_by_day_is_the_whole(self, tmp_path, method, half_life):
        """A table updated with every day that was added is, bit for bit, the one built of all days at once."""
        whole, growing = add(tmp_path / "whole", *range(6)), tmp_path / "growing"
        chosen = ("--method", method, "--half-life", half_life, "-k", 5, "--proto", "tcp")

        run("build", whole, "-o", tmp_path / "built", *chosen)
        for day in range(5):
            add(growing, day)
            day_store.refresh(growing, tmp_path / "updated-counts", ScanOptions(protos=("tcp",)))
        said = run("update", add(growing, 5), tmp_path / "updated", *chosen)

        assert "1 day counted of 6" in said
        assert files(tmp_path / "built") == files(tmp_path / "updated")
        assert len(Table.load(tmp_path / "built").rows["tcp"].ports)

    def test_shortest_path_is_the_plain_one(self, tmp_path):
        """Without a half-life, shortest-path from days is what it is from all probes, figures and all."""
        dataset = add(tmp_path / "probes", *range(4))

        run("build", dataset, "-o", tmp_path / "plain", "--method", "shortest-path", "--no-proof")
        run("update", dataset, tmp_path / "days", "--method", "shortest-path")

        plain, days = (Table.load(tmp_path / name) for name in ("plain", "days"))
        assert plain.id == days.id
        assert plain.manifest.about["counts"] == days.manifest.about["counts"]

    def test_portions_do_not_matter(self, tmp_path):
        """A day's counts are the same to the last bit whichever days are counted with it."""
        probes = open_probes(add(tmp_path / "probes", *range(4)))

        one, all_at_once = (list(count_each(probes, ScanOptions(), at_once=n)) for n in (1, 10**6))

        assert DATES[:4] == [day for day, _ in one] == [day for day, _ in all_at_once]
        for (_, a), (_, b) in zip(one, all_at_once, strict=True):
            assert np.array_equal(a.next_port.outcomes.trials, b.next_port.outcomes.trials)
            assert np.array_equal(a.next_port.outcomes.successes.values, b.next_port.outcomes.successes.values)
            assert np.array_equal(a.next_port.sample.group, b.next_port.sample.group)
            assert a.scans.counts == b.scans.counts

    def test_stored_as_counted(self, tmp_path):
        """What is read from disk is what was counted."""
        dataset = add(tmp_path / "probes", 0)
        ((_, counted),) = count_each(open_probes(dataset), ScanOptions())

        (day,) = day_store.refresh(dataset, tmp_path / "counts", ScanOptions()).days

        for proto, edges in counted.scans.transitions.items():
            assert edges.count.tolist() == day.scans().transitions[proto].count.tolist()
        assert counted.scans.counts == day.scans().counts
        read = day.next_port()
        assert counted.next_port.probes == read.probes
        for name in ("visits", "onward", "draws", "sources"):
            assert np.array_equal(getattr(counted.next_port.ports, name), getattr(read.ports, name))
        assert np.array_equal(counted.next_port.ports.pairs.values, read.ports.pairs.values)
        assert np.array_equal(counted.next_port.sample.code, read.sample.code)


class TestOnlyWhatIsNew:
    def test_other_days_are_not_read(self, tmp_path):
        """An update works although the data of every day that was counted before cannot be read any more."""
        dataset, table = add(tmp_path / "probes", 0, 1, 2), tmp_path / "table"
        run("update", dataset, table, "--method", "shortest-path")
        blank(dataset, *DATES[:3])
        add(dataset, 3)

        assert "1 day counted of 4" in run("update", dataset, table)
        with pytest.raises(Exception, match=r"."):
            run("build", dataset, "-o", tmp_path / "other", "--no-proof", "--method", "shortest-path")

    def test_options_are_remembered(self, tmp_path):
        """An update keeps to the options by which the table was made, and counts nothing when nothing changed."""
        dataset, table = add(tmp_path / "probes", 0, 1), tmp_path / "table"
        run("update", dataset, table, "--max-ports", 5, "-k", 4, "--half-life", 7, "--method", "shortest-path")
        before = Table.load(table)

        said = run("update", dataset, table)

        assert "0 days counted of 2, half-life 7 days, K=4, shortest-path" in said
        assert before.id == Table.load(table).id
        assert {"half_life": 7.0, "number": 2, "first": "2026-01-01", "last": "2026-01-02"} == before.manifest.about[
            "days"
        ]

    def test_changed_removed_and_damaged(self, tmp_path):
        """A day that got more probes or whose counts are damaged is counted again; one that is gone is forgotten."""
        dataset, counts = add(tmp_path / "probes", 0, 1, 2), tmp_path / "counts"
        day_store.refresh(dataset, counts, ScanOptions())

        add(dataset, 1, seed=9)
        assert [DATES[1]] == day_store.refresh(dataset, counts, ScanOptions()).counted
        pairs = counts / "day=2026-01-03" / "pairs.parquet"
        pairs.write_bytes(pairs.read_bytes()[:-9] + b"otherwise")
        assert [DATES[2]] == day_store.refresh(dataset, counts, ScanOptions()).counted
        assert DATES[:3] == day_store.refresh(dataset, counts, ScanOptions(max_ports=9)).counted

        with ProbesWriter(dataset, force=True) as writer:
            writer.write(day_of(1))
        found = day_store.refresh(dataset, counts, ScanOptions())
        assert ([DATES[1]], [DATES[0], DATES[2]]) == (found.counted, found.removed)
        assert ["day=2026-01-02"] == [path.name for path in counts.iterdir()]

    def test_day_without_the_protocol(self, tmp_path):
        """A day without any probe of the wanted protocol has counts of nothing, and is not counted again."""
        dataset = tmp_path / "probes"
        with ProbesWriter(dataset) as writer:
            for day in range(3):
                probes = day_of(day)
                writer.write(replace(probes, proto=np.full(len(probes), 6 if day == 1 else 17, np.uint8)))
        options = ScanOptions(protos=("tcp",))

        found = day_store.refresh(dataset, tmp_path / "counts", options)

        assert [0, 400, 0] == [day.next_port().probes[0] for day in found.days]
        assert [] == day_store.refresh(dataset, tmp_path / "counts", options).counted

    def test_killed(self, tmp_path):
        """A run that is killed keeps the days it has finished, and the next one counts the others."""
        dataset, counts = add(tmp_path / "probes", *range(6)), tmp_path / "counts"
        slow = (
            "import sys, time; from pathlib import Path; from portkin_training.tables.daily import store as day_store\n"
            "from portkin_training.tables.scans import ScanOptions\n"
            "def tick(day):\n    print(day, flush=True)\n    if day.day == 3: time.sleep(60)\n"
            "day_store.refresh(Path(sys.argv[1]), Path(sys.argv[2]), ScanOptions(), tick=tick)"
        )
        child = subprocess.Popen([sys.executable, "-c", slow, dataset, counts], stdout=subprocess.PIPE, text=True)
        try:
            assert [f"{day}\n" for day in DATES[:3]] == [child.stdout.readline() for _ in range(3)]
            with pytest.raises(InputError, match="another run counts days there"):
                day_store.refresh(dataset, counts, ScanOptions())
        finally:
            child.send_signal(signal.SIGKILL)
            child.wait()
        (counts / ".day=2026-01-04.0123abcd").mkdir()  # as it is left by one that dies while it writes

        assert DATES[3:] == day_store.refresh(dataset, counts, ScanOptions()).counted
        assert [f"day={day}" for day in DATES] == sorted(path.name for path in counts.iterdir())

    def test_refuses(self, tmp_path):
        """What holds something else is no place for counts or a table."""
        dataset = add(tmp_path / "probes", 0)
        (tmp_path / "mine").mkdir()
        (tmp_path / "mine" / "letters").write_text("dear")

        with pytest.raises(BundleError, match="holds something else"):
            day_store.refresh(dataset, tmp_path / "mine", ScanOptions())
        with pytest.raises(BundleError, match="not a bundle of portkin"):
            run("update", dataset, tmp_path / "mine", "--method", "shortest-path")


class TestFading:
    def test_weights(self, tmp_path):
        """A day as old as the half-life counts half; one older than ten of them is not even read."""
        dataset = add(tmp_path / "probes", 0, 4, 5)
        days = day_store.refresh(dataset, tmp_path / "counts", ScanOptions()).days

        assert [(DATES[4], 0.5), (DATES[5], 1.0)] == [(day.date, weight) for day, weight in weighted_days(days, 1.0)][
            -2:
        ]
        assert [DATES[4], DATES[5]] == [day.date for day, _ in weighted_days(days, 0.4)]
        assert [1.0, 1.0, 1.0] == [weight for _, weight in weighted_days(days, float("inf"))]

    def test_fading_changes_the_order(self, tmp_path):
        """What was walked of late lies nearer than what was walked more often long ago."""
        dataset = tmp_path / "probes"
        with ProbesWriter(dataset) as writer:
            for day, ports, times in ((0, [80, 443, 22], 5), (5, [80, 8080, 22], 2)):
                for source in range(times):
                    at = FIRST + day * DAY + source * 60_000_000 + np.arange(3) * 1_000_000
                    one = replace(
                        day_of(0, n=60)[:3], ts=at, dport=np.array(ports, np.uint16), proto=np.full(3, 6, np.uint8)
                    )
                    writer.write(replace(one, src=one.src * 0 + source, dst=one.dst * 0, seq=one.seq + writer.rows))

        nearest = {}
        for half_life in ("inf", "1"):
            run("update", dataset, tmp_path / half_life, "--half-life", half_life, "--method", "shortest-path")
            table = Table.load(tmp_path / half_life)
            nearest[half_life] = table.rows["tcp"].neighbors[table.rows["tcp"].ports == 80][0, 0]

        assert {"inf": 443, "1": 8080} == nearest

    def test_divided(self, tmp_path):
        """Days are divided where the share of the probes is reached; samples of several days share no sources."""
        dataset = add(tmp_path / "probes", *range(4))
        days = day_store.refresh(dataset, tmp_path / "counts", ScanOptions()).days

        earlier, later = divided(days, 0.75)
        sample = joined_samples(later)

        assert (3, 1) == (len(earlier), len(later))
        assert 400 == len(sample)
        assert not set(joined_samples(days[:1]).group) & set(joined_samples(days[:2]).group[400:])
