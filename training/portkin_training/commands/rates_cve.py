"""``portkin rates cve``: E and W beside published vulnerabilities."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click

from portkin.errors import InputError
from portkin_training.commands.rates_options import FOLDER, json_option, label_of, seed_option, series_and_models


@click.command()
@click.argument("bundle", type=FOLDER)
@click.argument("series", type=FOLDER)
@click.argument("nvd", type=FOLDER, nargs=-1, required=True)
@click.option("--services", "services_file", type=FOLDER, help="A YAML file of port: regular expression, instead of "
              "the one that ships.")  # fmt: skip
@click.option("--window", type=click.IntRange(2), default=7, show_default=True, help="Days of the moving average A.")
@click.option("--all-bins", is_flag=True, help="Use the bins that models were fitted on, too.")
@click.option("--draws", type=click.IntRange(1), default=199, show_default=True, help="CVE series per null.")
@click.option("--plot", "picture", type=FOLDER, help="Draw the matrix to this .svg or .png.")
@seed_option
@json_option
def cve(
    bundle: Path,
    series: Path,
    nvd: tuple[Path, ...],
    services_file: Path | None,
    window: int,
    all_bins: bool,
    draws: int,
    picture: Path | None,
    seed: int,
    as_json: bool,
) -> None:
    """Compare E and W with the vulnerabilities in the NVD files (the paper's Figs. 12 to 14).

    NVD files are 1.1 feeds or answers of API 2.0, plain or .gz. Every score is shown beside that of an indicator that
    is always zero, and beside the share of reordered (perm.) and shifted CVE series that do at least as well. Only days
    between the first and the last entry of the NVD files are compared.
    """
    import numpy as np
    from rich.console import Console
    from rich.table import Table

    from portkin_training.rates import cve as vulnerabilities
    from portkin_training.rates.models.task import Split
    from portkin_training.rates.series import rate_series

    loaded, models = series_and_models(series, bundle)
    expressions = vulnerabilities.services(services_file)
    ports = [port for port in models.targets if port in expressions]
    if not ports:
        raise InputError(f"{bundle}: none of its ports has an expression among the services")
    days = rate_series.coarser(loaded, 86_400)
    _, e, w = models.score_all(loaded.ports, loaded.counts)
    first = 0 if all_bins else Split.of(len(loaded.starts)).choose
    entries = [entry for file in nvd for entry in vulnerabilities.read_nvd(file)]
    published = [entry.published for entry in entries] or [0]
    # Days that the NVD files do not reach have no vulnerabilities because nobody looked.
    kept = (days.starts >= max(loaded.starts[first], min(published) - 86_400)) & (days.starts <= max(published))
    if kept.sum() < 10:
        raise InputError(
            f"{series}: only {kept.sum()} whole days to compare; give longer series, NVD files of the same time, or "
            "--all-bins"
        )
    starts = days.starts[kept]
    found = {
        port: vulnerabilities.cve_series(entries, expressions[port], starts, int(starts[-1]) + 86_400) for port in ports
    }
    # A service without any vulnerability in these days can be compared with nothing.
    silent = [port for port in ports if not found[port].any()]
    ports = [port for port in ports if found[port].any()]
    if not ports:
        raise InputError(f"{', '.join(map(str, nvd))}: no vulnerability of these services in the {len(starts)} days")
    cves = np.array([found[port] for port in ports])
    numbers = [models.targets.index(port) for port in ports]
    e_days = vulnerabilities.daily_maximum(e[:, numbers], loaded.starts, starts)
    w_days = vulnerabilities.daily_maximum(w[:, numbers], loaded.starts, starts)
    a_days = [vulnerabilities.moving_average(days.counts[:, days.column(port)], window)[kept] for port in ports]
    matrix = vulnerabilities.distance_matrix(e_days.T, cves)
    rows: dict[str, dict[str, Any]] = {}
    for i, port in enumerate(ports):
        scores = {
            name: vulnerabilities.score_with_nulls(indicator[:, i], a_days[i], cves[i], draws=draws, seed=seed)
            for name, indicator in (("E", e_days), ("W", w_days))
        }
        rows[str(port)] = {"cve_days": int((cves[i] > 0).sum())} | {name: vars(found) for name, found in scores.items()}
    if picture:
        from portkin_training.rates import plots

        plots.save(picture, plots.matrix(matrix, ports))
    if as_json:
        click.echo(
            json.dumps(
                {"ports": rows, "matrix": matrix.tolist(), "days": len(starts), "silent": list(map(str, silent))}
            )
        )
        return
    console = Console()
    made = Table(title="DTW(E, CVE), rows scaled (Fig. 12)" + label_of(loaded))
    made.add_column("")
    for port in ports:
        made.add_column(str(port).replace("/", "\n"), justify="right", no_wrap=True)
    for i, port in enumerate(ports):
        least = matrix[i].argmin()
        cells = [f"[bold]{value:.2f}[/bold]" if j == least else f"{value:.2f}" for j, value in enumerate(matrix[i])]
        made.add_row(str(port), *cells)
    console.print(made)
    if silent:
        console.print(f"left out, without a vulnerability in these days: {', '.join(map(str, silent))}")
    nearest = int((matrix.argmin(axis=1) == np.arange(len(ports))).sum())
    console.print(f"the nearest CVE series of a row is its own for {nearest} of {len(ports)} ports, {len(starts)} days")
    scored = Table("port", "CVE days", "", "S", "zero", "perm.", "shift", title="S (eq. 23, 24)" + label_of(loaded))
    for written, row in rows.items():
        for name in ("E", "W"):
            cells = [f"{row[name][key]:.2f}" for key in ("score", "zero", "permuted", "shifted")]
            scored.add_row(*((written, str(row["cve_days"])) if name == "E" else ("", "")), name, *cells)
    console.print(scored)
