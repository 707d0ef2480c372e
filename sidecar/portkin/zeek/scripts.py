"""Where the package's Zeek scripts are on this machine, and where Zeek looks for scripts."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterable, Iterator
from pathlib import Path

from portkin.errors import InputError
from portkin.installation import source_folder
from portkin.zeek.programs import zeek_program

LOAD = "__load__.zeek"
DEBIAN = Path("/usr/share/portkin/zeek-scripts")
"""Where the Debian package puts them."""
_NAME = "zeek-scripts"
"""Their folder in portkin's source."""


def built_search_path(config: str | None) -> str:
    """Where Zeek looks for scripts, as it was built; ``config`` is the path of ``zeek-config``, "" where it says
    nothing."""
    if config is None:
        return ""
    try:
        asked = subprocess.run([config, "--zeekpath"], capture_output=True, text=True, timeout=10)  # noqa: S603
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return asked.stdout.strip()


def folders_of(paths: Iterable[str]) -> list[Path]:
    """The folders of search paths, as ``ZEEKPATH`` has them. zkg puts packages into a folder of their own, which
    local.zeek loads."""
    found = [Path(part) for text in paths for part in text.split(":") if part.startswith("/")]
    return list(dict.fromkeys(path for folder in found for path in (folder, folder / "packages")))


def find_scripts(zeek: str) -> Path:
    """The package's scripts: of the source tree that one stands in or that portkin was installed from, of the Debian
    package, or those that zkg installed for this program ``zeek``.

    Raises InputError where there are none.
    """
    looked = []
    for folder in _candidates(zeek):
        if (folder / LOAD).is_file():
            return folder
        looked.append(str(folder))
    raise InputError(
        f"no Zeek scripts of portkin are installed (looked for {LOAD} in {', '.join(looked)}); install them, by "
        f"`zkg install` of portkin's source, or name their folder with --scripts"
    )


def _candidates(zeek: str) -> Iterator[Path]:
    yield Path(_NAME)
    source = source_folder()
    if source is not None:
        yield source / _NAME
    yield DEBIAN
    beside = Path(zeek).with_name("zeek-config")
    config = str(beside) if beside.is_file() else zeek_program("zeek-config")
    for folder in folders_of((os.environ.get("ZEEKPATH", ""), built_search_path(config))):
        yield folder / "portkin"
