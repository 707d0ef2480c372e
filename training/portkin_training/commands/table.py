"""``portkin table``: build tables of nearest ports, and look into them."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from portkin.bundles.manifest import MANIFEST
from portkin.bundles.table_format import DEFAULT_K
from portkin.net.ports import PROTOS
from portkin.wording import amount
from portkin_training.commands.checks import a_number, writable
from portkin_training.commands.engine_options import engine_options
from portkin_training.commands.table_options import FOLDER, json_option, table_option
from portkin_training.commands.table_show import show
from portkin_training.commands.table_text import chances, counted, flat, known, proof_of, recorded, shipped
from portkin_training.commands.table_update import half_life_option, update
from portkin_training.commands.working import working
from portkin_training.evaluation.sentences import recommended

if TYPE_CHECKING:
    from rich.table import Table as Grid

    from portkin.bundles.table import Table
    from portkin.net.ports import Proto
    from portkin_training.core.engine import Engine

proto_option = click.option(
    "--proto", type=click.Choice(PROTOS), default="tcp", show_default=True, help="The protocol to draw."
)


@click.group()
def table() -> None:
    """Which ports are near which: build tables from probes, show, draw and export them.

    A table names, for every port, the ports that scanners touch next to it, nearest first. One ships with portkin
    and is what everything uses unless another is named.
    """


@table.command()
@click.argument("probes", nargs=-1, required=True, metavar="PROBES...")
@click.option("-o", "--output", type=FOLDER, required=True, callback=writable,
              help="The folder to write; an older table is replaced.")  # fmt: skip
@click.option("-k", type=click.IntRange(1, 256), default=DEFAULT_K, show_default=True, help="Neighbors per port.")
@click.option("--min-ports", type=click.IntRange(1), default=3, show_default=True,
              help="Discard scans of fewer different ports (sweeps over hosts).")  # fmt: skip
@click.option("--max-ports", type=click.IntRange(1), default=30, show_default=True,
              help="Discard scans of more different ports (sweeps over ports).")  # fmt: skip
@click.option("--proto", "protos", type=click.Choice(PROTOS), multiple=True, default=PROTOS, show_default=True,
              help="Protocols to learn; repeat for several.")  # fmt: skip
@click.option("--method", "--metric", default="kin", show_default=True, metavar="NAME",
              help="How nearness is measured: kin (what is likely next), or shortest-path (the paper).")  # fmt: skip
@click.option("--proof/--no-proof", default=True, show_default=True,
              help="Try the method on the last fifth of the probes; the manifest holds the figures.")  # fmt: skip
@click.option("--usefulness", type=click.FloatRange(0, 1), callback=a_number, metavar="SHARE",
              help="Recommend the cut-off that finds most with blocks of which this share is probed. Default: that "
              "finds most with no more blocks than the paper's table issues at K = 3.")  # fmt: skip
@click.option("--by-source/--no-by-source", "by_source", default=False, show_default=True,
              help="Learn as well what sources do after what they did before; the table keeps it where it finds more "
              "on the last fifth of the probes. The build takes about twice as long.")  # fmt: skip
@half_life_option
@engine_options
def build(
    probes: tuple[str, ...],
    output: Path,
    k: int,
    min_ports: int,
    max_ports: int,
    protos: tuple[Proto, ...],
    method: str,
    proof: bool,
    usefulness: float | None,
    by_source: bool,
    half_life: float | None,
    engine: Engine,
) -> None:
    """Learn a table from one or more datasets PROBES (folders written by `portkin ingest`, or URLs of such).

    By kin, a port lies near another if a source that probed the one is likely to go on to the other, which it has not
    probed before; for ports seen seldom, what is known about steps between ports and about popular ports counts more.

    By shortest-path, as in the paper, a scan is what one source sent to one destination over one protocol in one day
    (UTC). Of each scan that passes the filter, every pair of successive different ports is counted; pairs often seen
    lie near each other.
    """
    from functools import partial
    from tempfile import TemporaryDirectory

    from portkin_training.evaluation.held_out import held_out_figures
    from portkin_training.evaluation.held_out_days import held_out_days_figures
    from portkin_training.tables.build import build_table, table_of_days
    from portkin_training.tables.methods import METHODS, WITH_CHANCES
    from portkin_training.tables.scans import ScanOptions

    if min_ports > max_ports:
        raise click.UsageError(f"--min-ports {min_ports} is more than --max-ports {max_ports}: no scan can pass")
    method = "shortest-path" if method == "paper" else method
    if method not in METHODS:
        raise click.UsageError(f"--method {method!r}: choose one of {', '.join(sorted(METHODS))}")
    if usefulness is not None and (not proof or method not in WITH_CHANCES):
        raise click.UsageError(
            "--usefulness needs figures of held-out probes and a table with chances: leave out --no-proof, "
            "and use --method kin"
        )
    if by_source and (not proof or method not in WITH_CHANCES or half_life is not None):
        raise click.UsageError(
            "--by-source: needs figures of held-out probes, a table with chances, and the probes of each source: "
            "leave out --no-proof and --half-life, and use --method kin"
        )
    options = ScanOptions(min_ports, max_ports, protos)
    tried = partial(held_out_figures, usefulness=usefulness, by_source=by_source)
    tried_on_days = partial(held_out_days_figures, usefulness=usefulness) if proof else None
    with working("learning which ports are near which"):
        if half_life is None:
            evaluate = tried if proof else None
            built = build_table(probes, output, k=k, options=options, method=method, evaluate=evaluate, engine=engine)
        elif len(probes) > 1:
            raise click.UsageError("--half-life: days are counted of one dataset; ingest the recordings into one")
        else:
            with TemporaryDirectory(prefix="portkin-counts-") as counts:
                built, _ = table_of_days(probes[0], Path(counts), output, k=k, options=options, method=method,
                                         half_life=half_life, evaluate=tried_on_days, engine=engine)  # fmt: skip
    click.echo(f"{output}: table {built.id}, {known(built)}, K={built.k}, {built.method}")
    if "cutoff" in built.manifest.about:
        click.echo(recommended(built.manifest.about["cutoff"]))
    if by_source:
        click.echo(f"by source: {shipped(built.manifest.about.get('by_source'))}")


@table.command()
@table_option
@json_option
def info(folder: Path, as_json: bool) -> None:
    """Describe a table: when and from what it was built, with which options, and what was counted."""
    from portkin.numpy_threads import one_thread

    one_thread()
    from portkin.bundles.table import Table

    loaded = Table.load(folder, protos=())  # verifies every byte, and unpacks nothing
    if as_json:
        click.echo(loaded.manifest.to_json(), nl=False)
        return
    from rich.console import Console

    from portkin.errors import BundleError

    try:
        parts = _description(loaded, folder)
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise BundleError(
            f"{folder / MANIFEST}: not as this portkin writes it ({error!r}), so it cannot be described; build the "
            "table again, or see it with --json"
        ) from None
    console = Console(highlight=False, soft_wrap=True)
    for part in parts:
        console.print(part)


def _description(loaded: Table, folder: Path) -> list[Grid]:
    """What is printed of a table at `folder`; KeyError, TypeError and the like for a manifest of other contents."""
    from rich.table import Table as Grid

    from portkin_training.evaluation.text import equal_blocks, reliability

    grid = Grid(show_header=False, box=None)
    grid.add_row("table", loaded.id)
    grid.add_row("folder", str(folder))
    grid.add_row("created", f"{loaded.created:%Y-%m-%d %H:%M:%S} UTC by {loaded.manifest.writer}")
    grid.add_row("method", loaded.method)
    grid.add_row("known", f"{known(loaded)}, K={loaded.k}")
    for name, value in loaded.manifest.about.items():
        if name == "inputs":
            for made_from in value:
                grid.add_row("learnt from", recorded(made_from))
        elif name == "chances":
            grid.add_row("chances", chances(value))
        elif name == "counts":
            grid.add_row("counts", flat(counted(value)))
        elif name == "cutoff":
            grid.add_row("cut-off", recommended(value))
        elif name == "by_source":
            grid.add_row("by source", shipped(value))
        elif name == "held_out":
            for k, found in value.items():
                if k.startswith("k="):
                    grid.add_row(f"held out, {k}", proof_of(found))
        elif name not in ("k", "method", "ports"):
            grid.add_row(name, flat(value))
    parts = [grid]
    tried = loaded.manifest.about.get("held_out", {})
    if tried.get("equal_blocks"):
        parts.append(equal_blocks(tried["equal_blocks"], "New-port recall at equal blocks, held-out probes"))
    if tried.get("reliability"):
        parts.append(reliability(tried["reliability"], "the chances on held-out probes"))
    by_source = loaded.manifest.about.get("by_source", {})
    if by_source.get("reliability"):
        parts.append(reliability(by_source["reliability"], "the chances by source on held-out probes"))
    return parts


@table.command()
@table_option
@click.option("-o", "--output", type=FOLDER, required=True, help="The picture: .svg, .png or .pdf.")
@click.option("-n", "--pairs", type=click.IntRange(1), default=60, show_default=True, help="Pairs to draw.")
@click.option("--width", type=click.FloatRange(3.0, 60.0), default=10.0, show_default=True, metavar="INCHES",
              help="How wide the page is; 4 for a phone. It is as high as the ports need.")  # fmt: skip
@proto_option
def plot(folder: Path, output: Path, pairs: int, width: float, proto: Proto) -> None:
    """Draw the ports that lie nearest to each other, with the names of their services.

    Of a table by kin: the pairs between which most scanners are expected to step, and the chance that a source which
    probed the one probes the other, in the likelier order (`portkin table show` has both). Of another: the smallest
    dissimilarities, as Figure 9 of the paper.
    """
    from portkin.bundles.table import Table
    from portkin_training.tables.drawing import plot_closest

    if output.suffix.lower() not in (".svg", ".png", ".pdf"):
        raise click.UsageError(f"--output {output}: the name must end in .svg, .png or .pdf")
    drawn = plot_closest(Table.load(folder), output, proto=proto, pairs=pairs, width=width)
    click.echo(f"{output}: {amount(drawn, 'pair')} of {proto} ports")


@table.command()
@table_option
@click.option("-o", "--output", type=FOLDER, required=True, help="The file to write.")
@click.option("--format", "form", type=click.Choice(["csv", "graphml", "zeek"]), help="Default: by the file's suffix.")
def export(folder: Path, output: Path, form: str | None) -> None:
    """Write a table as CSV (.csv), GraphML (.graphml) or a file for Zeek's Input framework (.tsv)."""
    from portkin.bundles.table import Table
    from portkin_training.tables import exports

    suffixes = {suffix: name for name, (suffix, _) in exports.FORMATS.items()}
    chosen = form or suffixes.get(output.suffix.lower())
    if chosen is None:
        raise click.UsageError(f"--output {output}: name it {', '.join(sorted(suffixes))}, or give --format")
    loaded = Table.load(folder)
    exports.export(loaded, output, chosen)
    if loaded.source_model is not None:
        click.echo("portkin: what is predicted by source needs the sidecar, and is not in the file", err=True)
    click.echo(f"{output}: table {loaded.id} as {chosen}, {known(loaded)}")


table.add_command(update)
table.add_command(show)
