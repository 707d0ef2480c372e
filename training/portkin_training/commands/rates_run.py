"""What ``portkin rates evaluate`` and ``train`` share: options, the series with its affinities, and progress."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import click

from portkin.errors import InputError
from portkin.net.ports import Port
from portkin.wording import amount
from portkin_training.commands.place_type import PlaceType
from portkin_training.commands.rates_options import FOLDER, PortType, counted_sequential, seed_option
from portkin_training.commands.working import EVERY

if TYPE_CHECKING:
    from collections.abc import Callable

    from portkin_training.core.engine import Engine
    from portkin_training.core.places import Place
    from portkin_training.rates.affinity.feature_ports import Affinities
    from portkin_training.rates.models.registry import Profile
    from portkin_training.rates.series.rate_series import Rates


def run_options(command: Any) -> Any:
    """What evaluate and train share: which rates, which ports and models, how much to spend."""
    for option in reversed(
        [
            click.argument("series", type=FOLDER),
            click.option("--probes", type=PlaceType(), help="The probes the series were counted from: ports probed in "
                         "sequence by the same sources are then akin (T&S); without, only ports probed at the same "
                         "times (T)."),
            click.option("--sequential", type=FOLDER, help="The same, counted before (`rates simulate` writes one)."),
            click.option("--sample", type=click.FloatRange(0, 1, min_open=True), default=1.0, show_default=True,
                         help="Share of the sources to draw; of very many, 0.05 is enough."),
            click.option("--port", "ports", type=PortType(), multiple=True, help="A port to forecast; repeat for "
                         "several. Default: all of the series, as many as --most."),
            click.option("--most", type=click.IntRange(1), default=13, show_default=True,
                         help="Without --port: this many, the most targeted."),
            click.option("--model", "models", multiple=True, metavar="NAME",
                         help="A model to try; repeat for several. Default: all."),
            click.option("--profile", "profile_name", type=click.Choice(["small", "network", "reduced", "paper"]),
                         default="small", show_default=True, help="small: minutes on a CPU; network: the paper's "
                         "network without its grid; reduced: after a search of a part of the grid with a narrower "
                         "network; paper: all of it, days on a GPU."),
            click.option("--lags", type=click.IntRange(1), help="Largest lag of the temporal similarity, in bins. "
                         "Default: a week of hours, a month of days."),
            click.option("--jobs", type=click.IntRange(1), default=2, show_default=True, help="Processes."),
            click.option("--device", default="auto", show_default=True, help="Where networks train: cpu, cuda, or "
                         "auto, which is cuda where torch sees it."),
            seed_option,
            click.option("--work", type=FOLDER, help="Results of every port and model are kept here; a run that was "
                         "killed resumes from them."),
        ]
    ):  # fmt: skip
        command = option(command)
    return command


@dataclass(frozen=True, eq=False)
class Run:
    """What is fitted, to what: the rates, who is akin, the ports and models, and how."""

    rates: Rates
    affinities: Affinities
    profile: Profile
    targets: tuple[Port, ...]
    models: tuple[str, ...]
    options: dict[str, Any]


def prepare(
    fitted: Callable[[int], int],
    names: tuple[str, ...],
    *,
    series: Path,
    probes: Place | None,
    sequential: Path | None,
    sample: float,
    ports: tuple[Port, ...],
    most: int,
    models: tuple[str, ...],
    profile_name: str,
    lags: int | None,
    jobs: int,
    device: str,
    seed: int,
    work: Path,
    engine: Engine,
) -> Run:
    """Load the series and look for affinities in its first `fitted(bins)` bins; `names` are the models without --model.

    InputError for series that are too short, UsageError for an unknown model.
    """
    import numpy as np
    from rich.console import Console

    from portkin_training.rates.affinity.feature_ports import Affinities, default_lags
    from portkin_training.rates.models.registry import MODELS, profile
    from portkin_training.rates.series import rate_series

    unknown = [name for name in models if name not in MODELS]
    if unknown:
        raise click.UsageError(f"--model {unknown[0]!r}: choose of {', '.join(MODELS)}")
    _check_device(device)
    loaded = rate_series.load(series)
    totals = np.nansum(loaded.counts, axis=0)
    targets = ports or tuple(loaded.ports[i] for i in np.argsort(-totals, kind="stable")[:most])
    for port in targets:
        loaded.column(port)
    try:
        first = fitted(len(loaded.starts))
    except ValueError as error:
        raise InputError(f"{series}: {error}") from None
    console = Console(stderr=True)
    with console.status("Looking for affinities"):
        until = int(loaded.starts[first])
        counted = counted_sequential(loaded, probes, sequential, sample, seed, until=until, engine=engine)
        affinities = Affinities.of(loaded, lags or default_lags(loaded.width), counted, seed, first)
    if not affinities.semantic:
        console.print("Neither --probes nor --sequential: (T&S) is the same as (T) here.")
    options = {"folder": work, "seed": seed, "jobs": jobs, "device": device, "engine": engine}
    return Run(loaded, affinities, profile(profile_name, loaded.width), targets, models or names, options)


def _check_device(name: str) -> None:
    """UsageError where torch cannot use the device, before hours of fitting say so."""
    import torch

    from portkin_training.rates.models.lstm import device_of

    try:
        torch.zeros(1, device=device_of(name))
    except (AssertionError, NotImplementedError, RuntimeError) as error:
        raise click.UsageError(
            f"--device {name}: torch cannot use it here ({str(error).splitlines()[0][:120]}); use cpu or auto"
        ) from None


class Outcome(Protocol):
    """What a fit comes back with: a result or a trial."""

    @property
    def port(self) -> Port:
        """The target."""

    @property
    def model(self) -> str:
        """The model's name."""


