"""What options are checked for that click does not check."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryFile

import click


def a_number(context: click.Context, parameter: click.Parameter, value: float | None) -> float | None:
    """Refuse nan, which passes every range."""
    if value is not None and value != value:
        raise click.BadParameter("nan is no number", context, parameter)
    return value


def writable(context: click.Context, parameter: click.Parameter, value: Path | None) -> Path | None:
    """Refuse a path that cannot be written, before the work rather than after it; missing folders may be made."""
    if value is not None:
        folder = value.absolute().parent
        while not folder.exists() and folder != folder.parent:
            folder = folder.parent
        try:
            with TemporaryFile(dir=folder):
                pass
        except OSError as error:
            message = f"{value}: nothing can be written in {folder} ({error.strerror})"
            raise click.BadParameter(message, context, parameter) from None
    return value


def a_chance(context: click.Context, parameter: click.Parameter, value: float | None) -> float | None:
    """Refuse what is no chance, nan included."""
    if value is not None and not 0 <= value <= 1:
        raise click.BadParameter(f"{value:g}: a chance lies between 0 (nothing is cut) and 1", context, parameter)
    return value


def known_format(context: click.Context, parameter: click.Parameter, value: str | None) -> str | None:
    """Refuse a format that is none."""
    if value is not None:
        from portkin_training.ingest.formats.names import KINDS

        if value not in KINDS:
            raise click.BadParameter(f"{value!r} is none of {', '.join(KINDS)}", context, parameter)
    return value
