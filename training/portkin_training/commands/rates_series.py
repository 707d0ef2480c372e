"""``portkin rates series`` and ``simulate``: where rates come from."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from portkin.errors import listed
from portkin.files import claim_folder
from portkin.net.ports import Port
from portkin.wording import amount
from portkin_training.commands.engine_options import engine_options
from portkin_training.commands.rates_options import PortType, output_option, seed_option, summary_of

if TYPE_CHECKING:
    from portkin_training.core.engine import Engine

WIDTHS = {"1h": 3_600, "1d": 86_400}


@click.command()
@click.argument("source")
@output_option
@click.option("--bin", "width", type=click.Choice(list(WIDTHS)), default="1h", show_default=True, help="Width of bins.")
@click.option("--tz", default="UTC", show_default=True, help="The zone whose midnights begin the days.")
@click.option("--share", type=click.FloatRange(0, 1, min_open=True), help="Take the most targeted ports that together "
              "got this share of all probes. Default: 0.5 of probes, all of a CSV.")  # fmt: skip
@click.option("--port", "ports", type=PortType(), multiple=True, help="Take these ports instead.")
@click.option("--absent", type=click.Choice(["unknown", "zero"]), required=True, help="What a bin means in which the "
              "recording has nothing on any port: nobody watched, or nothing came.")  # fmt: skip
@engine_options
def series(
    source: str,
    output: Path,
    width: str,
    tz: str,
    share: float | None,
    ports: tuple[Port, ...],
    absent: Any,
    engine: Engine,
) -> None:
    """Count probes per port and bin.

    SOURCE is a probes dataset (a folder written by `portkin ingest`, or the URL of one) or a CSV of ready-made counts
    with columns for the port (port, dst_port), the bin (hour, day, bin, time) and the count (requests, connections,
    packets, probes, count).
    """
    from portkin_training.rates.series import rate_series

    if Path(source).is_file():
        made = rate_series.from_csv(
            Path(source), width=WIDTHS[width], tz=tz, absent=absent, share=share or 1.0,
            tell=lambda said: click.echo(said, err=True),
        )  # fmt: skip
        made = made.select(ports) if ports else made
    else:
        from portkin_training.core.dataset import open_probes

        made = rate_series.from_probes(
            open_probes(source, engine=engine), width=WIDTHS[width], tz=tz, share=share or 0.5, ports=ports or None,
            absent=absent, source=source, tell=lambda said: click.echo(said, err=True),
        )  # fmt: skip
    silent = [str(port) for port, column in zip(made.ports, made.counts.T, strict=True) if not (column > 0).any()]
    if ports and silent:
        click.echo(f"{source}: {listed(silent)}: not probed in any bin of it", err=True)
    rate_series.save(output, made)
    click.echo(f"{output}: {summary_of(made)}")


@click.command()
@output_option
@click.option("--hours", type=click.IntRange(200), default=6_000, show_default=True, help="How long.")
@click.option("--bin", "width", type=click.Choice(list(WIDTHS)), default="1h", show_default=True, help="Width of bins; "
              "an hour that is unknown makes its day unknown.")  # fmt: skip
@click.option(
    "--groups", type=click.IntRange(1), default=8, show_default=True, help="Groups of ports that are probed alike."
)
@click.option(
    "--alone", type=click.IntRange(0), default=12, show_default=True, help="Ports that are probed like no other."
)
@seed_option
def simulate(output: Path, hours: int, width: str, groups: int, alone: int, seed: int) -> None:
    """Make a SYNTHETIC telescope whose groups, lags, bursts and outages are known.

    Writes under the output folder: `series`, `sequential` (sources that probed two ports in sequence) and
    `truth.json`.
    """
    import numpy as np

    from portkin.timeseries.bins import bin_start
    from portkin_training.rates.series import rate_series
    from portkin_training.rates.series import sequential as sequences
    from portkin_training.rates.series.simulate import Telescope, simulate

    claim_folder(output, r"series|sequential|truth\.json", "a simulated telescope")
    telescope = Telescope(hours=hours, groups=groups, alone=alone)
    made = simulate(telescope, seed)
    rates = rate_series.coarser(made.rates, WIDTHS[width])
    rate_series.save(output / "series", rates)
    sequences.save(output / "sequential", made.rates.ports, made.sequential, made.days)
    burst_bins = {(bin_start(int(made.rates.starts[t]), rates.width), int(at)) for t, at in np.argwhere(made.bursts)}
    bursts = [[str(rates.ports[at]), start] for start, at in sorted(burst_bins)]
    truth = {
        "synthetic": True,
        "seed": seed,
        "groups": {str(port): int(group) for port, group in zip(made.rates.ports, made.groups, strict=True)},
        "lags": {str(port): int(lag) for port, lag in zip(made.rates.ports, made.lags, strict=True)},
        "bursts": bursts,
    }
    (output / "truth.json").write_text(json.dumps(truth), encoding="utf-8")
    click.echo(f"{output}: {summary_of(rates)}, {amount(len(bursts), 'bin')} with planted bursts")
