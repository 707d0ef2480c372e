"""The order of inputs: rotated files are read by their times, whatever their names."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from itertools import groupby, islice
from pathlib import Path

from portkin_training.ingest.inputs import InputOptions, detect, read_input
from portkin_training.ingest.reading import Reading


def in_time_order(inputs: Sequence[Path], options: InputOptions) -> tuple[list[Path], list[str]]:
    """The inputs, those of one kind that stand together by the stamps that they begin with, as rotated files must be
    read; and the kind of each.

    Raises:
        InputError: an input cannot be opened or is of no known kind.
    """
    kinds = [options.kind or detect(path) for path in inputs]
    order: list[int] = []
    for _, group in groupby(range(len(inputs)), key=lambda at: kinds[at]):
        places = [*group]
        if len(places) > 1:
            begins = {at: _begin(inputs[at], replace(options, kind=kinds[at])) for at in places}
            places.sort(key=lambda at: begins[at])
        order += places
    return [inputs[at] for at in order], [kinds[at] for at in order]


def _begin(path: Path, options: InputOptions) -> float:
    """The earliest stamp, us, in the first chunk of an input that has any; infinity for one that has none."""
    for chunk in islice(read_input(path, Reading(str(path)), options), 4):
        if len(chunk):
            return int(chunk.ts.min())
    return math.inf
