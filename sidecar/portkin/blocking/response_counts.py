"""Counting what was answered to requests, and a line in the log where a cap is reached."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from portkin.blocking.block import Mode
from portkin.blocking.metrics import BlockingMetrics
from portkin.logs import Limiter, Log
from portkin.zeek.block_messages import BlockResponse


class ResponseCounts:
    """Counts responses in the metrics."""

    def __init__(self, mode: Mode, metrics: BlockingMetrics, log: Log, limiter: Limiter) -> None:
        self._mode = mode
        self._metrics = metrics
        self._log = log
        self._limiter = limiter

    def count(self, responses: Sequence[BlockResponse]) -> None:
        """Count the responses, and log where a cap is reached. Blocks that end are counted as they do."""
        counts = Counter((each.outcome, each.detail if each.outcome == "vetoed" else "") for each in responses)
        for (outcome, veto), count in counts.items():
            if outcome != "vetoed":
                if outcome != "removed":
                    self._metrics.counted(self._mode, outcome, count)
                continue
            self._metrics.vetoed(veto, count)
            suppressed = self._limiter.passes(veto) if veto.endswith("-cap") else None
            if suppressed is not None:
                first = next(each for each in responses if each.detail == veto)
                self._log.warning(
                    "a cap on blocks is reached",
                    cap=veto,
                    src=str(first.src),
                    port=str(first.p),
                    refused=count,
                    batches_not_shown=suppressed,
                )
