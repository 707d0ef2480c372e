"""What is predicted of a source by what it did so far: the one function for the sidecar and for the twin of Zeek."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from portkin.bundles.table import Table, checked_chance
from portkin.bundles.table_format import RECOMMENDED
from portkin.net.ports import Port, code_of, port_of


class Predicted(NamedTuple):
    """Ports, likeliest first, and their chances: none where the table has no chances.

    ``by_source``: by the history, rather than by the latest port alone.
    """

    ports: tuple[Port, ...]
    chances: tuple[float, ...]
    by_source: bool


def predicted_of_source(
    table: Table, recent: Sequence[Port], probed: int, elapsed: float, k: int, min_chance: float | None = None
) -> Predicted:
    """What a source is predicted to probe next: ``k`` ports at most, each with the chance ``min_chance`` or more.

    By the table's model of sources, where it has one and the source probed two ports or more; else by the latest port,
    as `Table.predicted`.

    Args:
        table: the table.
        recent: the different ports that the source probed most recently, latest first: 1 to `RECENT` of
            `table_format`.
        probed: how many different ports it probed in all.
        elapsed: seconds from its first probe to its latest.
        k: how many ports are wanted at most.
        min_chance: the cut-off; None for the one that is recommended.

    Raises CutoffError as `Table.predicted` does.
    """
    model = table.source_model
    if model is None or len(recent) < 2:
        found = table.predicted(recent[0], k, min_chance)
        return Predicted(found.ports, found.chances, by_source=False)
    cutoff = RECOMMENDED if min_chance is None else checked_chance(min_chance)
    codes, chances = model.rank([*map(code_of, recent)], probed, elapsed, k, cutoff)
    return Predicted(tuple(map(port_of, codes)), tuple(chances), by_source=True)
