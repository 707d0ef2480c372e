"""Facts about nftables. Nothing is blocked, released or created."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Literal

from portkin.blocking.backends.nftables import Nftables
from portkin.blocking.config import EnforceConfig, place_of
from portkin.doctor.facts import NftablesFacts
from portkin.errors import BackendError

_CAP_NET_ADMIN = 12


def gather_nftables(config: EnforceConfig) -> NftablesFacts:
    """The kernel's table, and whether this process may change it."""
    place = place_of(config)
    privileged = bool(_capabilities() >> _CAP_NET_ADMIN & 1)
    try:
        backend = Nftables(place)
    except BackendError as error:
        return NftablesFacts(place.table, privileged=privileged, detail=str(error))
    try:
        backend.dropped()
        held = len(backend.held())
    except BackendError as error:
        state: Literal["missing", "unreadable"] = (
            "missing" if "is missing" in str(error) and privileged else "unreadable"
        )
        return NftablesFacts(place.table, backend.runner, privileged, state, str(error), hook=place.hook)
    finally:
        backend.close()
    return NftablesFacts(place.table, backend.runner, privileged, "present", held=held, hook=place.hook)


def _capabilities() -> int:
    """The effective capabilities of this process (capabilities(7)), a bit each."""
    try:
        status = Path("/proc/self/status").read_text(encoding="ascii", errors="replace")
    except OSError:
        return 0
    found = re.search(r"^CapEff:\s*([0-9a-f]+)$", status, re.MULTILINE)
    return int(found[1], 16) if found else 0
