"""From fitted models to the bundle that `portkin.bundles.forecast` reads: ONNX, scaling, features, thresholds.

The opset is pinned, so that every onnxruntime the sidecar allows can read what is written.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from portkin.bundles.bundle_writer import write_bundle
from portkin.bundles.forecast_models import KIND, MODELS, SCHEMA, Model, Rules
from portkin_training.rates.models import networks
from portkin_training.rates.models.baselines import MovingMedian, Trees
from portkin_training.rates.models.levelled import Levelled
from portkin_training.rates.models.linear import Corrected, Linear
from portkin_training.rates.models.lstm import Lstm
from portkin_training.rates.models.task import Predictor

OPSET = 18
IR_VERSION = 9
TREES_OPSET = 3


def to_onnx(model: Predictor, features: int) -> bytes:
    """The model as an ONNX file: `window` float32 (batch, length, features) -> `forecast` float32 (batch,).

    Raises TypeError for a model that reads more than one window.
    """
    made = _model(model, features)
    made.ir_version = IR_VERSION
    onnx.checker.check_model(made)
    return bytes(made.SerializeToString(deterministic=True))


def _model(model: Predictor, features: int) -> onnx.ModelProto:
    if isinstance(model, Lstm):
        return _graph(*networks.nodes(model), model.length, features)
    if isinstance(model, Linear):
        return _linear(model)
    if isinstance(model, Corrected):
        return _corrected(model)
    if isinstance(model, Levelled):
        return _levelled(model, features)
    if isinstance(model, MovingMedian):
        return _moving_median(model, features)
    if isinstance(model, Trees):
        return _trees(model, features)
    raise TypeError(f"{type(model).__name__} is not a model of one window and cannot be exported")


def _graph(
    nodes: Sequence[onnx.NodeProto],
    constants: Mapping[str, NDArray[Any]],
    length: int,
    features: int,
    *,
    trees: bool = False,
) -> onnx.ModelProto:
    window = helper.make_tensor_value_info("window", TensorProto.FLOAT, ["batch", length, features])
    forecast = helper.make_tensor_value_info("forecast", TensorProto.FLOAT, ["batch"])
    stored = [numpy_helper.from_array(value, name) for name, value in constants.items()]
    graph = helper.make_graph(nodes, "portkin", [window], [forecast], stored)
    opsets = [helper.make_opsetid("", OPSET)]
    if trees:
        opsets.append(helper.make_opsetid("ai.onnx.ml", TREES_OPSET))
    return helper.make_model(graph, opset_imports=opsets, producer_name="portkin")


def _linear(model: Linear) -> onnx.ModelProto:
    """In double precision within, as training computes it."""
    constants: dict[str, NDArray[Any]] = {
        "flat": np.array([-1, model.weights.size], dtype=np.int64),
        "weights": model.weights.reshape(-1, 1).astype(np.float64),
        "bias": np.array([model.bias], dtype=np.float64),
        "row": np.array([-1], dtype=np.int64),
    }
    nodes = [
        helper.make_node("Reshape", ["window", "flat"], ["single"]),
        helper.make_node("Cast", ["single"], ["values"], to=TensorProto.DOUBLE),
        helper.make_node("Gemm", ["values", "weights", "bias"], ["column"]),
        helper.make_node("Reshape", ["column", "row"], ["sums"]),
        helper.make_node("Cast", ["sums"], ["forecast"], to=TensorProto.FLOAT),
    ]
    return _graph(nodes, constants, *model.weights.shape)


def _corrected(model: Corrected) -> onnx.ModelProto:
    """The mean of all sums, each moved towards the latest level and not below zero; in double precision."""
    number, length, features = model.weights.shape
    latest = np.zeros((length, features))
    latest[length - model.span :, 0] = 1 / model.span
    constants: dict[str, NDArray[Any]] = {
        "flat": np.array([-1, length * features], dtype=np.int64),
        "weights": model.weights.reshape(number, -1).T.astype(np.float64),
        "bias": model.bias.astype(np.float64),
        "latest": latest.reshape(-1, 1),
        "allowed": model.allowed.astype(np.float64),
    }
    cut = np.isfinite(model.least)
    if cut:
        constants["least"] = np.array([model.least])
    nodes = [
        helper.make_node("Reshape", ["window", "flat"], ["single"]),
        helper.make_node("Cast", ["single"], ["values"], to=TensorProto.DOUBLE),
        helper.make_node("Gemm", ["values", "weights", "bias"], ["sums"]),
        helper.make_node("MatMul", ["values", "latest"], ["level"]),
        *_towards("sums", "level"),
        *([helper.make_node("Max", ["corrected", "least"], ["cut"])] if cut else []),
        helper.make_node("ReduceMean", ["cut" if cut else "corrected", "columns"], ["mean"], keepdims=0),
        helper.make_node("Cast", ["mean"], ["forecast"], to=TensorProto.FLOAT),
    ]
    constants["columns"] = np.array([1], dtype=np.int64)
    return _graph(nodes, constants, length, features)


def _towards(forecast: str, level: str, prefix: str = "") -> list[onnx.NodeProto]:
    """The nodes of `linear.towards`, from `allowed` to `corrected`; names begin with a prefix."""
    distance, squared, allowed, whole, taken, moved, corrected = (
        prefix + name for name in ("distance", "squared", "allowed", "whole", "taken", "moved", "corrected")
    )
    return [
        helper.make_node("Sub", [level, forecast], [distance]),
        helper.make_node("Mul", [distance, distance], [squared]),
        helper.make_node("Add", [squared, allowed], [whole]),
        helper.make_node("Div", [squared, whole], [taken]),
        helper.make_node("Mul", [distance, taken], [moved]),
        helper.make_node("Add", [forecast, moved], [corrected]),
    ]


def _levelled(model: Levelled, features: int) -> onnx.ModelProto:
    """The model's own nodes, and after them its forecast moved towards the latest level, in double precision."""
    made = _model(model.base, features)
    for node in made.graph.node:
        node.output[:] = ["level_base" if name == "forecast" else name for name in node.output]
    latest = np.zeros((model.length, 1))
    latest[model.length - model.span :] = 1 / model.span
    constants: dict[str, NDArray[Any]] = {
        "level_first": np.array(0, dtype=np.int64),
        "level_latest": latest,
        "level_row": np.array([-1], dtype=np.int64),
        "level_allowed": np.array(model.allowed, dtype=np.float64),
    }
    made.graph.initializer.extend(numpy_helper.from_array(value, name) for name, value in constants.items())
    made.graph.node.extend(
        [
            helper.make_node("Cast", ["level_base"], ["level_sum"], to=TensorProto.DOUBLE),
            helper.make_node("Gather", ["window", "level_first"], ["level_single"], axis=2),
            helper.make_node("Cast", ["level_single"], ["level_own"], to=TensorProto.DOUBLE),
            helper.make_node("MatMul", ["level_own", "level_latest"], ["level_column"]),
            helper.make_node("Reshape", ["level_column", "level_row"], ["level_mean"]),
            *_towards("level_sum", "level_mean", "level_"),
            helper.make_node("Cast", ["level_corrected"], ["forecast"], to=TensorProto.FLOAT),
        ]
    )
    return made


