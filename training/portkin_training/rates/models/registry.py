"""The models that are compared (Zakroum et al. 2022, Table II, and what a practitioner would try first)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any, Literal

import numpy as np

from portkin.timeseries.bins import DAY
from portkin_training.rates.models import baselines, linear, lstm, regression, var
from portkin_training.rates.models.levelled import levelled
from portkin_training.rates.models.lstm import LstmConfig
from portkin_training.rates.models.task import Floats, Predictor, Task

Reads = Literal["itself", "rank T", "rank T&S", "cluster T", "cluster T&S", "nearest"]
"""Which rates a model reads in addition to its target's: none, of the ranked ports, its cluster, the most akin."""


@dataclass(frozen=True)
class Kind:
    """What is fitted, by the name of the function, and to what.

    `cost` orders the models by what they cost to run. With `logarithm` the model reads and forecasts log(1 + count).
    Models with equal `fit` and `logarithm` that read the same rates are the same, and are fitted once.
    """

    cost: int
    fit: str
    reads: Reads = "itself"
    logarithm: bool = False


KINDS: Mapping[str, Kind] = {
    "median": Kind(0, "median"),
    "last value": Kind(0, "last value"),
    "seasonal naive": Kind(0, "seasonal naive"),
    "moving average": Kind(0, "moving average"),
    "moving median": Kind(0, "moving median"),
    "EWMA": Kind(0, "EWMA"),
    "EWMA log": Kind(0, "EWMA", logarithm=True),
    "level and trend": Kind(0, "level and trend"),
    "level and trend log": Kind(0, "level and trend", logarithm=True),
    "HAR": Kind(1, "HAR"),
    "HAR log": Kind(1, "HAR", logarithm=True),
    "ridge": Kind(1, "ridge on a week"),
    "AutoETS": Kind(1, "AutoETS"),
    "VAR Rank. (T&S)": Kind(2, "VAR", "rank T&S"),
    "VAR Clust. (T&S)": Kind(2, "VAR", "cluster T&S"),
    "ridge Rank. (T&S)": Kind(2, "ridge", "rank T&S"),
    "HAR Rank. (T&S) log": Kind(2, "HAR", "rank T&S", logarithm=True),
    "ridge Rank. (T&S) log": Kind(2, "ridge", "rank T&S", logarithm=True),
    "LightGBM": Kind(3, "LightGBM"),
    "VAR Feature Selection": Kind(4, "VAR online", "nearest"),
    "LSTM Rank. (T&S) log": Kind(5, "LSTM with skip", "rank T&S", logarithm=True),
    "attention Rank. (T&S) log": Kind(5, "LSTM of attention", "rank T&S", logarithm=True),
    "LSTM Rank. (T&S)": Kind(5, "LSTM", "rank T&S"),
    "LSTM Rank. (T)": Kind(5, "LSTM", "rank T"),
    "LSTM Clust. (T&S)": Kind(5, "LSTM", "cluster T&S"),
    "LSTM Clust. (T)": Kind(5, "LSTM", "cluster T"),
}
"""The models by name, cheapest first. Those that end in "log" read and forecast log(1 + count)."""
MODELS = tuple(KINDS)
PAPER = (
    "LSTM Rank. (T&S)",
    "LSTM Rank. (T)",
    "LSTM Clust. (T&S)",
    "LSTM Clust. (T)",
    "VAR Feature Selection",
    "VAR Rank. (T&S)",
    "VAR Clust. (T&S)",
)
"""The paper's models (Table II), which its Tables IV and V compare."""
LINEAR = frozenset(
    {"median", "last value", "seasonal naive", "moving average", "EWMA", "level and trend", "HAR", "ridge",
     "ridge on a week", "VAR"}
)  # fmt: skip
"""Fits that are weighted sums of a window, so that the mean of several is one, too."""
LEARN_A_LEVEL = frozenset({"ridge", "ridge on a week", "VAR", "LightGBM", "LSTM"})
"""Fits that return to the level of the bins they were fitted to, whatever comes later."""
EXPENSIVE = 3
"""The cost from which on a model is fitted once, not at each origin, to see whether it earns more."""
UNSHIPPABLE = frozenset({"AutoETS", "VAR Feature Selection"})
"""Refitted or filtered over the whole series as they go; they are judged but do not ship."""

