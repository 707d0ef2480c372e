"""The stacked LSTM that forecasts one port from the recent rates of the ports akin to it (Zakroum et al. 2022, VI).

Equations 15 to 19 are the LSTM cell, which is torch's; torch adds a second bias per gate, which changes
nothing but the count of parameters.
"""

from __future__ import annotations

import copy
import itertools
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from portkin.timeseries.bins import DAY
from portkin_training.rates.models.attention import HEADS, AttentionNetwork
from portkin_training.rates.models.task import Floats, Task, folds, r2

STOP = 0.1
"""Share of the fitted part, its latest, that early stopping watches."""


GRACE = 8
"""Epochs within which a network must be better than what is known already, where that is given."""


@dataclass(frozen=True)
class LstmConfig:
    """Architecture and training (VI-B, Table III). The defaults are the paper's network.

    With `skip`, which the paper's network does not have, the target's latest rate is added to the output, so that the
    network learns the change to come. Rates grow; a network that learns their level stays behind at the level it knew.
    With `attention` it is no LSTM at all but two blocks of attention, as wide as the last LSTM would have been. With a
    `bar`, training ends where the watched samples' MAE (scaled) has not come below it within `GRACE` epochs.
    """

    sequence: int = 72
    lstm: tuple[int, ...] = (256, 128)
    dense: tuple[int, ...] = (128, 96)
    dropout: float = 0.3
    optimizer: Literal["adam", "rmsprop"] = "adam"
    learning_rate: float = 1e-3
    batch: int = 32
    epochs: int = 700
    patience: int = 50
    skip: bool = False
    attention: bool = False
    bar: float | None = None


SMALL = LstmConfig(24, (64, 32), (32, 24), 0.1, "adam", 1e-3, 64, 50, 10)
"""A network for a laptop: minutes on a CPU, and no claim to the paper's figures."""
SEQUENCES = {False: (24, 48, 72, 144), True: (3, 7, 15, 30)}


def paper_config(width: int) -> LstmConfig:
    """The network with the sequence length that the paper found best: 72 hours, 30 days."""
    return LstmConfig(sequence=30 if width >= DAY else 72)


def small_config(width: int) -> LstmConfig:
    """The small network: 24 hours, 7 days."""
    return replace(SMALL, sequence=7 if width >= DAY else 24)


def grid(width: int, base: LstmConfig | None = None) -> Iterator[LstmConfig]:
    """All of Table III: sequence lengths, dropout rates, optimizers, learning rates, batch sizes (216)."""
    base = base or paper_config(width)
    for sequence, dropout, optimizer, rate, batch in itertools.product(
        SEQUENCES[width >= DAY], (0.1, 0.3, 0.5), ("rmsprop", "adam"), (0.001, 0.01, 0.1), (16, 32, 64)
    ):
        yield replace(
            base,
            sequence=sequence,
            dropout=dropout,
            optimizer=optimizer,  # type: ignore[arg-type]
            learning_rate=rate,
            batch=batch,
        )


def reduced_grid(width: int) -> Iterator[LstmConfig]:
    """A part of Table III: two sequence lengths, two dropout rates, for at most 30 epochs with Adam, 0.001 and 64."""
    base = replace(paper_config(width), batch=64, epochs=30, patience=5)
    for sequence, dropout in itertools.product((7, 30) if width >= DAY else (24, 72), (0.1, 0.3)):
        yield replace(base, sequence=sequence, dropout=dropout)


