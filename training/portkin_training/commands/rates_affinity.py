"""``portkin rates affinity``: which ports are akin."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import click

from portkin_training.commands.engine_options import engine_options
from portkin_training.commands.place_type import PlaceType
from portkin_training.commands.rates_options import FOLDER, counted_sequential, json_option, label_of, seed_option

if TYPE_CHECKING:
    from portkin_training.core.engine import Engine
    from portkin_training.core.places import Place


@click.command()
@click.argument("series", type=FOLDER)
@click.option("--probes", type=PlaceType(), help="The probes the series were counted from.")
@click.option("--sequential", type=FOLDER, help="The same, counted before.")
@click.option("--sample", type=click.FloatRange(0, 1, min_open=True), default=1.0, show_default=True,
              help="Share of the sources to draw.")  # fmt: skip
@click.option("--lags", type=click.IntRange(1), help="Largest lag, in bins.")
@click.option("--literal", is_flag=True, help="Cluster with 1 - A as the paper prints it.")
@click.option("--top", type=click.IntRange(0), default=15, show_default=True, help="Pairs of ports to show.")
@seed_option
@json_option
@engine_options
def affinity(
    series: Path,
    probes: Place | None,
    sequential: Path | None,
    sample: float,
    lags: int | None,
    literal: bool,
    top: int,
    seed: int,
    as_json: bool,
    engine: Engine,
) -> None:
    """Show which ports of SERIES are akin, and the clusters they form."""
    import numpy as np
    from rich.console import Console
    from rich.table import Table

    from portkin_training.rates.affinity import affinity as similarity
    from portkin_training.rates.affinity import clusters as clustering
    from portkin_training.rates.affinity.feature_ports import default_lags
    from portkin_training.rates.series import rate_series

    loaded = rate_series.load(series)
    with Console(stderr=True).status("Correlating"):
        temporal = similarity.temporal_similarity(
            loaded.counts, lags or min(default_lags(loaded.width), len(loaded.starts) // 2)
        )
        counted = counted_sequential(loaded, probes, sequential, sample, seed, until=None, engine=engine)
        semantic = None if counted is None else similarity.semantic_similarity(*counted)
        matrix = temporal if semantic is None else similarity.harmonic_affinity(temporal, semantic)
        clusters = clustering.choose(matrix, seed=seed, literal=literal) if len(matrix) >= 4 else None
    upper = np.triu(np.where(np.eye(len(matrix), dtype=bool), -1, matrix), 1)
    pairs = [divmod(int(at), len(matrix)) for at in np.argsort(-upper, axis=None)[: min(top, len(matrix) ** 2)]]
    pairs = [(i, j) for i, j in pairs if i < j]
    if as_json:
        found = {
            "ports": list(map(str, loaded.ports)),
            "temporal": temporal.round(6).tolist(),
            "semantic": None if semantic is None else semantic.round(6).tolist(),
            "affinity": matrix.round(6).tolist(),
            "clusters": None if clusters is None else clusters.labels.tolist(),
            "silhouettes": None if clusters is None else clusters.scores,
        }
        click.echo(json.dumps(found))
        return
    made = Table("port", "port", "T (eq. 1)", "S (eq. 6)", "A (eq. 7)", title="Most akin" + label_of(loaded))
    for i, j in pairs:
        s = "-" if semantic is None else f"{semantic[i, j]:.3f}"
        made.add_row(str(loaded.ports[i]), str(loaded.ports[j]), f"{temporal[i, j]:.3f}", s, f"{matrix[i, j]:.3f}")
    console = Console()
    console.print(made)
    if clusters is not None:
        console.print(f"{clusters.k} clusters, mean silhouette {clusters.scores[clusters.k]:.3f} (eq. 11)")
        for label in range(clusters.k):
            console.print("  " + ", ".join(str(loaded.ports[i]) for i in np.flatnonzero(clusters.labels == label)))
