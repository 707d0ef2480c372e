"""``portkin rates warm``: the sidecar's rates database, filled from a recording."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from portkin.commands.settings_option import settings_option
from portkin.errors import InputError, listed
from portkin.wording import amount
from portkin_training.commands.engine_options import engine_errors
from portkin_training.commands.place_type import PlaceType

if TYPE_CHECKING:
    from portkin_training.core.places import Place


@click.command()
@click.argument("source", type=PlaceType())
@settings_option
@click.option("--model", type=click.Path(path_type=Path), help="A bundle of models, instead of rates.model.")
@click.option("--database", type=click.Path(path_type=Path),
              help="The sidecar's rates database, instead of rates.database.")  # fmt: skip
@click.option("--absent", type=click.Choice(["unknown", "zero"]), required=True, help="What a bin means in which the "
              "recording has nothing on any port: nobody watched, or nothing came.")  # fmt: skip
@click.option("--ended", is_flag=True, help="Take SOURCE though it ended too long ago to be read, as for a Zeek that "
              "reads captures, and what is dated in the future.")  # fmt: skip
@engine_errors()
def warm(source: Place, file: Path | None, model: Path | None, database: Path | None, absent: Any, ended: bool) -> None:
    """Fill the sidecar's latest bins from SOURCE, so that it scores from the first bin on.

    SOURCE is a probes dataset, as `portkin ingest` writes it, of the nets that Zeek watches; its latest bins should
    be those just before now; what is dated in the future is left out. Bins that Zeek has reported stay as they are.
    """
    from portkin.bundles.forecast import Forecaster
    from portkin.config.schema import load_config
    from portkin.rates.config import rates_database_path
    from portkin.rates.factory import make_store
    from portkin.timeseries.bins import label
    from portkin_training.core.dataset import open_probes
    from portkin_training.rates.series import rate_series

    settings = load_config(file, {"rates.model": model, "rates.database": database}).rates
    if settings.model is None:
        raise click.UsageError("which models? Give --model, or set rates.model in the settings file (-c)")
    models = Forecaster.load(settings.model)
    rules = models.rules
    now = time.time()
    made = rate_series.from_probes(
        open_probes(source), width=rules.width, tz=rules.tz, ports=list(models.ports), absent=absent,
        before=None if ended else now, source=str(source), tell=lambda said: click.echo(said, err=True),
    )  # fmt: skip
    if not (made.counts > 0).any():
        click.echo(
            f"portkin: warning: {source} has no probe of the {amount(len(models.ports), 'port')} that the models "
            f"forecast, {listed(list(map(str, models.ports)))}; is it of the nets that Zeek watches?", err=True,
        )  # fmt: skip
    behind = round((now - float(made.starts[-1])) / rules.width) - 1
    if behind >= models.history and not ended:
        raise InputError(
            f"{source}: ends {amount(behind, 'bin')} before now, at "
            f"{label(int(made.starts[-1]), rules.width, rules.tz)}, and the models read the latest {models.history}: "
            "nothing of it would be read; take a recording that ends now, or insist with --ended"
        )
    window, wrong = make_store(settings, models, now=now)
    try:
        taken = window.fill(made.starts, made.ports, made.counts)
    finally:
        window.close()
    if wrong:
        click.echo(wrong, err=True)
    if window.deleted:
        click.echo(
            f"portkin: warning: {rates_database_path(settings)} held {window.deleted}, which these models do not read; "
            "they are deleted", err=True,
        )  # fmt: skip
    ends = [label(int(made.starts[at]), rules.width, rules.tz) for at in (0, -1)]
    if not taken:
        raise InputError(
            f"{source}: of its bins, {ends[0]} to {ends[1]}, none is taken: {rates_database_path(settings)} has them "
            "already, from Zeek or an earlier run of this command, or nothing is known in them"
        )
    if behind > 1 and not ended:
        click.echo(f"portkin: warning: {source} ends {amount(behind, 'bin')} before now; these stay unknown", err=True)
    click.echo(
        f"{rates_database_path(settings)}: {amount(taken, 'bin')} up to {ends[1]}; the models read {models.history}"
    )
