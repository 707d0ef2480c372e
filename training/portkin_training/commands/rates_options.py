"""What the commands of ``portkin rates`` share: options, and a line that sums up rates."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from portkin.errors import InputError
from portkin.net.ports import Port
from portkin.wording import amount

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from portkin.bundles.forecast import Forecaster
    from portkin_training.core.engine import Engine
    from portkin_training.core.places import Place
    from portkin_training.rates.series.rate_series import Rates

FOLDER = click.Path(path_type=Path)
output_option = click.option(
    "-o", "--output", type=FOLDER, required=True, help="The folder to write; an older one of its kind is replaced."
)
seed_option = click.option("--seed", default=0, show_default=True, help="Repeats every random choice.")
json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON, for programs.")


class PortType(click.ParamType):  # type: ignore[type-arg]  # generic in the newest click alone
    """A port written as 22, 22/tcp or 53/udp."""

    name = "port"

    def convert(self, value: str, param: click.Parameter | None, ctx: click.Context | None) -> Port:
        """Parse, or end with a usage error that names the text."""
        try:
            return Port.parse(value)
        except ValueError as error:
            self.fail(str(error), param, ctx)


def counted_sequential(
    loaded: Rates,
    probes: Place | None,
    sequential: Path | None,
    sample: float,
    seed: int,
    *,
    until: int | None,
    engine: Engine,
) -> tuple[NDArray[np.int64], int] | None:
    """The sums of equation 3 (ports, ports) from whichever was given; probes only up to the second `until`."""
    if sequential is not None:
        from portkin_training.rates.series import sequential as sequences

        return sequences.load(sequential, loaded.ports)
    if probes is None:
        return None
    from portkin_training.core.dataset import open_probes
    from portkin_training.core.time_bins import seconds
    from portkin_training.rates.affinity.affinity import sequential_sources

    table = open_probes(probes, engine=engine)
    if until is not None:
        table = table.filter(seconds(table) < until)
    return sequential_sources(table, loaded.ports, sample=sample, seed=seed)


def series_and_models(series: Path, bundle: Path) -> tuple[Rates, Forecaster]:
    """Both, loaded. InputError where the bins of the series are not those that the models read."""
    from portkin.bundles.forecast import Forecaster
    from portkin.timeseries.bins import DAY, bin_start
    from portkin_training.rates.series import rate_series

    loaded, models = rate_series.load(series), Forecaster.load(bundle)
    width, tz = models.rules.width, models.rules.tz
    if loaded.width != width:
        raise InputError(
            f"{series}: bins of {loaded.width} s, but the models of {bundle} read bins of {width} s; count with the "
            "other --bin"
        )
    if width >= DAY and any(bin_start(start, width, tz) != start for start in loaded.starts.tolist()):
        raise InputError(
            f"{series}: days of {loaded.tz}, but the models of {bundle} read days of {tz}; count with --tz {tz}"
        )
    return loaded, models


def summary_of(made: Rates) -> str:
    """Ports, bins and gaps in a line."""
    from portkin.timeseries.bins import label

    ends = [label(int(made.starts[at]), made.width, made.tz) for at in (0, -1)]
    gaps = int((made.counts != made.counts).all(axis=1).sum())
    size = f"{amount(len(made.ports), 'port')}, {amount(len(made.starts), 'bin')}"
    return f"{size} from {ends[0]} to {ends[1]}, {gaps:,} unknown{label_of(made)}"


def label_of(made: Rates) -> str:
    """The mark that no synthetic figure goes without."""
    return ", SYNTHETIC" if made.synthetic else ""
