"""How commands are stopped: those that run until then, and those that have started processes."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import FrameType

_NUMBERS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
_USUAL = (signal.SIG_DFL, signal.default_int_handler)
_WARNINGS = "PYTHONWARNINGS"
_CLEANED = "ignore:resource_tracker:UserWarning"
"""joblib's process that removes what workers shared, once all have ended, warns of what is left: it always is here."""


def stopped_by_signals() -> threading.Event:
    """An event that SIGINT and SIGTERM set from now on, in the place of ending the process."""
    stop = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stop.set())
    return stop


@contextmanager
def ending_with_children() -> Iterator[None]:
    """Within it, SIGINT, SIGTERM and SIGHUP end the processes that this one has started, and this one, by that signal:
    a shell shows 128 and its number as the status.

    Workers would go on with what they have, and wait for minutes for more; a sidecar would run on. What is not finished
    is lost, so that files must appear whole. Signals that somebody handles already, or ignores, as under nohup, stay as
    they are; so do all in a thread that is not the main one, where none can be handled.
    """
    main = threading.current_thread() is threading.main_thread()
    before = {number: handler for number in _NUMBERS if main and (handler := signal.getsignal(number)) in _USUAL}
    for number in before:
        signal.signal(number, _end)
    warnings = os.environ.get(_WARNINGS)
    os.environ[_WARNINGS] = f"{warnings},{_CLEANED}" if warnings else _CLEANED
    try:
        yield
    finally:
        if warnings is None:
            os.environ.pop(_WARNINGS, None)
        else:
            os.environ[_WARNINGS] = warnings
        for number, handler in before.items():
            signal.signal(number, handler)


def _end(number: int, frame: FrameType | None) -> None:
    signal.signal(number, signal.SIG_DFL)
    for process in _started():
        with suppress(ProcessLookupError):
            os.kill(process, signal.SIGTERM)
    os.kill(os.getpid(), number)


def _started() -> list[int]:
    """The process ids of those that this process has started, and these in turn, as suricata-update a Suricata; where
    there is no /proc, of those of multiprocessing."""
    if not Path("/proc/self/stat").exists():
        from multiprocessing import active_children

        return [process.pid for process in active_children() if process.pid]
    children: dict[int, list[int]] = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError):  # it has ended
            children.setdefault(int(stat.read_text().rpartition(")")[2].split()[1]), []).append(int(stat.parent.name))
    found = [os.getpid()]
    for process in found:
        found += children.get(process, [])
    return found[1:]
