"""A table that keeps itself current: probes are gathered from a log, and every day the table is learnt again.

Nothing is kept but what is on disk: the dataset knows how far the log was read, the counts which days were counted, and
the table up to which day it has learnt. Each is replaced whole or not at all, so that a learner that is killed goes on
where it was.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from functools import partial
from pathlib import Path
from typing import Any

from portkin.bundles.table import Table
from portkin.bundles.table_format import DEFAULT_K
from portkin.errors import BundleError, PortkinError
from portkin.net.ports import PROTOS, Proto
from portkin.wording import amount
from portkin_training.core.dataset import manifest
from portkin_training.core.dataset_writer import merge_files
from portkin_training.evaluation.held_out_days import held_out_days_figures
from portkin_training.evaluation.sentences import recommended
from portkin_training.evaluation.table_on_day import DayFigures, figures_of_day
from portkin_training.ingest.follow import Follower
from portkin_training.ingest.reading import Reading
from portkin_training.ingest.run import IngestOptions
from portkin_training.learning.acceptance import why_worse
from portkin_training.learning.metrics import Progress, write_metrics
from portkin_training.learning.schedule import is_due, learnt_until, not_over
from portkin_training.tables.build import made_by, table_of_days
from portkin_training.tables.daily.counts import Day
from portkin_training.tables.daily.store import refresh
from portkin_training.tables.protocol_rows import ProtocolRows
from portkin_training.tables.scans import ScanOptions

AGAIN = timedelta(hours=1)
"""After so long a table that could not be made, or was refused, is tried again."""
TRIED = "tried_before"
"""Where the manifest has the figures of the table that was in service before, on the day that was new."""


@dataclass(frozen=True)
class Places:
    """Where everything is. `metrics`: the file for Prometheus, if any."""

    log: Path
    probes: Path
    counts: Path
    table: Path
    metrics: Path | None = None


class _Worse(PortkinError):
    """What was learnt may not take the place of the table in service."""


@dataclass
class Learner:
    """Gathers and learns, look by look; `look` never raises for what can be fixed while it runs, but reports it.

    A day is learnt from the time `at` of the next one on (UTC). `tell` is called with a sentence about what was done,
    `warn` with one about what could not be.
    """

    places: Places
    options: IngestOptions
    at: time
    half_life: float
    tell: Callable[[str], None]
    warn: Callable[[str], None]
    clock: Callable[[], datetime] = lambda: datetime.now(UTC)
    progress: Progress = field(default_factory=Progress)
    _follower: Follower | None = None
    _not_before: datetime | None = None
    _troubles: dict[str, str] = field(default_factory=dict)

    def run(self, stop: threading.Event, interval: float) -> None:
        """Look every `interval` seconds until `stop` is set, and once more then."""
        while True:
            ending = stop.is_set()
            self.look()
            if ending:
                break
            stop.wait(interval)
        self._stop_following()

    def look(self) -> None:
        """Gather what the log got, learn where a table is due, and write the metrics."""
        self._gather()
        now = self.clock()
        present = self._present(())
        until = not_over(now, self.at)
        if is_due(present, until) and (self._not_before is None or now >= self._not_before):
            self._not_before = now + AGAIN
            self._learn(until, self._present())
            present = self._present(())
        self._report(now, present)

    def _gather(self) -> None:
        try:
            if self._follower is None:
                self._follower = Follower(self.places.log, self.places.probes, self.options)
            while (reading := self._follower.look()) is not None:
                self._gathered(reading)
            self._troubles.pop("log", None)
        except (PortkinError, OSError) as error:
            self.progress.log_errors += 1
            self._stop_following()
            self._warn_once("log", f"{error}; looking again")

    def _warn_once(self, about: str, text: str) -> None:
        """Warn unless the last warning about the same was equal, so that lasting trouble is reported once."""
        if self._troubles.get(about) != text:
            self._troubles[about] = text
            self.warn(text)

    def _gathered(self, reading: Reading) -> None:
        # What is taken for granted, such as a zone, is the same at every look.
        notes = () if self.progress.probes else reading.notes
        self.progress.probes += reading.probes
        for problem in (*reading.problems, *notes):
            self.warn(problem)
        added = f"{amount(reading.probes, 'probe')} of {amount(reading.read, 'row')}"
        self.tell(f"{reading.path}: {added} added to {self.places.probes}")

    def _stop_following(self) -> None:
        if self._follower is not None:
            self._follower.close()
            self._follower = None

    def _present(self, protos: Collection[Proto] = PROTOS) -> Table | None:
        """The table in service, with the rows of these protocols; None where there is none that can be read."""
        try:
            return Table.load(self.places.table, protos)
        except BundleError:
            return None

    def _learn(self, until: date, present: Table | None) -> None:
        """Learn from the days before `until`, and say what became of it."""
        try:
            learnt = self._learnt(until, present)
        except _Worse as worse:
            self.progress.refreshes["refused"] += 1
            self.warn(
                f"{self.places.table}: the table learnt until {until} does not replace it: {worse}. The old one stays; "
                f"`portkin table update {self.places.probes} {self.places.table}` replaces it all the same"
            )
        except (PortkinError, OSError) as error:
            self.progress.refreshes["failed"] += 1
            self.warn(f"{self.places.table}: no table could be learnt, the old one stays ({error}); trying again")
        else:
            self._not_before = None
            if learnt is not None:
                self.progress.refreshes["replaced"] += 1
                self.tell(learnt)

    def _learnt(self, until: date, present: Table | None) -> str | None:
        """Replace the table, and return what to say of it; None where there is no day to learn from yet."""
        places = self.places
        if not places.probes.exists():
            return None
        before = made_by(places.table)
        options = ScanOptions(
            before.get("min_ports", 3), before.get("max_ports", 30), tuple(before.get("protos", PROTOS))
        )
        over = [day for day in manifest(places.probes)["days"] if date.fromisoformat(day) < until]
        merge_files(places.probes, over)  # a file for every look, which all are named again at the next
        days = refresh(places.probes, places.counts, options, until=until).days
        if not any(day.probes for day in days):
            return None
        figures = self._tried(days[-1], until, present)

        def accept(built: Mapping[Proto, ProtocolRows]) -> None:
            worse = why_worse(built, present)
            if worse:
                raise _Worse(worse)

        if present is not None and present.source_model is not None:
            self.warn(
                f"{places.table}: predicts by source, which one learnt from counts of days does not: this ends now"
            )
        also: dict[str, Any] = {} if figures is None else {TRIED: figures.as_dict()}
        built, found = table_of_days(
            places.probes, places.counts, places.table, k=before.get("k", DEFAULT_K), options=options,
            method=before.get("method", "kin"), half_life=self.half_life, until=until, also=also, accept=accept,
            evaluate=partial(held_out_days_figures, usefulness=before.get("usefulness")),
        )  # fmt: skip
        first, last = found.days[0].date, found.days[-1].date
        chosen = built.manifest.about.get("cutoff")
        cut = "" if chosen is None else f"; cut-off: {recommended(chosen)}"
        return f"{places.table}: table {built.id}, learnt from {amount(len(found.days), 'day')}, {first} to {last}{cut}"

    def _tried(self, last: Day, until: date, present: Table | None) -> DayFigures | None:
        """The figures of the table in service on the day that is new to it, reported and kept for the metrics."""
        if present is None or last.date != until - timedelta(days=1) or learnt_until(present) > last.date:
            return None
        figures = figures_of_day(present, last)
        if figures is not None:
            self.progress.figures = figures
            self.tell(_sentence(figures))
        return figures

    def _report(self, now: datetime, present: Table | None) -> None:
        progress = self.progress
        progress.looked = now
        progress.until = None if present is None else learnt_until(present)
        if progress.figures is None and present is not None and TRIED in present.manifest.about:
            progress.figures = DayFigures(**present.manifest.about[TRIED])
        if self.places.metrics is None:
            return
        try:
            if self.places.probes.exists():
                last = manifest(self.places.probes)["last"]
                progress.latest = None if last is None else datetime.fromisoformat(last)
            write_metrics(self.places.metrics, progress)
            self._troubles.pop("metrics", None)
        except (PortkinError, OSError) as error:
            self._warn_once("metrics", f"{self.places.metrics}: the metrics could not be written ({error})")


def _sentence(figures: DayFigures) -> str:
    """The figures of a day, for people."""

    def share(value: float | None) -> str:
        return "-" if value is None else f"{value:.1%}"

    ratio = "-" if figures.chance_ratio is None else f"{figures.chance_ratio:.2f}"
    return (
        f"{figures.day}: table {figures.table} found {share(figures.recall)} of {figures.new_ports:,} new ports "
        f"(expected {share(figures.expected_recall)}, neighboring numbers {share(figures.euclidean_recall)}) by "
        f"{figures.blocks:,} blocks, {share(figures.usefulness)} of them useful; "
        f"{ratio} of what its chances state came true"
    )
