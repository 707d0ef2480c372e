"""Prometheus metrics of a serving sidecar."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, Info

from portkin.bundles.table import Table
from portkin.zeek.event import Junk, Message
from portkin.zeek.messages import HelloResponse, NearestRequest, NearestResponse, SourceRequest, SourceResponse

BUCKETS = (20e-6, 50e-6, 100e-6, 200e-6, 500e-6, 1e-3, 2e-3, 5e-3, 10e-3, 50e-3, 0.25, 1.0)
"""Seconds. A lookup takes tens of microseconds; the last buckets mean trouble."""
_ASKED_BY: dict[type[Message], str] = {NearestRequest: "port", SourceRequest: "source"}


class Metrics:
    """The metrics of one sidecar, in a registry of their own.

    ``table`` returns the table now served; ``clock`` the wall-clock time (s since the epoch).
    """

    def __init__(self, table: Callable[[], Table], clock: Callable[[], float]) -> None:
        self.registry = registry = CollectorRegistry()
        self._requests = Counter(
            "portkin_requests",
            "Questions what comes next, by the port or by the source",
            ["by"],
            registry=registry,
        )
        self._answers = Counter("portkin_answers", "Answers sent, empty ones too", registry=registry)
        self._misses = Counter(
            "portkin_misses",
            "Answers without a port: none is known, or likely enough",
            registry=registry,
        )
        self._seconds = Histogram(
            "portkin_answer_seconds", "From request read to answer queued", ["by"], buckets=BUCKETS, registry=registry
        )
        # By the class of the question: looking labels up takes as long as counting.
        self._asked = {cls: (self._requests.labels(by), self._seconds.labels(by)) for cls, by in _ASKED_BY.items()}
        self._drops = Counter(
            "portkin_messages_dropped", "Messages to Zeek dropped: it was slow or not connected", registry=registry
        )
        self._junk = Counter(
            "portkin_invalid_messages", "Messages received that could not be used", ["reason"], registry=registry
        )
        self._failures = Counter("portkin_failures", "Messages whose handling failed: a defect", registry=registry)
        self._reconnects = Counter("portkin_reconnects", "Connections to Zeek after the first", registry=registry)
        self._connected = Gauge("portkin_connected", "1 while connected to Zeek", registry=registry)
        self._zeek = Gauge(
            "portkin_zeek_info", "1 for the Zeek that answers", ["node", "version", "protocol"], registry=registry
        )
        self._latest = Gauge(
            "portkin_latest_request_timestamp_seconds", "When the latest request came; 0 for none", registry=registry
        )
        self._reloads = Counter("portkin_table_reloads", "Attempts to reload the table", ["outcome"], registry=registry)
        for outcome in ("changed", "same", "refused"):  # from zero on, so that the first one is a rise
            self._reloads.labels(outcome)
        self._table = Info("portkin_table", "The table now served", registry=registry)
        self._pending = Gauge(
            "portkin_setting_pending",
            "1: changed in the file, and not in force",
            ["setting"],
            registry=registry,
        )
        self._ever_connected = False
        self._clock = clock
        age = Gauge("portkin_table_age_seconds", "Seconds since the table was built", registry=registry)
        age.set_function(lambda: clock() - table().created.timestamp())
        self.serving(table())

    def answered(self, message: Message, answers: Iterable[Message], seconds: float) -> None:
        """A message was handled in that many seconds."""
        asked = self._asked.get(type(message))
        if asked is not None:
            requests, taken = asked
            requests.inc()
            taken.observe(seconds)
            self._latest.set(self._clock())
            for answer in answers:
                if isinstance(answer, NearestResponse | SourceResponse):
                    self._answers.inc()
                    if not answer.ports:
                        self._misses.inc()

    def junk(self, junk: Junk) -> None:
        """A message came in that could not be used."""
        self._junk.labels(junk.reason).inc()

    def failed(self) -> None:
        """Handling a message raised."""
        self._failures.inc()

    def dropped(self, count: int) -> None:
        """So many messages to Zeek were dropped."""
        self._drops.inc(count)

    def connected(self) -> None:
        """Connected to Zeek."""
        if self._ever_connected:
            self._reconnects.inc()
        self._ever_connected = True
        self._connected.set(1)

    def greeted(self, answer: HelloResponse) -> None:
        """Zeek answered our hello."""
        self._zeek.labels(answer.node, answer.zeek_version, str(answer.protocol)).set(1)

    def lost(self) -> None:
        """The connection to Zeek is closed."""
        self._connected.set(0)
        self._zeek.clear()

    def serving(self, table: Table) -> None:
        """This table is now served."""
        by_source = str(table.source_model is not None).lower()
        self._table.info({"id": table.id, "k": str(table.k), "method": table.method, "by_source": by_source})

    def pending(self, settings: Iterable[str]) -> None:
        """These settings, and no others, are changed in the file and not in force."""
        self._pending.clear()
        for setting in settings:
            self._pending.labels(setting).set(1)

    def reloaded(self, outcome: str) -> None:
        """A reload of the table ended: ``changed``, ``same`` or ``refused``."""
        self._reloads.labels(outcome).inc()
