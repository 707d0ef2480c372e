"""Commands that run until they are stopped."""

from __future__ import annotations

import signal
import threading


def stopped_by_signals() -> threading.Event:
    """An event that SIGINT and SIGTERM set from now on, in the place of ending the process."""
    stop = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stop.set())
    return stop
