"""A sidecar without a socket: it is fed by hand, and what it says is kept."""

from __future__ import annotations

import asyncio
import io
import json

from portkin.logs import make_log
from portkin.metrics import Metrics
from portkin.sidecar import Sidecar
from portkin.zeek.dispatcher import Hello, Nearest, Part, Service
from portkin.zeek.event_codec import parse
from portkin.zeek.messages import TableChanged
from support.tables import small_table


class Kept:
    """A transport that keeps what it is given."""

    def __init__(self):
        self.sent = []

    def send(self, event):
        self.sent.append(parse(event))

    async def run(self, listener):
        await asyncio.Event().wait()


class Broken(Part):
    """A part with a defect."""

    def handlers(self):
        return {TableChanged: self._fail}

    def _fail(self, message, now):
        raise ZeroDivisionError


class Setting:
    """A sidecar with a small table, a transport that keeps what it is given, and a clock that is set by hand."""

    def __init__(self, folder):
        self.now = 0.0
        self.clock = lambda: self.now
        self.text = io.StringIO()
        self.nearest = Nearest(small_table(folder))
        self.hello = Hello(self.nearest, lambda: "h1")
        self.metrics = Metrics(lambda: self.nearest.table, lambda: 0.0)
        self.transport = Kept()
        self.log = make_log(format="json", stream=self.text)
        self.sidecar = Sidecar(
            Service(self.hello, self.nearest, Broken()),
            self.transport,
            hello=self.hello,
            metrics=self.metrics,
            log=self.log,
            clock=lambda: self.clock(),
        )

    def count(self, name, **labels):
        return self.metrics.registry.get_sample_value(name, labels)

    def logged(self):
        return [json.loads(line) for line in self.text.getvalue().splitlines()]
