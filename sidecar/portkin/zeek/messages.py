"""The typed mirror of ``zeek-scripts/api.zeek``: each event between Zeek and the sidecar as a dataclass.

Those of blocks are in `block_messages`. To add a message, declare its class with `zeek_event`; `event_codec` says which
annotations its fields can have.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from portkin.bundles.table_format import RECENT
from portkin.net.ports import Port
from portkin.zeek.event import Count, Message, zeek_event

PROTOCOL = 4
"""The version of this set of events; both sides say theirs in the hello."""

TO_SIDECAR = "/portkin/v1/sidecar"
"""The topic on which Zeek publishes."""
TO_ZEEK = "/portkin/v1/zeek"
"""The topic on which the sidecar publishes."""
TO_STATUS = "/portkin/v1/status"
"""The topic on which Zeek answers `StatusRequest`."""


@zeek_event("Portkin::hello_request")
@dataclass(frozen=True, slots=True)
class HelloRequest(Message):
    """Sidecar to Zeek, until it is answered: I am here, with this table of ``k`` neighbors per port.

    Its fields are those of every version, so that two releases can tell that they differ.
    """

    reqid: str
    protocol: Count
    sidecar: str
    table_id: str
    k: Count


@zeek_event("Portkin::hello_response")
@dataclass(frozen=True, slots=True)
class HelloResponse(Message):
    """Zeek to sidecar: I hear you, and this is who I am."""

    reqid: str
    protocol: Count
    node: str
    zeek_version: str


@zeek_event("Portkin::nearest_request")
@dataclass(frozen=True, slots=True)
class NearestRequest(Message):
    """Zeek to sidecar: which ports are predicted after ``p``, ``k`` at most, each with this chance or more?

    The ``min_chance`` -1 stands for the cut-off that the table recommends.
    """

    reqid: str
    p: Port
    k: Count
    min_chance: float


@zeek_event("Portkin::nearest_response")
@dataclass(frozen=True, slots=True)
class NearestResponse(Message):
    """Sidecar to Zeek: these, nearest first, and their chances; none for a port never seen.

    ``chances`` is empty where the table has none. ``error``: empty if all is well.
    """

    reqid: str
    p: Port
    table_id: str
    ports: tuple[Port, ...]
    chances: tuple[float, ...]
    error: str


@zeek_event("Portkin::source_request")
@dataclass(frozen=True, slots=True)
class SourceRequest(Message):
    """Zeek to sidecar: what will a source probe that did this, ``k`` ports at most, each with this chance or more?

    The fields of its history are those of `portkin.bundles.prediction.History`; ``min_chance`` as for `NearestRequest`.
    """

    reqid: str
    recent: tuple[Port, ...]
    probed: Count
    elapsed: timedelta
    k: Count
    min_chance: float

    def __post_init__(self) -> None:
        """Raise ValueError for what is no history."""
        if not 1 <= len(self.recent) <= RECENT:
            raise ValueError(f"its recent ports are {len(self.recent)}, not 1 to {RECENT}")
        if len(set(self.recent)) < len(self.recent) or self.probed < len(self.recent):
            raise ValueError("its recent ports are not so many different ones as were probed")
        if self.elapsed < timedelta(0):
            raise ValueError("the time since its first probe is negative")


@zeek_event("Portkin::source_response")
@dataclass(frozen=True, slots=True)
class SourceResponse(Message):
    """Sidecar to Zeek: these, likeliest first, and their chances; for the source that was asked about, and no other.

    ``of_source``: by its history, not by its latest port alone. ``error``: empty if all is well.
    """

    reqid: str
    table_id: str
    ports: tuple[Port, ...]
    chances: tuple[float, ...]
    of_source: bool
    error: str


@zeek_event("Portkin::table_changed")
@dataclass(frozen=True, slots=True)
class TableChanged(Message):
    """Sidecar to Zeek, when a hello was answered and when it is another one: answers come from this table from now on.

    ``has_model``: whether `SourceRequest` may be asked.
    """

    table_id: str
    k: Count
    has_model: bool


@zeek_event("Portkin::rates_report")
@dataclass(frozen=True, slots=True)
class RatesReport(Message):
    """Zeek to sidecar: how often each port was probed in [start, start + width), as ``node`` counted.

    A report is known by its node and start. One without ports says that nothing came while the node watched.
    """

    reqid: str
    node: str
    start: datetime
    width: timedelta
    ports: tuple[Port, ...]
    counts: tuple[Count, ...]


@zeek_event("Portkin::rates_response")
@dataclass(frozen=True, slots=True)
class RatesResponse(Message):
    """Sidecar to Zeek: the report is dealt with; for so many of its ports the counts were taken.

    ``error``: empty, or why the report is of no use; it is not wanted again.
    """

    reqid: str
    accepted: Count
    error: str


@zeek_event("Portkin::rate_anomaly")
@dataclass(frozen=True, slots=True)
class RateAnomaly(Message):
    """Sidecar to Zeek: E (`portkin.timeseries.indicators`) of this port exceeded its threshold in the bin."""

    p: Port
    start: datetime
    observed: float
    forecast: float
    e: float
    threshold: float
    model_id: str


@zeek_event("Portkin::rate_warning")
@dataclass(frozen=True, slots=True)
class RateWarning(Message):
    """Sidecar to Zeek: for the bin that begins at ``start`` W of this port is above its limit."""

    p: Port
    start: datetime
    forecast: float
    trend: float
    w: float
    threshold: float
    model_id: str


@zeek_event("Portkin::rates_outage")
@dataclass(frozen=True, slots=True)
class RatesOutage(Message):
    """Sidecar to Zeek: the bin from ``start`` is the first that is unknown; ``nodes`` reported too little.

    No nodes: all reported, and none saw a probe on any port.
    """

    start: datetime
    width: timedelta
    nodes: tuple[str, ...]


@zeek_event("Portkin::rates_scores")
@dataclass(frozen=True, slots=True)
class RatesScores(Message):
    """Sidecar to Zeek: scores at the close of the bin from ``start``; what is not known is -1."""

    start: datetime
    width: timedelta
    model_id: str
    ports: tuple[Port, ...]
    observed: tuple[float, ...]
    forecast: tuple[float, ...]
    e: tuple[float, ...]
    ahead: tuple[float, ...]
    w: tuple[float, ...]


@zeek_event("Portkin::status_request")
@dataclass(frozen=True, slots=True)
class StatusRequest(Message):
    """Somebody to Zeek: how do you stand? Changes nothing there."""

    reqid: str


@zeek_event("Portkin::status_response")
@dataclass(frozen=True, slots=True)
class StatusResponse(Message):
    """Each node of Zeek, on `TO_STATUS`: this is how I stand.

    ``peers`` are the other nodes of its cluster; ``probe``, ``answer`` and ``decision`` how long ago each last
    happened, negative for never; ``clock`` is the node's time.
    """

    reqid: str
    protocol: Count
    node: str
    zeek_version: str
    backend: str
    scripts: tuple[str, ...]
    peers: tuple[str, ...]
    mode: str
    sidecar: bool
    table_id: str
    packets: Count
    scanners: Count
    probe: timedelta
    answer: timedelta
    decision: timedelta
    clock: datetime
