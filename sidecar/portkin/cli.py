"""The one command, ``portkin``: finds the subcommands by entry point and loads only the one that runs."""

from __future__ import annotations

import sys
from functools import cached_property
from importlib.metadata import EntryPoint, distribution

import click

from portkin import __version__
from portkin.errors import PortkinError

GROUP = "portkin.commands"


class Commands(click.Group):
    """A click group whose members are entry points, so a light install never imports what trains."""

    @cached_property
    def _found(self) -> dict[str, EntryPoint]:
        # Of this distribution: to look through all that are installed takes longer than most commands.
        return {point.name: point for point in distribution("portkin").entry_points.select(group=GROUP)}

    def list_commands(self, ctx: click.Context) -> list[str]:
        return sorted(self._found)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        point = self._found.get(cmd_name)
        return point.load() if point else None


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(__version__, prog_name="portkin")
def portkin() -> None:
    """Which ports will a scanner touch next, and which are probed more than they should be."""


def main() -> None:
    """Run the command line; errors meant for people are printed without a traceback and end with status 1."""
    try:
        portkin(standalone_mode=True)
    except PortkinError as error:
        click.echo(f"portkin: {error}", err=True)
        sys.exit(1)
    except ModuleNotFoundError as error:
        from portkin.installation import command_to_add, extra_of

        extra = extra_of(error.name or "")
        if extra is None:
            raise
        click.echo(
            f"portkin: this command needs {error.name}, which the {extra!r} extra brings: {command_to_add(extra)}",
            err=True,
        )
        sys.exit(1)


if __name__ == "__main__":
    main()
