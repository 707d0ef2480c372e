"""The one command, ``portkin``: finds the subcommands by entry point and loads only the one that runs."""

from __future__ import annotations

import os
import signal
import sys
from functools import cached_property
from importlib.metadata import EntryPoint, distribution
from types import FrameType
from typing import NoReturn

import click

from portkin import __version__
from portkin.errors import PortkinError, shown

GROUP = "portkin.commands"
_INTERRUPTED = "interrupted; files are written whole or not at all, so what was there before is unchanged"


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
    the reason. Ctrl-C ends with status 130, as shells do, and says what was kept.
    """
    interrupts = _Interrupts()
    try:
        sys.exit(portkin(standalone_mode=False))
    except Exception as error:
        if interrupts.seen:
            _end(_INTERRUPTED, 130)
        _explain(error)
        raise
    except KeyboardInterrupt:
        _end(_INTERRUPTED, 130)


class _Interrupts:
    """Remembers Ctrl-C, since a library may raise an error of its own for it: DuckDB 2.0 a RuntimeError."""

    def __init__(self) -> None:
        self.seen = False
        if signal.getsignal(signal.SIGINT) is signal.default_int_handler:  # in the background it may be ignored
            signal.signal(signal.SIGINT, self._interrupt)

    def _interrupt(self, number: int, frame: FrameType | None) -> None:
        self.seen = True
        signal.default_int_handler(number, frame)


def _explain(error: Exception) -> None:
    """End with a line about the error; returns for a defect, whose traceback is wanted."""
    match error:
        case PortkinError():
            _end(str(error))
        case ModuleNotFoundError():
            from portkin.installation import command_to_add, extra_of

            if (extra := extra_of(error.name or "")) is not None:
                _end(f"this command needs {error.name}, which the {extra!r} extra brings: {command_to_add(extra)}")
        case click.ClickException():
            error.show()
            sys.exit(error.exit_code)
        case click.Abort():
            _end(_INTERRUPTED, 130)
        case BrokenPipeError():  # as `portkin ... | head`
            sys.stdout = open(os.devnull, "w")  # noqa: PTH123, SIM115  (Python flushes it at its end)
            sys.exit(1)
        case OSError(filename=str() | bytes() as name, strerror=str() as reason):
            _end(f"{os.fsdecode(name)}: {reason}; name another file or folder, or make this one usable")


def _end(message: str, status: int = 1) -> NoReturn:
    click.echo(f"portkin: {shown(message)}", err=True)
    sys.exit(status)


if __name__ == "__main__":
    main()
