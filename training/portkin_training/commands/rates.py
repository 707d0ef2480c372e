"""``portkin rates``: probing rates per port, from counting to the models that score them live."""

from __future__ import annotations

import click

from portkin_training.commands.rates_affinity import affinity
from portkin_training.commands.rates_cve import cve
from portkin_training.commands.rates_evaluate import evaluate
from portkin_training.commands.rates_score import plot, score
from portkin_training.commands.rates_series import series, simulate
from portkin_training.commands.rates_train import train
from portkin_training.commands.rates_warm import warm


@click.group()
def rates() -> None:
    """How often each port is probed, what is forecast, and when a rate is not normal.

    The steps: count (`series`), see which ports are akin (`affinity`), compare models (`evaluate`), write the
    best (`train`), score with them (`score`), fill the sidecar's window (`warm`); `simulate` makes a telescope whose
    truth is known.
    """


for command in (series, simulate, affinity, evaluate, train, score, plot, cve, warm):
    rates.add_command(command)
