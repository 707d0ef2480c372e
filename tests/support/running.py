"""Commands run in this process."""

from __future__ import annotations

import click
from click.testing import CliRunner


def output_of(command: click.Command, *arguments: object, status: int = 0) -> str:
    """What a command prints, which must end with this status; errors meant for people are raised."""
    done = CliRunner().invoke(command, [str(argument) for argument in arguments], catch_exceptions=False)
    assert status == done.exit_code, done.output
    return done.output
