"""What a source did before, as a part of a table that is optional: which ports it comes to next.

An answer is a function of the table, the model and the question alone: nothing is remembered of a source. Zeek says in
the question what it knows of it, and a sidecar that was restarted answers as before.

Small trees (`source_trees`) give the log odds of each candidate from its features (`source_features`), and a
calibration says what these come to (`calibrated`). In a bundle, ``by-source.json`` holds both, and
``<proto>-drawn.npy`` float32 (65536,) the log of the share of sources that came to each port. The manifest says under
``by_source`` what the model found on held-out probes, and which cut-off it recommends.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from math import isfinite
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from portkin.bundles.bundle_reader import Bundle
from portkin.bundles.calibrated import calibrated
from portkin.bundles.manifest import FileEntry, content_id
from portkin.bundles.source_features import FEATURES, Questions, SourceRows, candidates
from portkin.bundles.source_trees import Trees
from portkin.bundles.table_format import BY_SOURCE, DEFAULT_K, RECENT, RECOMMENDED
from portkin.errors import BundleError
from portkin.net.ports import CODES, PORTS, PROTOS, Proto

SCHEMA = 1
Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class LearntFromSources:
    """What was learnt from sources: log odds, what these come to (`calibrated`, (m, 2)), and by protocol the log of the
    share of sources that came to each port, float32 (65536,)."""

    trees: Trees
    points: Floats
    drawn: Mapping[Proto, NDArray[np.float32]]

    def chances(self, features: NDArray[np.float32]) -> Floats:
        """The chances (r,) of candidates with these features float32 (len(`FEATURES`), r)."""
        return calibrated(self.points, self.trees.odds(features))

    def write(self, folder: Path, save: Callable[[Path, NDArray[Any]], None], table: str) -> None:
        """Write it into the folder of a bundle; `table` is the id of the table's own files, `save` packs an array of
        any shape."""
        for proto, drawn in self.drawn.items():
            save(folder / f"{proto}-drawn.npy", drawn)
        fields = {
            "schema": SCHEMA,
            "table": table,
            "features": FEATURES,
            "trees": self.trees.to_json(),
            "calibration": self.points.tolist(),
        }
        (folder / BY_SOURCE).write_text(json.dumps(fields, indent=1), encoding="utf-8")


class SourceModel:
    """Ranks ports by what a source did before (optional part of a table bundle)."""

    def __init__(
        self, learnt: LearntFromSources, rows: Mapping[Proto, SourceRows], horizon: float, cutoff: float
    ) -> None:
        self.learnt = learnt
        self._rows = rows
        self.horizon = horizon
        """Seconds for which the chances hold."""
        self.cutoff = cutoff
        """The cut-off that the bundle recommends."""

    def rank(
        self, recent: Sequence[int], probed: int, elapsed: float, n: int, min_chance: float = RECOMMENDED
    ) -> tuple[list[int], list[float]]:
        """The `n` likeliest ports that a source comes to next, new to it, and the chance of each, likeliest first.

        Ports are codes: TCP port p is p, UDP port p is 65536 + p. `recent` are the different ports that the source
        probed, latest first, of which the first `RECENT` count; `probed` is how many it has probed so far, `elapsed`
        how many seconds ago its first probe was. Chances below `min_chance` are left out; `RECOMMENDED` stands for what
        the bundle recommends. Of more candidates than `n` and `DEFAULT_K` those that `in_answer` says are chosen from,
        whatever their chances. No port of `recent` is ever returned. Where the source has probed one port alone, the
        answer is the table's.

        Raises ValueError, which names it, for what no source can have done.
        """
        cutoff = self.cutoff if min_chance == RECOMMENDED else min_chance
        codes = list(recent[:RECENT])
        _refuse_impossible(recent, codes, probed, elapsed, n, cutoff)
        first = codes[0] // PORTS * PORTS
        known = self._rows.get(PROTOS[first // PORTS])
        if known is None:
            return [], []
        if probed == 1:
            return _of_the_row(known, codes[0], first, n, cutoff)
        own = np.empty((1, RECENT), np.int64)
        own.fill(-1)
        same = [code - first for code in codes if code // PORTS * PORTS == first]
        own[0, : len(same)] = same
        asked = Questions(own, np.array([probed]), np.array([float(elapsed)]))
        found = candidates(known, asked)
        chances = self.learnt.chances(found.features)
        best = (-chances).argsort(kind="stable")  # of equal ones the lower port, as they are in order of ports
        if len(best) > (most := max(n, DEFAULT_K)):
            best = best[in_answer(found.fresh[best], most)]
        best = best[:n]
        kept = best[chances[best] >= cutoff]
        return (found.port[kept] + first).tolist(), chances[kept].tolist()


def in_answer(fresh: NDArray[np.bool_], most: int) -> Ints:
    """Which places of more candidates than `most`, by chance, stand in an answer of so many ports, int64 (most,),
    ascending: half of it are the likeliest, and half the likeliest others that are `fresh`, bool (r,)
    (`Candidates.fresh`).

    A source that goes through many ports in one go is asked about again and again. The likeliest ports of all are
    blocked for it already, and an answer that consists of them adds nothing.
    """
    half = most // 2
    late = fresh[half:]
    places = late.nonzero()[0][: most - half]
    missing = most - half - len(places)
    if missing:  # too few are fresh, and others follow
        places = np.sort(np.concatenate([places, (~late).nonzero()[0][:missing]]))
    return np.concatenate([np.arange(half), places + half])


def _refuse_impossible(
    recent: Sequence[int], codes: Sequence[int], probed: int, elapsed: float, n: int, cutoff: float
) -> None:
    if not codes:
        raise ValueError("recent is empty: a question names the port that was just probed")
    if len(set(codes)) < len(codes) or min(codes) < 0 or max(codes) >= CODES:
        raise ValueError(f"recent = {codes}: each port once, as a code from 0 to {CODES - 1}")
    if probed < len(recent):
        raise ValueError(f"probed = {probed}: a source that probed {len(recent)} ports lately has probed as many")
    if not (isfinite(elapsed) and elapsed >= 0):
        raise ValueError(f"elapsed = {elapsed}: seconds since the first probe are finite, 0 or more")
    if n < 0:
        raise ValueError(f"n = {n}: ask for 0 ports or more")
    if not 0 <= cutoff <= 1:
        raise ValueError(f"min_chance = {cutoff}: a chance from 0 to 1, or {RECOMMENDED:g} for what is recommended")


def _of_the_row(known: SourceRows, code: int, first: int, n: int, cutoff: float) -> tuple[list[int], list[float]]:
    """What the table itself predicts after the port."""
    row = known.row_of[code - first]
    if row < 0:
        return [], []
    distances = known.distances[row, :n].astype(np.float64)
    chances = np.exp(-distances)
    kept = int(np.count_nonzero(np.isfinite(distances) & (chances >= cutoff)))
    return (known.neighbors[row, :kept].astype(np.int64) + first).tolist(), chances[:kept].tolist()


def files_of_the_table(entries: Mapping[str, FileEntry]) -> dict[str, FileEntry]:
    """Those of a bundle's files that are no part of a model of sources."""
    return {name: entry for name, entry in entries.items() if name != BY_SOURCE and "-drawn.npy" not in name}


