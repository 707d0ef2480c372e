"""A model bundle of any size, untrained: what it costs to run does not depend on what it has learnt."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch

from portkin.bundles.forecast_models import Model, Rules
from portkin.net.ports import Port
from portkin.timeseries.bins import HOUR
from portkin.timeseries.scaling import Scaling
from portkin_training.rates.models.export import to_onnx, write_models
from portkin_training.rates.models.linear import Linear
from portkin_training.rates.models.lstm import Lstm, Network, paper_config

FEATURES = 10


def paper_lstm(features: int = FEATURES) -> Lstm:
    """The paper's network for hours, its weights drawn with seed 0."""
    torch.manual_seed(0)
    config = paper_config(HOUR)
    return Lstm(Network(features, config).eval(), config, ())


def write_bundle(path: Path, ports: int, lstms: int) -> None:
    """Models for TCP ports from 1 on: the paper's LSTM for the first ``lstms``, a line through a day for the rest."""
    named = [Port(1 + at, "tcp") for at in range(ports)]
    features = min(FEATURES, ports)
    linear = to_onnx(Linear(np.full((24, 1), 1 / 24, dtype=np.float32)), 1)
    network, length = linear, 24
    if lstms:
        lstm = paper_lstm(features)
        network, length = to_onnx(lstm, features), lstm.length
    models = []
    for at, port in enumerate(named):
        deep = at < lstms
        used = (port, *(named[(at + 1 + k) % ports] for k in range(features - 1))) if deep else (port,)
        scaling = Scaling(np.full(len(used), 20.0), np.full(len(used), 5.0))
        kind, bins = ("LSTM", length) if deep else ("linear", 24)
        entry = Model(port, kind, f"{port.number}.onnx", bins, used, scaling, 1.0, 1.0)
        models.append((entry, network if deep else linear))
    write_models(path, models, Rules(HOUR, "UTC"), {})
