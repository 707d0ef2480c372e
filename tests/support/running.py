"""Commands run in this process."""

from __future__ import annotations

import click
from click.testing import CliRunner


def output_of(command: click.Command, *arguments: object, status: int = 0, notes: bool = False) -> str:
    """What a command prints, which must end with this status; errors meant for people are raised.

    ``notes``: also what it says beside that, as where it fails; how long it has been at work depends on the machine.
    """
    done = CliRunner().invoke(command, [str(argument) for argument in arguments], catch_exceptions=False)
    assert status == done.exit_code, done.output
    return done.output if notes or status else done.stdout