def read_source_model(
    bundle: Bundle, rows: Mapping[Proto, tuple[NDArray[np.uint16], NDArray[np.uint16], NDArray[np.float32]]]
) -> SourceModel | None:
    """The model of sources in a table's bundle, None where it has none; `rows` are the table's ports (n,), neighbors
    (n, k) and distances (n, k) by protocol.

    Raises BundleError for a damaged one, one for another table, or of a schema that this version does not read.
    """
    if BY_SOURCE not in bundle.files:
        return None
    where = bundle.path / BY_SOURCE
    fields = bundle.fields(BY_SOURCE)
    try:
        if fields["schema"] != SCHEMA:
            raise BundleError(
                f"{where}: schema {fields['schema']}, and this portkin reads {SCHEMA}; update portkin, or build the "
                "table again"
            )
        if fields["table"] != content_id(files_of_the_table(bundle.manifest.files)):
            raise BundleError(
                f"{where}: learnt for table {fields['table']}, not for the one beside it; build the table again, or "
                "with --no-by-source"
            )
        if tuple(fields["features"]) != FEATURES:
            raise ValueError("its features are not those of this version")
        trees = Trees.from_json(fields["trees"], len(FEATURES))
        points = np.array(fields["calibration"], float).reshape(-1, 2)
        if not np.isfinite(points).all() or (np.diff(points, axis=0) < 0).any():
            raise ValueError("the calibration does not rise")
        drawn = {proto: bundle.array(f"{proto}-drawn.npy") for proto in rows}
        known = {proto: SourceRows.of(*part, drawn[proto]) for proto, part in rows.items()}
        about = bundle.manifest.about
        horizon, cutoff = float(about["chances"]["horizon"]), float(about["by_source"]["cutoff"]["min_chance"])
        if not 0 <= cutoff <= 1:
            raise ValueError(f"a cut-off of {cutoff:g}")
    except (AttributeError, KeyError, TypeError, ValueError, OverflowError) as error:
        raise BundleError(f"{where}: not usable ({error!r}); build the table again") from None
    return SourceModel(LearntFromSources(trees, points, drawn), known, horizon, cutoff)