@dataclass(frozen=True)
class Shown:
    """What takes how far a run is: `fitted` each outcome; `searched` how many points of the grid were tried, of how
    many."""

    fitted: Callable[[Outcome], None]
    searched: Callable[[int, int], None]


@contextmanager
def progress(total: int, work: Path) -> Iterator[Shown]:
    """Bars on a terminal; elsewhere a line on standard error at the beginning, now and then, and at the end.

    Where the fitting is interrupted, or fails, it says how much the folder ``work`` keeps.
    """
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeElapsedColumn,
        TimeRemainingColumn,
    )

    columns = (
        TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(), TimeRemainingColumn()
    )  # fmt: skip
    shown = sys.stderr.isatty()
    done, tried, began = 0, "", time.monotonic()
    said = began
    with Progress(*columns, console=Console(stderr=True), disable=not shown) as bars:
        bar = bars.add_task("Fitting", total=total)
        grid = bars.add_task("Grid", total=None, visible=False)
        if not shown:
            click.echo(f"fitting {amount(total, 'model')}", err=True)

        def tell(last: bool, line: Callable[[float], str]) -> None:
            nonlocal said
            now = time.monotonic()
            if not shown and (now - said >= EVERY or last):
                said = now
                click.echo(line(now - began), err=True)

        def fitted(outcome: Outcome) -> None:
            nonlocal done
            done += 1
            bars.update(bar, advance=1, description=f"{outcome.port} {outcome.model}")
            tell(done == total, lambda took: f"{done} of {total} models, {took:.0f} s: {outcome.port} {outcome.model}")

        def searched(points: int, of: int) -> None:
            nonlocal tried
            tried = f"{points:,} of {of:,} points of the grid"
            bars.update(grid, completed=points, total=of, visible=True)
            tell(points == of, lambda took: f"{tried}, {took:.0f} s")

        try:
            yield Shown(fitted, searched)
        except BaseException:
            kept = " and ".join([f"{done} of {total} models"] * bool(done) + [tried] * bool(tried))
            if kept:
                click.echo(f"{work}: {kept} are kept; the same command goes on from there", err=True)
            raise
