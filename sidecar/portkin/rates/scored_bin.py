"""A closed bin with its scores: the messages that Zeek is sent, and the alarms as they are kept for display."""

from __future__ import annotations

import math
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from portkin.rates.closing import Closed
from portkin.rates.history import Alarm
from portkin.zeek.event import Message
from portkin.zeek.messages import RateAnomaly, RatesScores, RateWarning

if TYPE_CHECKING:
    from portkin.bundles.forecast import Score

SCORES_PER_MESSAGE = 256
"""Scores in one message."""
UNKNOWN = -1.0


@dataclass(frozen=True)
class ScoredBin:
    """The scores of the bin that `closed` is about, `width` seconds wide; warnings are of the bin at `ahead`."""

    closed: Closed
    width: int
    ahead: int
    model_id: str
    scores: Sequence[Score]

    def messages(self) -> Iterator[Message]:
        """The scores, and what is raised; a bin that no node watched is reported as an outage only."""
        start, width = moment(self.closed.start), timedelta(seconds=self.width)
        for first in range(0, len(self.scores), SCORES_PER_MESSAGE):
            yield _scores(self.scores[first : first + SCORES_PER_MESSAGE], start, width, self.model_id)
        for score in self.scores if self.closed.known else ():
            if score.anomalous:
                yield RateAnomaly(
                    score.port,
                    start,
                    score.observed,
                    score.forecast,
                    _finite(score.e),
                    score.threshold_e,
                    self.model_id,
                )
            if score.warning:
                yield RateWarning(
                    score.port,
                    moment(self.ahead),
                    score.ahead,
                    score.trend,
                    _finite(score.w),
                    score.threshold_w,
                    self.model_id,
                )

    def alarms(self, raised: float) -> Iterator[Alarm]:
        """What is raised, as it is kept for display; ``raised`` is the time (s since 1970)."""
        for score in self.scores if self.closed.known else ():
            port, model = score.port, self.model_id
            if score.anomalous:
                limits = score.e, score.threshold_e
                yield Alarm(raised, "anomaly", port, self.closed.start, score.observed, score.forecast, *limits, model)
            if score.warning:
                limits = score.w, score.threshold_w
                yield Alarm(raised, "warning", port, self.ahead, score.ahead, score.trend, *limits, model)


def moment(start: int) -> datetime:
    """A bin's start as Zeek has it."""
    return datetime.fromtimestamp(start, UTC)


def _scores(scores: Sequence[Score], start: datetime, width: timedelta, model_id: str) -> RatesScores:
    def each(name: str) -> tuple[float, ...]:
        return tuple(_finite(getattr(score, name)) for score in scores)

    ports = tuple(score.port for score in scores)
    return RatesScores(
        start, width, model_id, ports, each("observed"), each("forecast"), each("e"), each("ahead"), each("w")
    )


def _finite(number: float) -> float:
    """As JSON has it: -1 for what is unknown, the largest number for what is infinite."""
    return UNKNOWN if math.isnan(number) else min(number, sys.float_info.max)
