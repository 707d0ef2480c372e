"""The one command, ``portkin``: finds the subcommands by entry point and loads only the one that runs."""

from __future__ import annotations

import os
import sys
from functools import cached_property
from importlib.metadata import EntryPoint, distribution

import click

from portkin import __version__
from portkin.errors import PortkinError, shown

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
    """Run the command line; errors meant for people are printed without a traceback and end with status 1.

    One rule holds for every file that a command reads or writes: where the system refuses it, a line names the file and
    the reason. Ctrl-C ends with status 130, as shells do, and says what stands.
    """
    try:
        sys.exit(portkin(standalone_mode=False))
    except PortkinError as error:
        _end(str(error))
    except ModuleNotFoundError as error:
        from portkin.installation import command_to_add, extra_of

        extra = extra_of(error.name or "")
        if extra is None:
            raise
        _end(f"this command needs {error.name}, which the {extra!r} extra brings: {command_to_add(extra)}")
    except click.ClickException as error:
        error.show()
        sys.exit(error.exit_code)
    except (click.Abort, KeyboardInterrupt):
        _end("interrupted; whatever is written is written whole or not at all, so what was there stands", 130)
    except BrokenPipeError:  # as `portkin ... | head`
        sys.stdout = open(os.devnull, "w")  # noqa: PTH123, SIM115  (Python flushes it at its end)
        sys.exit(1)
    except OSError as error:
        if not isinstance(error.filename, str | bytes) or error.strerror is None:
            raise
        _end(f"{os.fsdecode(error.filename)}: {error.strerror}; name another file or folder, or make this one usable")


def _end(message: str, status: int = 1) -> None:
    click.echo(f"portkin: {shown(message)}", err=True)
    sys.exit(status)


if __name__ == "__main__":
    main()
