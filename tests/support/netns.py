"""Network namespaces for tests, as root."""

from __future__ import annotations

import ctypes
import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager

CLONE_NEWNET = 0x40000000
_libc = ctypes.CDLL(None, use_errno=True)


@contextmanager
def private_network() -> Iterator[None]:
    """This thread is in a network namespace of its own: what it does to nftables, nobody else sees."""
    before = _own_namespace()
    try:
        _leave()
        try:
            yield
        finally:
            _enter(before)
    finally:
        os.close(before)


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
    before = _own_namespace()
    try:
        _enter(_machine)
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
