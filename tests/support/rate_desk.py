"""A scorer of live rates with its store, at work on made-up reports, for tests."""

from __future__ import annotations

import asyncio
import time
from datetime import UTC, datetime, timedelta

from prometheus_client import CollectorRegistry

from portkin.bundles.forecast import Forecaster
from portkin.rates.closing import Closing
from portkin.rates.metrics import RatesMetrics
from portkin.rates.scorer import RateScorer
from portkin.rates.store import RateStore
from portkin.timeseries.bins import HOUR
from portkin.zeek.event import Count
from portkin.zeek.messages import RatesReport, RatesResponse
from support.enforcing import Lines, at_work
from support.telescope import BEGIN, USUAL, write_means


def report(start: float, counts=None, *, node: str = "zeek", width: float = 60.0, reqid: str = "r") -> RatesReport:
    counts = counts or {}
    return RatesReport(
        reqid,
        node,
        datetime.fromtimestamp(start, UTC),
        timedelta(seconds=width),
        tuple(counts),
        tuple(map(Count, counts.values())),
    )


class Desk:
    """A scorer with clocks that a test controls; reports come with Zeek's time."""

    def __init__(self, folder, **closing) -> None:
        self.models = Forecaster.load(write_means(folder / "models"))
        self.registry = CollectorRegistry()
        store = RateStore(
            folder / "w.sqlite", width=HOUR, tz="UTC", ports=self.models.ports, bins=20, closing=Closing(**closing)
        )
        self.log = Lines()
        self.wall_clock = time.time
        """The sidecar's; today, years after the reports, unless `at` sets it."""
        self.once_closed = lambda: None
        """Called once a bin is closed, before it is read and scored."""
        self.scorer = RateScorer(
            store,
            self.models,
            metrics=RatesMetrics(self.registry),
            log=self.log,
            clock=self._clock,
            wall_clock=lambda: self.wall_clock(),
        )

    def _clock(self) -> float:
        self.once_closed()
        return time.perf_counter()

    def at(self, now: float) -> None:
        """The sidecar's clock shows this time."""
        self.wall_clock = lambda: now

    def hour(self, number: int, changes=None, node: str = "zeek") -> list:
        """What is said to the reports of a whole hour, but for the responses."""
        counts = {**USUAL, **(changes or {})}
        begin = BEGIN + number * HOUR
        reports = [report(begin, counts, node=node, width=60)]
        reports += [report(begin + minute * 60, node=node) for minute in range(1, 60)]
        said = [message for one in reports for message in self.scorer.receive(one, one.start.timestamp() + 60)]
        return [message for message in said if not isinstance(message, RatesResponse)]


def kinds(said: list) -> list[type]:
    return [type(message) for message in said]


def drive(part, reports) -> list:
    """What the part says to reports, its thread and all; ends with the last response."""

    async def go() -> list:
        said: list = []
        (handler,) = part.handlers().values()
        async with at_work(part, said.extend):
            for one in reports:
                said.extend(handler(one, one.start.timestamp()))
            async with asyncio.timeout(20):
                while sum(isinstance(message, RatesResponse) for message in said) < len(reports):
                    await asyncio.sleep(0.01)
        return said

    return asyncio.run(go())
