"""Facts about this machine: Python, portkin, the clock."""

from __future__ import annotations

import ctypes
import getpass
import platform
import sys

from portkin import __version__
from portkin.doctor.facts import ClockFacts, Installation
from portkin.installation import EXTRAS, RUNTIME, command_to_add, missing

_TIME_ERROR = 5
"""What adjtimex(2) returns where the clock is not synchronised."""
_TIMEX = 1024
"""Bytes, more than ``struct timex`` has."""


def gather_installation() -> Installation:
    """This portkin and this Python."""
    lacking = {extra: names for extra in (RUNTIME, *EXTRAS) if (names := missing(extra))}
    return Installation(
        portkin=__version__,
        python=platform.python_version(),
        executable=sys.executable,
        system=f"{platform.system()} {platform.release()} {platform.machine()}",
        user=_user(),
        missing=lacking,
        remedies={extra: command_to_add(extra) for extra in lacking},
    )


def _user() -> str:
    try:
        return getpass.getuser()
    except (OSError, KeyError):  # a user without a name, as in a container
        return "unknown"


def gather_clock() -> ClockFacts:
    """Whether the kernel says that the clock is synchronised: adjtimex(2), asked without changing anything."""
    try:
        adjtimex = ctypes.CDLL(None, use_errno=True).adjtimex
    except (AttributeError, OSError):
        return ClockFacts(None)
    state = adjtimex(ctypes.create_string_buffer(_TIMEX))
    return ClockFacts(None if state < 0 else state != _TIME_ERROR)
