"""Where the settings of an installed service are, and where files that must survive a restart are kept."""

from __future__ import annotations

import os
from pathlib import Path

INSTALLED = Path("/etc/portkin/portkin.yaml")
"""Where the settings of an installed service are."""


def settings_file(named: Path | None) -> Path | None:
    """The settings file that was named; where None, that of the installed service if there is one, else None."""
    return INSTALLED if named is None and INSTALLED.exists() else named


def state_path(configured: Path | None, name: str) -> Path:
    """The configured path; where None, ``name`` in /var/lib/portkin for root, in ~/.local/state/portkin for others.

    ``XDG_STATE_HOME`` replaces ~/.local/state.
    """
    if configured is not None:
        return configured
    if os.geteuid() == 0:
        return Path("/var/lib/portkin") / name
    state = os.environ.get("XDG_STATE_HOME")
    return (Path(state) if state else Path.home() / ".local" / "state") / "portkin" / name