def _moving_median(model: MovingMedian, features: int) -> onnx.ModelProto:
    """The least of the larger half of the target's bins, of which there is an odd number."""
    constants: dict[str, NDArray[Any]] = {
        "first": np.array(0, dtype=np.int64),
        "half": np.array([model.length // 2 + 1], dtype=np.int64),
        "last": np.array(model.length // 2, dtype=np.int64),
    }
    nodes = [
        helper.make_node("Gather", ["window", "first"], ["own"], axis=2),
        helper.make_node("TopK", ["own", "half"], ["larger", "places"], axis=1),
        helper.make_node("Gather", ["larger", "last"], ["forecast"], axis=1),
    ]
    return _graph(nodes, constants, model.length, features)


def _trees(model: Trees, features: int) -> onnx.ModelProto:
    """LightGBM's trees node by node.

    LightGBM compares in double precision, onnxruntime in single: a threshold is rounded down, which decides
        every
    single-precision value as the double would.
    """
    names = ("tree", "node", "feature", "mode", "value", "true", "false", "leaf_tree", "leaf", "weight")
    columns: dict[str, list[Any]] = {name: [] for name in names}
    for number, tree in enumerate(model.booster.dump_model()["tree_info"]):
        _walk(tree["tree_structure"], number, [0], columns)
    node = helper.make_node(
        "TreeEnsembleRegressor",
        ["values"],
        ["column"],
        domain="ai.onnx.ml",
        n_targets=1,
        aggregate_function="SUM",
        post_transform="NONE",
        nodes_treeids=columns["tree"],
        nodes_nodeids=columns["node"],
        nodes_featureids=columns["feature"],
        nodes_modes=columns["mode"],
        nodes_values=columns["value"],
        nodes_truenodeids=columns["true"],
        nodes_falsenodeids=columns["false"],
        nodes_missing_value_tracks_true=[0] * len(columns["node"]),
        target_treeids=columns["leaf_tree"],
        target_nodeids=columns["leaf"],
        target_ids=[0] * len(columns["leaf"]),
        target_weights=columns["weight"],
    )
    constants = {
        "flat": np.array([-1, model.length * features], dtype=np.int64),
        "row": np.array([-1], dtype=np.int64),
    }
    nodes = [
        helper.make_node("Reshape", ["window", "flat"], ["values"]),
        node,
        helper.make_node("Reshape", ["column", "row"], ["forecast"]),
    ]
    return _graph(nodes, constants, model.length, features, trees=True)


def _walk(here: Mapping[str, Any], tree: int, free: list[int], columns: dict[str, list[Any]]) -> int:
    """Append a node and all below it; its number. `free` holds the next number."""
    number = free[0]
    free[0] += 1
    at = len(columns["node"])
    leaf = "leaf_value" in here
    limit = 0.0 if leaf else rounded_down(here["threshold"])
    for key, value in {
        "tree": tree,
        "node": number,
        "feature": 0 if leaf else here["split_feature"],
        "mode": "LEAF" if leaf else "BRANCH_LEQ",
        "value": limit,
        "true": 0,
        "false": 0,
    }.items():
        columns[key].append(value)
    if leaf:
        columns["leaf_tree"].append(tree)
        columns["leaf"].append(number)
        columns["weight"].append(float(here["leaf_value"]))
    else:
        columns["true"][at] = _walk(here["left_child"], tree, free, columns)
        columns["false"][at] = _walk(here["right_child"], tree, free, columns)
    return number


def rounded_down(value: float) -> float:
    """The largest single-precision number that is not above `value`."""
    single = np.float32(value)
    return float(np.nextafter(single, np.float32(-np.inf)) if float(single) > value else single)


def write_models(path: Path, models: Sequence[tuple[Model, bytes]], rules: Rules, about: Mapping[str, Any]) -> None:
    """Write the bundle: one ONNX per target under the name in its `Model`, models.json, and the manifest.

    `about` goes into the manifest: where the rates came from, seeds, versions, and each model's figures.
    """
    with write_bundle(Path(path), kind=KIND, schema=SCHEMA, about=about) as folder:
        for entry, onnx_bytes in models:
            (folder / entry.file).write_bytes(onnx_bytes)
        fields = {"rules": asdict(rules), "models": [entry.write() for entry, _ in models]}
        (folder / MODELS).write_text(json.dumps(fields, indent=1), encoding="utf-8")
