"""Results: the same traffic replayed under several predictors, and all that a report says about it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from portkin import __version__
from portkin.net.ports import PORTS
from portkin_training.replay.blocking import BY_PORT, ReplayCounts, Sweep
from portkin_training.replay.frontier import Point, at_equal_blocks
from portkin_training.replay.metrics import ReplayFigures, columns, figures, json_number

CURVE_KS = tuple(range(17))
CURVE_WINDOWS = (15.0, 60.0, 300.0, 900.0, 3600.0, 20_000.0, 86_400.0, 172_800.0)
"""What a sweep answers for: K 0 (MySelf) to 16, T 15 s to 2 days."""


def sweep_of(k: int, window: float, *, whole: bool) -> Sweep:
    """The K and T to replay for: one of each and MySelf, or the `whole` sweep as well."""
    ks, windows = {0, k}, {window}
    if whole:
        ks, windows = ks | set(CURVE_KS), windows | set(CURVE_WINDOWS)
    return Sweep(tuple(sorted(ks)), tuple(sorted(windows)), (k, window))


@dataclass(frozen=True)
class ReplayResults:
    """What was replayed, how, and what came of it; `counts` by predictor, the one under results first."""

    settings: Mapping[str, Any]
    counts: Mapping[str, ReplayCounts]
    oracle: float | None = None  # hindsight oracle at the headline
    notes: tuple[str, ...] = ()
    units: Mapping[int, str] = field(default_factory=dict)  # what the units are called, where they are traces
    frontiers: Mapping[str, Sequence[Point]] = field(default_factory=dict)  # by predictor, the oracle's last
    reliability: Sequence[Mapping[str, float]] = ()  # of the predictor under study, where it has chances
    reliability_by_source: Sequence[Mapping[str, float]] = ()
    reliability_on: str = "these probes"
    """The probes that both were observed on."""

    def best_table(self, rows: Mapping[str, ReplayFigures]) -> float | None:
        """What the best table predicts at the headline, of which `rows` are the figures, as far as is known: the
        hindsight oracle, which credits a port to the latest ports before it alone, or a predictor that does better."""
        if self.oracle is None:
            return None
        return float(np.fmax.reduce([self.oracle, *(row.new_port_recall.value for row in rows.values())]))

    def equal_blocks(self) -> list[dict[str, Any]]:
        """What the predictor under study finds with the blocks of each of the others; see `frontier`."""
        return at_equal_blocks(self.frontiers) if self.frontiers else []

    @property
    def benign_traffic(self) -> str:
        """What is counted of benign traffic: packets of labelled traces, else contacts."""
        return "packets" if self.units else "contacts"

    @property
    def sweep(self) -> Sweep:
        """The K and T of all replays."""
        return next(iter(self.counts.values())).sweep

    def at(self, k: int | None = None, window: float | None = None) -> dict[str, ReplayFigures]:
        """The figures of every predictor, at the headline's K and T unless others are asked for."""
        k = self.sweep.headline[0] if k is None else k
        window = self.sweep.headline[1] if window is None else window
        return {name: figures(counts, 0 if name == "MySelf" else k, window) for name, counts in self.counts.items()}

    def days(self, *, new_ports: bool) -> list[tuple[float, float, float]]:
        """(TPR, FPR, usefulness) of each unit, as Table II of paper 1 has them for the predictor under results.

        With `new_ports` what the source had probed before counts for nothing: the TPR is the new-port recall, the
        FPR that of what is blocked beyond the probed port, the usefulness that of blocks of ports new to the source.
        """
        counts = next(iter(self.counts.values()))
        k, window = self.sweep.headline
        all_, own = columns(counts, k, window), columns(counts, 0, window)
        if new_ports:
            shares = (
                (all_["new_blocked"], all_["new"]),
                (all_["benign_blocked"] - own["benign_blocked"], all_["benign"]),
                (all_["new_useful"], all_["new_blocks"]),
            )
        else:
            shares = (
                (all_["blocked"], all_["probes"]),
                (all_["benign_blocked"], all_["benign"]),
                (all_["useful"], all_["blocks"]),
            )
        # Where a unit has nothing of a kind, as no block but those of the unit before, it has no share of it.
        rates = (np.divide(part, of, out=np.full_like(of, np.nan), where=of > 0) for part, of in shares)
        return list(zip(*(rate.tolist() for rate in rates), strict=True))

    @property
    def ports_seen(self) -> int:
        """How many ports had a probe, or benign traffic that was blocked."""
        counts = next(iter(self.counts.values())).ports
        return int(np.count_nonzero(counts[:, BY_PORT.index("probes")] + counts[:, BY_PORT.index("benign_blocked")]))

    def probes_elsewhere(self) -> int:
        """Probes of the ports that `ports` leaves out."""
        counts = next(iter(self.counts.values())).ports
        shown = sum(int(row["probes"]) for row in self.ports())
        return int(counts[:, BY_PORT.index("probes")].sum()) - shown

    def ports(self, limit: int = 30) -> list[dict[str, Any]]:
        """What became, under the predictor under results, of the ports with most probes and blocked benign packets:
        counters of the kernel by port."""
        counts = next(iter(self.counts.values())).ports
        seen = counts[:, BY_PORT.index("probes")] + counts[:, BY_PORT.index("benign_blocked")]
        order = np.argsort(-seen, kind="stable")[:limit]
        return [
            {"port": f"{code % PORTS}/{'udp' if code >= PORTS else 'tcp'}", **dict(zip(BY_PORT, row, strict=True))}
            for code, row in zip(order.tolist(), counts[order].tolist(), strict=True)
            if seen[code]
        ]

    def curves(self, name: str) -> dict[str, dict[int, list[float]]]:
        """Of one predictor: each figure for every K, over the windows in order."""
        counts = self.counts[name]
        found: dict[str, dict[int, list[float]]] = {}
        for figure, (above, below) in {
            "blocking_ratio": ("blocked", "probes"),
            "usefulness": ("useful", "blocks"),
            "new_port_recall": ("new_blocked", "new"),
        }.items():
            for k in self.sweep.ks:
                line = []
                for window in self.sweep.windows:
                    named = columns(counts, 0 if name == "MySelf" else k, window)
                    total = named[below].sum()
                    line.append(float(named[above].sum() / total) if total else float("nan"))
                found.setdefault(figure, {})[k] = line
        return found

    def as_dict(self) -> dict[str, Any]:
        """All of it, for JSON; what is undefined is null."""
        k, window = self.sweep.headline
        rows = self.at()
        best = self.best_table(rows)
        report: dict[str, Any] = {
            "portkin": __version__,
            "settings": dict(self.settings),
            "k": k,
            "window": window,
            "predictors": {name: row.as_dict() for name, row in rows.items()},
            "hindsight_oracle": None if best is None else json_number(best),
            **(
                {
                    "equal_blocks": self.equal_blocks(),
                    "frontier": {name: [point.as_dict() for point in part] for name, part in self.frontiers.items()},
                }
                if self.frontiers
                else {}
            ),
            **({"reliability": list(self.reliability)} if self.reliability else {}),
            **({"reliability_on": self.reliability_on} if self.reliability else {}),
            **({"reliability_by_source": list(self.reliability_by_source)} if self.reliability_by_source else {}),
            "ports": self.ports(),
            "notes": list(self.notes),
        }
        if self.units:
            report["table_ii"] = {
                name: [_plain(dict(zip(("tpr", "fpr", "usefulness"), day, strict=True))) for day in days]
                for name, days in (
                    ("with the probed port", self.days(new_ports=False)),
                    ("new ports only", self.days(new_ports=True)),
                )
            }
        if len(self.sweep.windows) > 1:
            report["windows"] = list(self.sweep.windows)
            report["curves"] = {
                name: {
                    figure: {str(k): [None if x != x else x for x in line] for k, line in lines.items()}
                    for figure, lines in self.curves(name).items()
                }
                for name in self.counts
            }
        return report


def _plain(named: dict[str, float]) -> dict[str, float | None]:
    return {name: None if value != value else value for name, value in named.items()}