TRIED = tuple(
    name
    for name, kind in KINDS.items()
    if name not in UNSHIPPABLE
    and (kind.fit not in ("LSTM", "VAR") or kind.reads == "rank T&S")
    and name not in ("LSTM Rank. (T&S)", "attention Rank. (T&S) log")
)
"""The models that `rates train` tries, without --model: all that ship, but of networks and VARs
one each, which did best."""


@dataclass(frozen=True)
class Profile:
    """How much is spent: one network for all LSTMs, or the best of a grid (Table III) for each.

    The grid is searched with networks `narrower` times as narrow as the one that is then fitted. `features` at most per
    target; `every` so many bins the online VAR chooses its features again, from the `memory` latest.
    """

    name: str
    lstm: LstmConfig
    grid: tuple[LstmConfig, ...]
    features: int
    every: int
    memory: int
    narrower: int = 1


def profile(name: str, width: int) -> Profile:
    """`small`: minutes on a laptop. `paper`: its network and the grid of Table III, days on a GPU.

    `network` is the paper's network with its best sequence length, without the grid; `reduced` that network after a
    search of a part of the grid with a network a quarter as wide. Raises ValueError for any other name.
    """
    days = width >= DAY
    memory = 180 if days else 60 * DAY // width
    if name == "small":
        return Profile(name, lstm.small_config(width), (), 8, 7 if days else 24, memory)
    if name == "network":
        return Profile(name, lstm.paper_config(width), (), 32, 7 if days else 24, memory)
    if name == "paper":
        return Profile(name, lstm.paper_config(width), tuple(lstm.grid(width)), 64, 1, memory)
    if name == "reduced":
        points = tuple(lstm.reduced_grid(width))
        return Profile(name, points[0], points, 8, 7 if days else 24, memory, narrower=4)
    raise ValueError(f"profile {name!r} is not small, network, reduced or paper")


def network_config(kind: Kind, config: LstmConfig) -> LstmConfig:
    """This network as the kind has it: with its skip or without, or of attention instead."""
    return replace(config, skip=kind.fit == "LSTM with skip", attention=kind.fit == "LSTM of attention")


def fit(kind: Kind, task: Task, used: Profile, seed: int, device: str) -> tuple[Predictor | Floats, dict[str, Any]]:
    """The fitted model, or the forecasts (n,) of one that reads no windows; and what was chosen on the way."""
    fits: dict[str, Callable[[], Predictor | Floats]] = {
        "median": lambda: linear.median(task),
        "last value": lambda: linear.last_value(task),
        "seasonal naive": lambda: linear.seasonal_naive(task),
        "moving average": lambda: linear.corrected(task, linear.moving_average(task)),
        "moving median": lambda: baselines.moving_median(task),
        "EWMA": lambda: linear.corrected(task, linear.ewma(task)),
        "level and trend": lambda: linear.corrected(task, linear.level_and_trend(task)),
        "HAR": lambda: linear.corrected(task, regression.heterogeneous(task)),
        "ridge on a week": lambda: regression.ridge(task, regression.lags(task)),
        "ridge": lambda: regression.ridge(task, task.season),
        "AutoETS": lambda: baselines.auto_ets(task),
        "LightGBM": lambda: baselines.lightgbm_on_lags(task, regression.lags(task), seed),
        "VAR": lambda: var.fit_fixed(task),
        "VAR online": lambda: var.non_stationary(task, first=task.split.fit, memory=used.memory, every=used.every),
    }
    if not kind.fit.startswith("LSTM"):
        return fits[kind.fit](), {}
    model = lstm.fit(task, network_config(kind, used.lstm), seed, device=device)
    return model, {"config": asdict(model.config), "epochs": len(model.history)}


def fit_to_ship(
    kind: Kind, task: Task, used: Profile, seed: int, device: str
) -> tuple[Predictor | Floats, dict[str, Any]]:
    """As `fit`, a model or forecasts (n,), but what learns a level has it corrected online: a port that grows, or dies,
    after training is followed."""
    model, chosen = fit(kind, task, used, seed, device)
    if kind.fit in LEARN_A_LEVEL and not isinstance(model, np.ndarray):
        return levelled(task, model), chosen
    return model, chosen
