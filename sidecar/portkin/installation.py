"""How this portkin was installed, and what adds an extra to it.

No remedy names portkin on a package index: what has that name there is not ours.
"""

from __future__ import annotations

import json
import shlex
import sys
from collections.abc import Mapping
from functools import cache
from importlib.metadata import Distribution, PackageNotFoundError, distribution
from importlib.util import find_spec
from pathlib import Path
from typing import Any, cast
from urllib.parse import unquote, urlsplit

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

NAME = "portkin"
EXTRAS = ("offline", "training", "rules", "spark", "s3")
"""The extras that commands need, the lightest first."""
RUNTIME = "runtime"
"""Stands for no extra."""
_DISTRIBUTIONS = {
    "ibis": "ibis-framework",
    "llvmlite": "numba",
    "ruamel": "ruamel-yaml",
    "sklearn": "scikit-learn",
    "suricata": "suricata-update",
    "yaml": "pyyaml",
}
"""Where a module has another name than what brings it."""


def requirements(extra: str) -> list[Requirement]:
    """What the extra needs beside the runtime, those of extras within it too; of ``runtime`` what portkin needs."""
    found: dict[str, Requirement] = {}
    wanted = [extra]
    for one in wanted:
        for requirement in _required():
            if not _belongs(requirement, one):
                continue
            if canonicalize_name(requirement.name) == NAME:
                wanted += requirement.extras - set(wanted)
            else:
                found.setdefault(canonicalize_name(requirement.name), requirement)
    return list(found.values())


def _required() -> tuple[Requirement, ...]:
    return _parsed(tuple(distribution(NAME).requires or ()))


@cache
def _parsed(requires: tuple[str, ...]) -> tuple[Requirement, ...]:
    # The extras ask for them one after the other, a hundredth of a second each.
    return tuple(map(Requirement, requires))


def _belongs(requirement: Requirement, extra: str) -> bool:
    if extra == RUNTIME:
        return requirement.marker is None or requirement.marker.evaluate({"extra": ""})
    marker = requirement.marker
    return marker is not None and marker.evaluate({"extra": extra}) and not marker.evaluate({"extra": ""})


def extra_of(module: str) -> str | None:
    """The lightest extra that brings the module; None where none does."""
    top = module.partition(".")[0]
    wanted = canonicalize_name(_DISTRIBUTIONS.get(top, top))
    for extra in EXTRAS:
        if any(canonicalize_name(requirement.name) == wanted for requirement in requirements(extra)):
            return extra
    return None


def missing(extra: str) -> tuple[str, ...]:
    """The distributions that the extra needs and that are not installed."""
    return tuple(requirement.name for requirement in requirements(extra) if not _installed(requirement.name))


def _installed(name: str) -> bool:
    try:
        distribution(name)
    except PackageNotFoundError:
        return False
    return True


def installed() -> list[str]:
    """The distributions that portkin and its extras need and that are here, as ``numpy 2.1.0``, by name."""
    names = {requirement.name for extra in (RUNTIME, *EXTRAS) for requirement in requirements(extra)}
    return [f"{name} {distribution(name).version}" for name in sorted(names) if _installed(name)]


def command_to_add(extra: str) -> str:
    """The command that installs the extra, or for ``runtime`` portkin's own needs, where this portkin is.

    It names what portkin was installed from. Where that is gone, it names what the extra consists of.
    """
    pip = [sys.executable, "-m", "pip", "install"]
    if find_spec("pip") is None:  # as uv makes environments
        pip = ["uv", "pip", "install", "--python", sys.executable]
    named = _source(distribution(NAME), "" if extra == RUNTIME else f"[{extra}]")
    if named is None:
        named = [str(_without_marker(requirement)) for requirement in requirements(extra)]
    return shlex.join([*pip, *named])


def _without_marker(requirement: Requirement) -> Requirement:
    plain = Requirement(str(requirement))
    plain.marker = None
    return plain


def source_folder() -> Path | None:
    """The folder that portkin was installed from, where it is still there; None for another origin."""
    origin = _origin(distribution(NAME))
    path = None if origin is None else _path_in(origin)
    return path if path is not None and path.is_dir() else None


def _origin(installed: Distribution) -> dict[str, Any] | None:
    """What was recorded of where it was installed from (PEP 610); None where nothing was."""
    recorded = installed.read_text("direct_url.json")
    return None if recorded is None else cast(dict[str, Any], json.loads(recorded))


def _path_in(origin: Mapping[str, Any]) -> Path | None:
    """The folder or file that an origin is; None for an address elsewhere."""
    url = urlsplit(origin["url"])
    return Path(unquote(url.path)) if url.scheme == "file" else None


def _source(installed: Distribution, extras: str) -> list[str] | None:
    """What to name to pip: the folder, file or repository that portkin was installed from."""
    origin = _origin(installed)
    if origin is None:
        return None
    if "vcs_info" in origin:
        vcs = origin["vcs_info"]
        return [f"{NAME}{extras} @ {vcs['vcs']}+{origin['url']}@{vcs['commit_id']}"]
    path = _path_in(origin)
    if path is None:
        return [f"{NAME}{extras} @ {origin['url']}"]
    if not path.exists():
        return None
    editable = ["-e"] if origin.get("dir_info", {}).get("editable") else []
    return [*editable, f"{path}{extras}"]
