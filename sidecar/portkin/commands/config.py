"""``portkin config``: check a settings file, or print one to begin with."""

from __future__ import annotations

from pathlib import Path

import click

from portkin.commands.settings_option import settings_option


@click.command()
@settings_option
@click.option("--sample", is_flag=True, help="Print a file with every setting, its default and what it does.")
def config(file: Path | None, sample: bool) -> None:
    """Check the settings file of `portkin serve` and show the settings that result."""
    from portkin.config.schema import SAMPLE, load_config

    if sample:
        click.echo(SAMPLE.read_text(encoding="utf-8"), nl=False)
        return
    from portkin.config.checks import checks, database_checks
    from portkin.config.loading import to_yaml

    click.echo(to_yaml(load_config(file, checks={**checks(), **database_checks()})), nl=False)
