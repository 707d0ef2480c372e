"""A table that keeps itself current: what is gathered, when it is learnt, what it reports, and what it refuses."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from datetime import UTC, datetime, time, timedelta
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from prometheus_client.parser import text_string_to_metric_families

from portkin.bundles.table import Table
from portkin.errors import BundleError
from portkin_training.commands.learn import learn
from portkin_training.commands.table import table as table_command
from portkin_training.core.dataset import load
from portkin_training.ingest.run import IngestOptions
from portkin_training.learning.learner import Learner, Places
from support.sidecar_process import until as wait_until

FIRST = datetime(2026, 3, 1, tzinfo=UTC)
HEAD = "ts,src,dst,dport,proto\n"


def lines(day: int, sources: int = 40, ports: tuple[int, ...] = (22, 80, 443, 8080)) -> str:
    """Rows of a CSV of a day: each source probes the ports in turn, ten seconds apart."""
    rows = []
    for source in range(sources):
        begun = FIRST + timedelta(days=day, minutes=5 * source)
        for step, port in enumerate(ports):
            at = (begun + timedelta(seconds=10 * step)).isoformat()
            rows.append(f"{at},10.{day}.0.{source + 1},192.0.2.1,{port},tcp")
    return "".join(f"{row}\n" for row in rows)


class Site:
    """A learner whose clock is set by hand, and what it said."""

    def __init__(self, folder: Path) -> None:
        self.log, self.table, self.metrics = folder / "log.csv", folder / "table", folder / "learn.prom"
        self.places = Places(self.log, folder / "probes", folder / "counts", self.table, self.metrics)
        self.now = FIRST
        self.told: list[str] = []
        self.warned: list[str] = []
        self.begin()

    def begin(self) -> None:
        """Start a learner, as after a restart."""
        self.learner = Learner(
            self.places, IngestOptions(), time(0, 15), 30.0, self.told.append, self.warned.append, lambda: self.now
        )

    def write(self, text: str) -> None:
        """Add rows to the log."""
        text = text if self.log.exists() else HEAD + text
        with self.log.open("a", encoding="utf-8") as opened:
            opened.write(text)

    def look(self, day: int, hour: int = 0, minute: int = 15) -> None:
        """Look at a time of a day."""
        self.now = FIRST + timedelta(days=day, hours=hour, minutes=minute)
        self.learner.look()

    def exported(self) -> dict[str, float]:
        """The metrics by name, those of refreshes by outcome."""
        families = text_string_to_metric_families(self.metrics.read_text(encoding="utf-8"))
        samples = [sample for family in families for sample in family.samples]
        return {sample.name + sample.labels.get("outcome", ""): sample.value for sample in samples}


@pytest.fixture
def site(tmp_path: Path) -> Site:
    return Site(tmp_path)


def test_days_are_learnt_once_they_are_over(site):
    """A day is learnt from 0:15 of the next one on, once; the day that is not over is gathered and not learnt."""
    site.write(lines(0))
    site.look(0, 23)
    site.look(1, 0, 14)
    assert not site.table.exists()
    site.write(lines(1, sources=3))

    site.look(1, 0, 15)

    made = Table.load(site.table)
    assert ("2026-03-02", "2026-03-01") == tuple(made.manifest.about["days"][name] for name in ("until", "last"))
    assert 160 == made.manifest.about["counts"]["tcp"]["probes"]
    assert 172 == len(load(site.places.probes))
    site.look(1, 12)
    assert made.created == Table.load(site.table).created
    assert {"replaced": 1} == dict(site.learner.progress.refreshes)
    assert [] == site.warned


def test_the_cutoff_stays_as_useful_as_was_asked(site):
    """What `table build --usefulness` asked for holds for the tables learnt after it, and the cut-off is reported."""
    site.write(lines(0) + lines(1))
    site.look(2)
    asked = ["--usefulness", "0.3", "--half-life", "30"]
    built = CliRunner().invoke(table_command, ["build", str(site.places.probes), "-o", str(site.table), *asked])
    assert 0 == built.exit_code, built.output
    updated = CliRunner().invoke(table_command, ["update", str(site.places.probes), str(site.table)])
    assert 0 == updated.exit_code and "of the new ports" in updated.output
    assert 0.3 == Table.load(site.table).manifest.about["cutoff"]["usefulness_wanted"]
    site.write(lines(2))

    site.look(3)

    made = Table.load(site.table)
    assert "2026-03-03" == made.manifest.about["days"]["last"]
    assert 0.3 == made.manifest.about["cutoff"]["usefulness_wanted"]
    assert any(made.id in text and "; cut-off: a chance of" in text for text in site.told)


def test_the_table_in_service_is_tried_on_the_day_that_is_new(site):
    """Before it is replaced, its figures on the day before are reported, exported, and kept for later learners."""
    site.write(lines(0))
    site.look(1)
    first = Table.load(site.table)
    site.write(lines(1))
    assert "portkin_learn_day_recall" not in site.exported()

    site.look(2)

    (sentence,) = [text for text in site.told if first.id in text and "new ports" in text]
    # 40 sources reach three ports each after their first; all of them did the day before, too
    assert "2026-03-02" in sentence
    assert "120 new ports" in sentence
    made = Table.load(site.table)
    kept = made.manifest.about["tried_before"]
    assert (first.id, 120, 160) == (kept["table"], kept["new_ports"], kept["probes"])
    assert kept["recall"] > kept["euclidean_recall"]
    assert "held_out" in made.manifest.about
    site.metrics.unlink()
    site.begin()
    site.look(2, 1)
    exported = site.exported()
    assert kept["recall"] == exported["portkin_learn_day_recall"]
    assert 120 == exported["portkin_learn_day_new_ports"]
    assert datetime(2026, 3, 2, tzinfo=UTC).timestamp() == exported["portkin_learn_day_timestamp_seconds"]
    assert datetime(2026, 3, 3, tzinfo=UTC).timestamp() == exported["portkin_learn_table_until_timestamp_seconds"]
    assert site.now.timestamp() == exported["portkin_learn_look_timestamp_seconds"]


def test_a_table_gone_stale_shows(site):
    """On a day on which scanners do something else, recall and what comes true of the chances collapse."""
    site.write(lines(0))
    site.look(1)
    site.write(lines(1))
    site.look(2)
    usual = site.learner.progress.figures
    site.write(lines(2, ports=(5000, 5900, 3306, 1433)))

    site.look(3)

    changed = site.learner.progress.figures
    assert "2026-03-03" == changed.day
    assert changed.recall < 0.5 * usual.recall
    assert changed.chance_ratio < 0.5 * usual.chance_ratio


def test_a_good_table_is_not_replaced_by_a_poor_one(site):
    """Where the days are gone, the table stays as it is, the reason is reported, and it is retried an hour later."""
    site.write(lines(0, sources=200))
    site.look(1)
    before = {file.name: file.read_bytes() for file in site.table.iterdir()}
    shutil.rmtree(site.places.probes)
    site.log.unlink()
    site.write(lines(1, sources=4))
    site.begin()

    site.look(2)

    assert before == {file.name: file.read_bytes() for file in site.table.iterdir()}
    (warning,) = [text for text in site.warned if "does not replace it" in text]
    assert "16 probes" in warning and "800" in warning
    assert (1, 0) == tuple(site.exported()[f"portkin_learn_refreshes_total{what}"] for what in ("refused", "replaced"))
    site.look(2, 1, 14)
    assert 1 == site.learner.progress.refreshes["refused"]
    site.look(2, 1, 15)
    assert 2 == site.learner.progress.refreshes["refused"]


def test_a_day_that_is_over_becomes_one_file(site):
    """The files of many looks are merged before the day is counted; rows, their order and the place in the log stay."""
    for hour in range(3):
        site.write(lines(0, sources=5, ports=(22 + hour, 80, 443)))
        site.look(0, hour)
    site.write(lines(1, sources=3))
    day = site.places.probes / "day=2026-03-01"
    site.look(0, 3)
    before = load(site.places.probes)
    assert 3 == len(list(day.iterdir()))

    site.look(1)

    after = load(site.places.probes)
    assert 1 == len(list(day.iterdir()))
    for one, other in zip(before.columns(), after.columns(), strict=True):
        assert np.array_equal(one, other)
    site.begin()
    site.look(1, 1)
    assert 57 == len(load(site.places.probes))
    assert [] == site.warned


def test_a_damaged_table_is_learnt_again(site):
    """A table that cannot be read serves nobody, and is replaced."""
    site.write(lines(0))
    site.look(1)
    made = Table.load(site.table)
    next(site.table.glob("tcp-steps*")).write_bytes(b"gone")

    site.look(1, 1)

    assert made.id == Table.load(site.table).id


def test_a_missing_log_is_reported_once_and_looked_for(site):
    """Trouble with the log is reported when it begins, counted at every look, and over when the log is there."""
    for minute in range(3):
        site.look(0, 1, minute)
    assert 1 == len(site.warned)
    assert str(site.log) in site.warned[0]
    assert 3 == site.exported()["portkin_learn_log_errors_total"]

    site.write(lines(0, sources=2))
    site.look(0, 2)

    assert 8 == len(load(site.places.probes))
    assert 8 == site.exported()["portkin_learn_probes_total"]


def test_what_is_taken_for_granted_is_reported_once(site):
    """A missing time zone is reported at the first rows, not at every look; rows that make no sense always are."""
    site.write(lines(0, sources=1).replace("+00:00", ""))
    site.look(0, 1)
    assert ["zone" in text for text in site.warned] == [True]

    site.write(lines(0, sources=1).replace("+00:00", "") + "no,row\n")
    site.look(0, 2)

    assert 2 == len(site.warned)
    assert "line 6" in site.warned[1]


def test_what_cannot_be_written_is_read_again(site, monkeypatch):
    """Rows that were read while the dataset could not be written are in it once it can, once each."""
    site.write(lines(0, sources=2))
    broken = site.places.probes
    broken.write_text("in the way")
    site.look(0, 1)
    assert "in the way" == broken.read_text()
    assert 1 == site.learner.progress.log_errors

    broken.unlink()
    site.look(0, 2)

    assert 8 == len(load(site.places.probes))


def test_once_says_by_its_status_whether_it_failed(tmp_path):
    """Status 1 where the log is missing, 0 once it is there; a TABLE that is none is refused before that."""
    log, table = tmp_path / "log.csv", tmp_path / "table"
    assert 1 == CliRunner().invoke(learn, [str(log), str(table), "--once"]).exit_code
    log.write_text(HEAD + lines(0), encoding="utf-8")
    assert 0 == CliRunner().invoke(learn, [str(log), str(table), "--once"]).exit_code

    with pytest.raises(BundleError, match=r"log\.csv: exists and is not a folder; name a new folder"):
        CliRunner().invoke(learn, [str(log), str(log), "--once"], catch_exceptions=False)

    assert not (tmp_path / "log.csv-probes").exists()


def test_killed_it_goes_on_where_it_was(tmp_path):
    """A learner that is killed loses no row and takes none twice; the next one learns what was due."""
    log, table = tmp_path / "log.csv", tmp_path / "table"
    log.write_text(HEAD + lines(0), encoding="utf-8")
    program = "from portkin_training.commands.learn import learn; learn()"
    command = [sys.executable, "-c", program, log, table, "--interval", "0.1"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, start_new_session=True)
    try:
        gathered = tmp_path / "table-probes" / "manifest.json"
        wait_until(gathered.exists, lambda: "the learner gathered nothing", timeout=240)
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.communicate()
    with log.open("a", encoding="utf-8") as opened:
        opened.write(lines(1))

    said = CliRunner().invoke(learn, [str(log), str(table), "--once"], catch_exceptions=False)

    assert 0 == said.exit_code
    assert 320 == len(load(tmp_path / "table-probes"))
    assert Table.load(table).id in said.output
    assert "2026-03-02" == Table.load(table).manifest.about["days"]["last"]
