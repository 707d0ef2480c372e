"""The option by which commands about an installed sidecar take its settings."""

from __future__ import annotations

from pathlib import Path

import click

from portkin.config.state_paths import settings_file


def _found(context: click.Context, parameter: click.Parameter, named: Path | None) -> Path | None:
    return settings_file(named)


settings_option = click.option(
    "-c",
    "--config",
    "file",
    type=click.Path(path_type=Path),
    callback=_found,
    help="The settings file of `portkin serve` [default: /etc/portkin/portkin.yaml where it is there].",
)
"""Passes ``file``: the one that is named, else that of the installed service, else None for the defaults."""
