"""Network namespaces for tests, as root."""

from __future__ import annotations

import ctypes
import os
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial

CLONE_NEWNET = 0x40000000
_libc = ctypes.CDLL(None, use_errno=True)


@contextmanager
def private_network() -> Iterator[None]:
    """This thread is in a network namespace of its own: what it does to nftables, nobody else sees."""
    with _elsewhere(_leave):
        yield


_machine: int | None = None


def leave_machine() -> None:
    """Move this thread into a network namespace where nothing is but loopback; its children are there, too."""
    global _machine
    before = _own_namespace()
    try:
        _leave()
    except OSError:
        os.close(before)
        raise
    _machine = before
    subprocess.run(["ip", "link", "set", "lo", "up"], check=True)


@contextmanager
def machine_network() -> Iterator[None]:
    """This thread is in the machine's own network for a while, if it had left it: for what is fetched from outside."""
    if _machine is None:
        yield
        return
    with _elsewhere(partial(_enter, _machine)):
        yield


@contextmanager
def _elsewhere(go: Callable[[], None]) -> Iterator[None]:
    """This thread is in the namespace that ``go`` moves it to, and then again in the one that it was in."""
    before = _own_namespace()
    try:
        go()
        try:
            yield
        finally:
            _enter(before)
    finally:
        os.close(before)


def _own_namespace() -> int:
    return os.open("/proc/thread-self/ns/net", os.O_RDONLY)


def _leave() -> None:
    if _libc.unshare(CLONE_NEWNET):
        raise OSError(ctypes.get_errno(), "unshare")


def _enter(namespace: int) -> None:
    if _libc.setns(namespace, CLONE_NEWNET):
        raise OSError(ctypes.get_errno(), "setns")