def narrowed(config: LstmConfig, times: int) -> LstmConfig:
    """The same with layers so many times narrower."""
    return replace(
        config,
        lstm=tuple(max(1, units // times) for units in config.lstm),
        dense=tuple(max(1, units // times) for units in config.dense),
    )


class Network(nn.Module):
    """Stacked LSTMs, the last hidden state through blocks of batch norm, dense, ReLU and dropout, one output.

    Input ``window`` float32 (batch, length, features), scaled; output (batch,), scaled.
    """

    def __init__(self, features: int, config: LstmConfig) -> None:
        super().__init__()
        sizes = (features, *config.lstm)
        self.recurrent = nn.ModuleList(
            nn.LSTM(size, following, batch_first=True) for size, following in itertools.pairwise(sizes)
        )
        blocks: list[nn.Module] = []
        width = config.lstm[-1]
        for units in config.dense:
            blocks += [nn.BatchNorm1d(width), nn.Linear(width, units), nn.ReLU(), nn.Dropout(config.dropout)]
            width = units
        self.head = nn.Sequential(*blocks, nn.Linear(width, 1))
        self.skip = config.skip

    def forward(self, window: torch.Tensor) -> torch.Tensor:
        """(batch, length, features) -> (batch,)."""
        state = window
        for layer in self.recurrent:
            state, _ = layer(state)
        forecast = self.head(state[:, -1]).squeeze(-1)
        out: torch.Tensor = forecast + window[:, -1, 0] if self.skip else forecast
        return out


def network_of(features: int, config: LstmConfig) -> Network | AttentionNetwork:
    """An untrained network."""
    if config.attention:
        width = max(1, config.lstm[-1] // HEADS) * HEADS
        return AttentionNetwork(features, config.sequence, width, config.dropout)
    return Network(features, config)


@dataclass(frozen=True, eq=False)
class Lstm:
    """A trained network in evaluation mode, and how its training went: validation MAE (scaled) per epoch."""

    network: Network | AttentionNetwork
    config: LstmConfig
    history: tuple[float, ...]

    @property
    def length(self) -> int:
        """Bins per window."""
        return self.config.sequence

    def predict(self, window: NDArray[np.float32]) -> Floats:
        """(w, length, f) -> (w,)."""
        with torch.inference_mode():
            parts = [
                self.network(torch.from_numpy(part)).numpy() for part in np.array_split(window, len(window) // 512 + 1)
            ]
        return np.concatenate(parts)


def device_of(name: str) -> str:
    """The device that is meant: "auto" is a CUDA device where torch sees one, else the processor."""
    if name != "auto":
        return name
    return "cuda" if torch.cuda.is_available() else "cpu"


def train(
    window: NDArray[np.float32],
    y: Floats,
    watched: int,
    config: LstmConfig,
    seed: int,
    *,
    device: str = "auto",
    tick: Callable[[int, float], None] | None = None,
) -> Lstm:
    """Fit to the first `watched` samples by MAE, keep the epoch with the least MAE on the rest.

    `window` (w, length, f) and `y` (w,), scaled, in order of time. Training stops after `patience` epochs
    without a better one. `tick(epoch, mae)` is called after each. The same arguments yield the same network on
    the same machine. Raises ValueError for fewer than two samples to fit, or none left to watch.
    """
    device = device_of(device)
    if not 2 <= watched < len(y):
        raise ValueError(f"{len(y)} samples, {watched} of them to fit: too few for a network")
    torch.manual_seed(seed)
    order = np.random.default_rng(seed)
    network = network_of(window.shape[2], config).to(device)
    chosen = torch.optim.Adam if config.optimizer == "adam" else torch.optim.RMSprop
    optimizer = chosen(network.parameters(), lr=config.learning_rate)
    loss = nn.L1Loss()
    x_all, y_all = torch.from_numpy(window).to(device), torch.from_numpy(y.astype(np.float32)).to(device)
    best, best_state, history = np.inf, copy.deepcopy(network.state_dict()), []
    batch = min(config.batch, watched)
    for epoch in range(config.epochs):
        network.train()
        rows = order.permutation(watched)
        # Batch norm needs whole batches: the odd rest is left for another epoch's draw.
        for first in range(0, watched - batch + 1, batch):
            part = rows[first : first + batch]
            optimizer.zero_grad()
            loss(network(x_all[part]), y_all[part]).backward()
            nn.utils.clip_grad_norm_(network.parameters(), 1.0)
            optimizer.step()
        network.eval()
        with torch.inference_mode():
            parts = [network(part) for part in torch.split(x_all[watched:], 512)]
            error = float(loss(torch.cat(parts), y_all[watched:]))
        history.append(error)
        if tick:
            tick(epoch, error)
        if error < best:
            best, best_state = error, copy.deepcopy(network.state_dict())
        elif epoch - int(np.argmin(history)) >= config.patience:
            break
        if config.bar is not None and epoch + 1 >= GRACE and best > config.bar:
            break
    network.load_state_dict(best_state)
    return Lstm(network.eval().to("cpu"), config, tuple(history))


def fit(
    task: Task, config: LstmConfig, seed: int, *, device: str = "cpu", tick: Callable[[int, float], None] | None = None
) -> Lstm:
    """Train on the fitted part of the task, its last tenth kept for early stopping."""
    window, y = task.fitted(config.sequence)
    return train(window, y, watched_from(len(y)), config, seed, device=device, tick=tick)


def watched_from(samples: int) -> int:
    """The first of the samples that early stopping watches."""
    return round(samples * (1 - STOP))


def bar(task: Task, sequence: int, forecasts: Sequence[Floats]) -> float | None:
    """The least MAE (scaled) of other models' forecasts (n,) on the samples that early stopping watches; None where no
    model forecasts all of them."""
    _, y, at = task.samples(sequence, 0, task.split.fit)
    first = watched_from(len(y))
    counts = np.repeat(task.counts[at[first:], None, :], len(forecasts), axis=1)
    counts[:, :, 0] = np.stack(forecasts, axis=1)[at[first:]] if forecasts else 0.0
    errors = np.abs(task.scaling.apply(counts)[:, :, 0] - y[first:, None]).mean(axis=0)
    known = errors[~np.isnan(errors)]
    return float(known.min()) if len(known) else None


def cross_validated_r2(task: Task, config: LstmConfig, seed: int, *, device: str = "cpu") -> float:
    """Mean R2 over seven folds that respect time, each fold's network stopped early on its own latest
    tenth; NaN where nothing varies in any of them."""
    window, y = task.fitted(config.sequence)
    found = []
    for known, ahead in folds(len(y)):
        model = train(window[known], y[known], watched_from(len(known)), config, seed, device=device)
        found.append(r2(y[ahead], model.predict(window[ahead])))
    scores = [score for score in found if not np.isnan(score)]
    return float(np.mean(scores)) if scores else float("nan")
