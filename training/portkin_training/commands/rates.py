"""``portkin rates``: probing rates per port, from counting to the models that score them live."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from portkin.errors import InputError
from portkin.ports import Port
from portkin_training.commands.rates_warm import warm

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np
    from numpy.typing import NDArray

    from portkin_training.rates.evaluate import Result
    from portkin_training.rates.series import Rates

FOLDER = click.Path(path_type=Path)
WIDTHS = {"1h": 3_600, "1d": 86_400}
output_option = click.option(
    "-o", "--output", type=FOLDER, required=True, help="The folder to write; an older one of its kind is replaced."
)
seed_option = click.option("--seed", default=0, show_default=True, help="Repeats every random choice.")
json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON, for programs.")


class PortType(click.ParamType):
    """A port written as 22, 22/tcp or 53/udp."""

    name = "port"

    def convert(self, value: str, param: click.Parameter | None, ctx: click.Context | None) -> Port:
        """Parse, or end with a usage error that names the text."""
        try:
            return Port.parse(value)
        except ValueError as error:
            self.fail(str(error), param, ctx)


def run_options(command: Any) -> Any:
    """What evaluate and train share: which rates, which ports and models, how much to spend."""
    for option in reversed(
        [
            click.argument("series", type=FOLDER),
            click.option("--probes", type=FOLDER, help="The probes the series were counted from: ports probed in "
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
            click.option("--profile", "profile_name", type=click.Choice(["small", "network", "paper"]),
                         default="small", show_default=True, help="small: minutes on a CPU; network: the paper's "
                         "network without its grid; paper: all of it, days on a GPU."),
            click.option("--lags", type=click.IntRange(1), help="Largest lag of the temporal similarity, in bins. "
                         "Default: a week of hours, a month of days."),
            click.option("--jobs", type=click.IntRange(1), default=2, show_default=True, help="Processes."),
            click.option("--device", default="cpu", show_default=True, help="Where networks train: cpu or cuda."),
            seed_option,
            click.option("--work", type=FOLDER, required=True, help="Results of every port and model are kept here; "
                         "a run that was killed goes on from them."),
        ]
    ):  # fmt: skip
        command = option(command)
    return command


@click.group()
def rates() -> None:
    """How often each port is probed, what is forecast, and when a rate is not normal.

    The way: count (`series`), look at kinship (`affinity`), compare models (`evaluate`), write those that earn it
    (`train`), score with them (`score`), fill the sidecar's window (`warm`); `simulate` makes a telescope whose truth
    is known.
    """


@rates.command()
@click.argument("source", type=FOLDER)
@output_option
@click.option("--bin", "width", type=click.Choice(list(WIDTHS)), default="1h", show_default=True, help="Width of bins.")
@click.option("--tz", default="UTC", show_default=True, help="The zone whose midnights begin the days.")
@click.option("--share", type=click.FloatRange(0, 1, min_open=True), help="Take the most targeted ports that together "
              "got this share of all probes. Default: 0.5 of probes, all of a CSV.")  # fmt: skip
@click.option("--port", "ports", type=PortType(), multiple=True, help="Take these ports instead.")
@click.option("--absent", type=click.Choice(["unknown", "zero"]), required=True, help="What a bin means in which the "
              "recording has nothing on any port: nobody watched, or nothing came.")  # fmt: skip
def series(
    source: Path, output: Path, width: str, tz: str, share: float | None, ports: tuple[Port, ...], absent: Any
) -> None:
    """Count probes per port and bin.

    SOURCE is a probes dataset (a folder written by `portkin ingest`) or a CSV of ready-made counts with columns for
    the port (port, dst_port), the bin (hour, day, bin, time) and the count (requests, connections, packets, probes,
    count).
    """
    from portkin_training.rates import series as counting

    if source.is_file():
        made = counting.from_csv(source, width=WIDTHS[width], tz=tz, absent=absent, share=share or 1.0)
        made = made.select(ports) if ports else made
    else:
        from portkin_training.probes import open_probes

        made = counting.from_probes(
            open_probes(source), width=WIDTHS[width], tz=tz, share=share or 0.5, ports=ports or None, absent=absent
        )
    counting.save(output, made)
    click.echo(f"{output}: {_told(made)}")


@rates.command()
@output_option
@click.option("--hours", type=click.IntRange(200), default=6_000, show_default=True, help="How long.")
@click.option("--groups", type=click.IntRange(1), default=8, show_default=True, help="Groups of kin ports.")
@click.option("--alone", type=click.IntRange(0), default=12, show_default=True, help="Ports without kin.")
@seed_option
def simulate(output: Path, hours: int, groups: int, alone: int, seed: int) -> None:
    """Make a SYNTHETIC telescope whose groups, lags, bursts and outages are known.

    Writes under the output folder: `series`, `sequential` (sources that probed two ports in sequence) and
    `truth.json`.
    """
    import numpy as np

    from portkin_training.rates import sequential as sequences
    from portkin_training.rates import series as counting
    from portkin_training.rates.simulate import Telescope, simulate

    telescope = Telescope(hours=hours, groups=groups, alone=alone)
    made = simulate(telescope, seed)
    output.mkdir(parents=True, exist_ok=True)
    counting.save(output / "series", made.rates)
    sequences.save(output / "sequential", made.rates.ports, made.sequential, made.days)
    bursts = [[str(made.rates.ports[port]), int(made.rates.starts[t])] for t, port in np.argwhere(made.bursts)]
    truth = {
        "synthetic": True,
        "seed": seed,
        "groups": {str(port): int(group) for port, group in zip(made.rates.ports, made.groups, strict=True)},
        "lags": {str(port): int(lag) for port, lag in zip(made.rates.ports, made.lags, strict=True)},
        "bursts": bursts,
    }
    (output / "truth.json").write_text(json.dumps(truth), encoding="utf-8")
    click.echo(f"{output}: {_told(made.rates)}, {len(bursts)} planted burst hours")


@rates.command()
@click.argument("series", type=FOLDER)
@click.option("--probes", type=FOLDER, help="The probes the series were counted from.")
@click.option("--sequential", type=FOLDER, help="The same, counted before.")
@click.option("--sample", type=click.FloatRange(0, 1, min_open=True), default=1.0, show_default=True,
              help="Share of the sources to draw.")  # fmt: skip
@click.option("--lags", type=click.IntRange(1), help="Largest lag, in bins.")
@click.option("--literal", is_flag=True, help="Cluster with 1 - A as the paper prints it.")
@click.option("--top", type=click.IntRange(0), default=15, show_default=True, help="Pairs of ports to show.")
@seed_option
@json_option
def affinity(
    series: Path,
    probes: Path | None,
    sequential: Path | None,
    sample: float,
    lags: int | None,
    literal: bool,
    top: int,
    seed: int,
    as_json: bool,
) -> None:
    """Show which ports of SERIES are akin, and the clusters they form."""
    import numpy as np
    from rich.console import Console
    from rich.table import Table

    from portkin_training.rates import affinity as kinship
    from portkin_training.rates import clusters as clustering
    from portkin_training.rates import series as counting
    from portkin_training.rates.evaluate import default_lags

    loaded = counting.load(series)
    with Console(stderr=True).status("Correlating"):
        temporal = kinship.temporal_similarity(
            loaded.counts, lags or min(default_lags(loaded.width), len(loaded.starts) // 2)
        )
        counted = _sequential(loaded, probes, sequential, sample, seed, until=None)
        semantic = None if counted is None else kinship.semantic_similarity(*counted)
        matrix = temporal if semantic is None else kinship.harmonic_affinity(temporal, semantic)
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
    made = Table("port", "port", "T (eq. 1)", "S (eq. 6)", "A (eq. 7)", title="Most akin" + _label(loaded))
    for i, j in pairs:
        s = "-" if semantic is None else f"{semantic[i, j]:.3f}"
        made.add_row(str(loaded.ports[i]), str(loaded.ports[j]), f"{temporal[i, j]:.3f}", s, f"{matrix[i, j]:.3f}")
    console = Console()
    console.print(made)
    if clusters is not None:
        console.print(f"{clusters.k} clusters, mean silhouette {clusters.scores[clusters.k]:.3f} (eq. 11)")
        for label in range(clusters.k):
            console.print("  " + ", ".join(str(loaded.ports[i]) for i in np.flatnonzero(clusters.labels == label)))


@rates.command()
@run_options
@click.option("--figure", type=click.Choice(["r2", "mae", "mase", "skill"]), multiple=True, default=("r2", "skill"),
              show_default=True, help="Figures to print.")  # fmt: skip
@json_option
def evaluate(figure: tuple[str, ...], as_json: bool, **options: Any) -> None:
    """Compare all models on the last 25 % of SERIES, port by port (the paper's Tables IV and V).

    R2 is the paper's figure; skill is 1 - MAE / MAE of the seasonal naive forecast: below 0, a model is worse than
    repeating what was seen a day (hours) or a week (days) before.
    """
    from rich.console import Console

    from portkin_training.rates import report

    loaded, results, _ = _run(**options)
    if as_json:
        click.echo(json.dumps(report.as_json(results)))
        return
    console = Console()
    for name in figure:
        console.print(report.table(results, name, synthetic=loaded.synthetic))
    for port, found in report.as_json(results)["ports"].items():
        console.print(f"{port}: best R2 {found['winner']}; would ship {found['ships']}")


@rates.command()
@run_options
@output_option
@click.option("--auto/--best", default=True, show_default=True, help="The cheapest model that is close to the best, or "
              "the best whatever it costs.")  # fmt: skip
@click.option("--alarms", type=click.FloatRange(0), default=1.0, show_default=True,
              help="Alarms per port and 30 days that normal traffic may raise; thresholds follow.")  # fmt: skip
@click.option("--abnormal", type=FOLDER, help="A CSV of rows port,start (seconds): bins that are not normal, left out "
              "of the thresholds.")  # fmt: skip
def train(output: Path, auto: bool, alarms: float, abnormal: Path | None, **options: Any) -> None:
    """Fit models to SERIES and write the bundle that the sidecar scores with.

    Per port the cheapest model ships whose error on held-out bins is close to the best one's, so an LSTM ships only
    where it earns it; the manifest says what was tried. With --model, only those are tried.
    """
    from portkin.forecast import Rules
    from portkin_training.rates import report, ship
    from portkin_training.rates.evaluate import TOLERANCE

    loaded, results, used = _run(**options)
    chosen = ship.ship(
        output,
        loaded,
        report.by_port(results),
        rules=Rules(loaded.width, loaded.tz, synthetic=loaded.synthetic),
        alarms_per_month=alarms,
        abnormal=None if abnormal is None else _abnormal(abnormal, loaded),
        tolerance=TOLERANCE if auto else 0.0,
        about={"series": str(options["series"]), "profile": used, "seed": options["seed"]},
    )
    for port, result in chosen.items():
        click.echo(
            f"{port}: {result.model}, R2 {result.reported.r2:.2f}, skill {result.reported.skill:.2f} on the last 25 %"
        )
    click.echo(f"{output}: {len(chosen)} models")


@rates.command()
@click.argument("bundle", type=FOLDER)
@click.argument("series", type=FOLDER)
@json_option
def score(bundle: Path, series: Path, as_json: bool) -> None:
    """Score every bin of SERIES with the models of BUNDLE, as the sidecar would have, and list the alarms."""
    import numpy as np

    from portkin.forecast import Forecaster
    from portkin.hours import label
    from portkin_training.rates import series as counting

    loaded, models = counting.load(series), Forecaster.load(bundle)
    if loaded.width != models.rules.width:
        raise InputError(
            f"{series}: bins of {loaded.width} s, but the models of {bundle} read bins of {models.rules.width} s; "
            "count with the other --bin"
        )
    forecast, e, w = models.score_all(loaded.ports, loaded.counts)
    names = [label(int(start), loaded.width, loaded.tz) for start in loaded.starts]
    for number, model in enumerate(models.models):
        column = loaded.column(model.port)
        for t in np.flatnonzero((e[:, number] > model.threshold_e) | (w[:, number] > model.threshold_w)):
            row = {
                "port": str(model.port),
                "bin": names[t],
                "observed": float(loaded.counts[t, column]),
                "forecast": float(forecast[t, number]),
                "e": float(e[t, number]),
                "w": float(w[t, number]),
                "anomaly": bool(e[t, number] > model.threshold_e),
                "warning": bool(w[t, number] > model.threshold_w),
            }
            if as_json:
                # JSON has no NaN: what could not be said is null
                click.echo(json.dumps({key: None if value != value else value for key, value in row.items()}))
            else:
                kinds = " and ".join(kind for kind in ("anomaly", "warning") if row[kind])
                click.echo(
                    f"{row['bin']} {row['port']} {kinds}: observed {row['observed']:.0f}, forecast "
                    f"{row['forecast']:.1f}, E {row['e']:.2f}, W {row['w']:.2f}"
                )


@rates.command()
@click.argument("bundle", type=FOLDER)
@click.argument("series", type=FOLDER)
@click.option("-o", "--output", type=FOLDER, required=True, help="A file (.html for a report, .svg or .png for one "
              "port).")  # fmt: skip
@click.option("--port", "ports", type=PortType(), multiple=True, help="Ports to draw. Default: all of the bundle.")
@click.option("--last", type=click.IntRange(2), help="Only this many bins, the latest.")
def plot(bundle: Path, series: Path, output: Path, ports: tuple[Port, ...], last: int | None) -> None:
    """Draw observed and forecast rates, E and W over time (as the paper's Figs. 6, 10 and 11)."""
    from portkin.forecast import Forecaster
    from portkin_training.rates import plots
    from portkin_training.rates import series as counting

    loaded, models = counting.load(series), Forecaster.load(bundle)
    chosen = ports or models.targets
    for port in chosen:
        if port not in models.targets:
            raise InputError(f"{port}: {bundle} has no model of it; it has {', '.join(map(str, models.targets))}")
    if output.suffix == ".html":
        drawn = [(str(port), plots.panels(loaded, models, port, last=last)) for port in chosen]
        notes = [f"Model bundle {models.id}, series {series}{_label(loaded)}. Times are UTC."]
        plots.save_html(output, "Probing rates", drawn, notes)
    elif len(chosen) > 1:
        raise click.UsageError(f"{len(chosen)} ports: name one with --port, or write an .html report")
    elif output.suffix not in (".svg", ".png"):
        raise click.UsageError(f"{output}: give a name that ends in .html, .svg or .png")
    else:
        plots.save(output, plots.panels(loaded, models, chosen[0], last=last))
    click.echo(str(output))


@rates.command()
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

    NVD files are 1.1 feeds or answers of API 2.0, plain or .gz. Every score stands beside that of an indicator that
    is always zero, and beside the share of reordered (perm.) and shifted CVE series that do at least as well. Only days
    between the first and the last entry of the NVD files are compared.
    """
    import numpy as np
    from rich.console import Console
    from rich.table import Table

    from portkin.forecast import Forecaster
    from portkin_training.rates import cve as vulnerabilities
    from portkin_training.rates import series as counting
    from portkin_training.rates.task import Split

    loaded, models = counting.load(series), Forecaster.load(bundle)
    expressions = vulnerabilities.services(services_file)
    ports = [port for port in models.targets if port in expressions]
    if not ports:
        raise InputError(f"{bundle}: none of its ports has an expression among the services")
    days = counting.coarser(loaded, 86_400)
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
    rows = {}
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
    made = Table(title="DTW(E, CVE), rows scaled (Fig. 12)" + _label(loaded))
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
    scored = Table("port", "CVE days", "", "S", "zero", "perm.", "shift", title="S (eq. 23, 24)" + _label(loaded))
    for port, row in rows.items():
        for name in ("E", "W"):
            cells = [f"{row[name][key]:.2f}" for key in ("score", "zero", "permuted", "shifted")]
            scored.add_row(*((port, str(row["cve_days"])) if name == "E" else ("", "")), name, *cells)
    console.print(scored)


rates.add_command(warm)


def _run(
    *,
    series: Path,
    probes: Path | None,
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
) -> tuple[Rates, Sequence[Result], str]:
    """Evaluate with a progress bar: the rates, all results, and the profile's name."""
    import numpy as np
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeElapsedColumn,
        TimeRemainingColumn,
    )

    from portkin_training.rates import evaluate as judging
    from portkin_training.rates import series as counting
    from portkin_training.rates.task import Split

    unknown = [name for name in models if name not in judging.MODELS]
    if unknown:
        raise click.UsageError(f"--model {unknown[0]!r}: choose of {', '.join(judging.MODELS)}")
    loaded = counting.load(series)
    totals = np.nansum(loaded.counts, axis=0)
    targets = ports or tuple(loaded.ports[i] for i in np.argsort(-totals, kind="stable")[:most])
    for port in targets:
        loaded.column(port)
    try:
        until = int(loaded.starts[Split.of(len(loaded.starts)).fit])
    except ValueError as error:
        raise InputError(f"{series}: {error}") from None
    console = Console(stderr=True)
    with console.status("Looking for kin"):
        counted = _sequential(loaded, probes, sequential, sample, seed, until=until)
        kin = judging.Kin.of(loaded, lags or judging.default_lags(loaded.width), counted, seed)
    if not kin.semantic:
        console.print("Neither --probes nor --sequential: (T&S) is the same as (T) here.")
    names = models or judging.MODELS
    results = []
    columns = (
        TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(), TimeRemainingColumn()
    )  # fmt: skip
    with Progress(*columns, console=console, disable=not sys.stderr.isatty()) as progress:
        bar = progress.add_task("Fitting", total=len(targets) * len(names))
        for result in judging.evaluate(
            loaded,
            kin,
            judging.profile(profile_name, loaded.width),
            folder=work,
            seed=seed,
            targets=targets,
            models=names,
            jobs=jobs,
            device=device,
        ):
            results.append(result)
            progress.update(bar, advance=1, description=f"{result.port} {result.model}")
    return loaded, results, profile_name


def _sequential(
    loaded: Rates, probes: Path | None, sequential: Path | None, sample: float, seed: int, *, until: int | None
) -> tuple[NDArray[np.int64], int] | None:
    """The sums of equation 3 from whichever was given; probes only up to the second `until`."""
    if sequential is not None:
        from portkin_training.rates import sequential as sequences

        return sequences.load(sequential, loaded.ports)
    if probes is None:
        return None
    from portkin_training.probes import open_probes
    from portkin_training.rates.affinity import sequential_sources

    table = open_probes(probes)
    if until is not None:
        table = table.filter(table.ts.epoch_seconds() < until)
    return sequential_sources(table, loaded.ports, sample=sample, seed=seed)


def _abnormal(path: Path, loaded: Rates) -> NDArray[np.bool_]:
    import csv

    import numpy as np

    found = np.zeros(loaded.counts.shape, dtype=bool)
    with path.open(newline="", encoding="utf-8") as opened:
        for row in csv.DictReader(opened):
            try:
                start, port = int(row["start"]), Port.parse(row["port"])
            except (KeyError, TypeError, ValueError) as error:
                raise InputError(f"{path}: a row is not port,start with whole seconds ({error})") from None
            found[loaded.starts == start, loaded.column(port)] = True
    return found


def _told(made: Rates) -> str:
    from portkin.hours import label

    ends = [label(int(made.starts[at]), made.width, made.tz) for at in (0, -1)]
    gaps = int((made.counts != made.counts).all(axis=1).sum())
    return f"{len(made.ports)} ports, {len(made.starts)} bins from {ends[0]} to {ends[1]}, {gaps} unknown{_label(made)}"


def _label(made: Rates) -> str:
    return ", SYNTHETIC" if made.synthetic else ""
