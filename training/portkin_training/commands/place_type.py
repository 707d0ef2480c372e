"""Where datasets lie, as the command line takes it: a folder, or the URL of one in a store."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click


class PlaceType(click.ParamType):  # type: ignore[type-arg]  # generic in the newest click alone
    """A path, or anything with ``://`` in it as it is written."""

    name = "path"

    def __init__(self, *, exists: bool = False) -> None:
        """With ``exists``, a path must be there; of a URL nothing is asked before it is read."""
        self._path = click.Path(exists=exists, path_type=Path)

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """A path, or a string that is a URL."""
        return value.rstrip("/") if "://" in str(value) else self._path.convert(value, param, ctx)
