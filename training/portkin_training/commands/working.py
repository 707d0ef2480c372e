"""What long work shows of itself: a spinner on a terminal; elsewhere, as in a cron job's mail, a line now and then."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import click

EVERY = 20.0
"""Seconds between lines where no terminal shows more."""


@contextmanager
def working(what: str, every: float = EVERY) -> Iterator[Callable[[str], None]]:
    """Show that ``what`` goes on; what is yielded takes how far it is, in a few words.

    Elsewhere than on a terminal a line on standard error comes every ``every`` seconds, from a thread of its own, and
    none for work that is done before.
    """
    if sys.stderr.isatty():
        from rich.console import Console

        with Console(stderr=True).status(what) as status:
            yield lambda far: status.update(f"{what}: {far}")
        return
    latest, done, began = [""], threading.Event(), time.monotonic()

    def tell() -> None:
        while not done.wait(every):
            far = f": {latest[0]}" if latest[0] else ""
            click.echo(f"portkin: {what}{far}, {time.monotonic() - began:.0f} s so far", err=True)

    def show(far: str) -> None:
        latest[0] = far

    thread = threading.Thread(target=tell, name="progress", daemon=True)
    thread.start()
    try:
        yield show
    finally:
        done.set()
        thread.join()
