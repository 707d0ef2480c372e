"""Networks as ONNX, layer by layer, in evaluation mode.

torch's exporter traces the module again for every network, which takes longer than many a fit, and writes paths of the
machine that trained into the file.
"""

from __future__ import annotations

import math
from typing import Any, cast

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import helper
from torch import nn

from portkin_training.rates.models.attention import HEADS, AttentionNetwork, Block
from portkin_training.rates.models.lstm import Lstm, Network

Graph = tuple[list[onnx.NodeProto], dict[str, NDArray[Any]]]
"""The nodes from ``window`` to ``forecast``, and the constants that they name."""


def nodes(model: Lstm) -> Graph:
    """A trained network: from ``window`` (batch, length, features) to ``forecast`` (batch,)."""
    if isinstance(model.network, AttentionNetwork):
        return _attention(model.network, model.length)
    return _lstm(model.network, model.length)


def _lstm(network: Network, length: int) -> Graph:
    constants: dict[str, NDArray[Any]] = {
        "direction": np.array([1], dtype=np.int64),
        "front": np.array([0], dtype=np.int64),
        "row": np.array([-1], dtype=np.int64),
    }
    nodes = [helper.make_node("Transpose", ["window"], ["steps_0"], perm=[1, 0, 2])]  # ONNX: (length, batch, features)
    for number, layer in enumerate(network.recurrent):
        names = [f"{name}_{number}" for name in ("input", "recurrent", "bias")]
        constants |= dict(zip(names, _gates(cast(nn.LSTM, layer)), strict=True))
        inputs = [f"steps_{number}", *names]
        nodes += [
            helper.make_node("LSTM", inputs, [f"both_{number}", f"state_{number}"], hidden_size=layer.hidden_size),
            helper.make_node("Squeeze", [f"both_{number}", "direction"], [f"steps_{number + 1}"]),
        ]
    nodes.append(helper.make_node("Squeeze", [f"state_{len(network.recurrent) - 1}", "front"], ["value_0"]))
    value = "value_0"
    for number, layer in enumerate(network.head, 1):
        made, held = _layer(layer, number, value)
        if made is not None:
            nodes.append(made)
            constants |= held
            value = made.output[0]
    if network.skip:
        constants |= {"first": np.array(0, dtype=np.int64), "latest": np.array(length - 1, dtype=np.int64)}
        nodes += [
            helper.make_node("Reshape", [value, "row"], ["change"]),
            helper.make_node("Gather", ["window", "latest"], ["bin"], axis=1),
            helper.make_node("Gather", ["bin", "first"], ["own"], axis=1),
            helper.make_node("Add", ["change", "own"], ["forecast"]),
        ]
    else:
        nodes.append(helper.make_node("Reshape", [value, "row"], ["forecast"]))
    return nodes, constants


def _gates(layer: nn.LSTM) -> tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.float32]]:
    """Weights and biases of one LSTM as ONNX has them: one direction, gates in order i, o, f, c (torch: i, f, c, o)."""

    def ordered(name: str) -> NDArray[np.float32]:
        i, f, c, o = np.split(layer.get_parameter(name).detach().numpy(), 4)
        return np.concatenate([i, o, f, c])

    biases = np.concatenate([ordered("bias_ih_l0"), ordered("bias_hh_l0")])
    return ordered("weight_ih_l0")[None], ordered("weight_hh_l0")[None], biases[None]


def _layer(layer: nn.Module, number: int, value: str) -> tuple[onnx.NodeProto | None, dict[str, NDArray[Any]]]:
    """One layer of the head from `value` on, and its constants; None for dropout, which does nothing here."""
    out = f"value_{number}"
    if isinstance(layer, nn.ReLU):
        return helper.make_node("Relu", [value], [out]), {}
    if isinstance(layer, nn.Linear):
        named = {"weight": layer.weight, "offset": layer.bias}
        options: dict[str, Any] = {"op_type": "Gemm", "transB": 1}
    elif isinstance(layer, nn.BatchNorm1d):
        named = {
            "scale": layer.weight,
            "shift": layer.bias,
            "mean": layer.get_buffer("running_mean"),
            "variance": layer.get_buffer("running_var"),
        }
        options = {"op_type": "BatchNormalization", "epsilon": layer.eps}
    else:
        return None, {}
    held = {f"{name}_{number}": tensor.detach().numpy() for name, tensor in named.items()}
    return helper.make_node(inputs=[value, *held], outputs=[out], **options), held


class _Builder:
    """Nodes and constants of a graph of dense layers, as they are named."""

    def __init__(self, constants: dict[str, NDArray[Any]]) -> None:
        self.nodes: list[onnx.NodeProto] = []
        self.constants = constants

    def node(self, kind: str, inputs: list[str], name: str, **options: Any) -> str:
        """A node of one output, of its own name."""
        self.nodes.append(helper.make_node(kind, inputs, [name], **options))
        return name

    def dense(self, layer: nn.Linear, value: str, name: str) -> str:
        """A dense layer over the last axis."""
        self.constants[f"{name}_weight"] = layer.weight.detach().numpy().T.copy()
        self.constants[f"{name}_bias"] = layer.bias.detach().numpy()
        product = self.node("MatMul", [value, f"{name}_weight"], f"{name}_product")
        return self.node("Add", [product, f"{name}_bias"], name)

    def norm(self, layer: nn.LayerNorm, value: str, name: str) -> str:
        """Layer normalisation over the last axis."""
        self.constants[f"{name}_scale"] = layer.weight.detach().numpy()
        self.constants[f"{name}_shift"] = layer.bias.detach().numpy()
        return self.node("LayerNormalization", [value, f"{name}_scale", f"{name}_shift"], name, epsilon=layer.eps)

    def heads(self, layer: nn.Linear, value: str, name: str, *, turned: bool = False) -> str:
        """A dense layer, cut into heads: (batch, heads, length, part), or with the last two axes changed."""
        split = self.node("Reshape", [self.dense(layer, value, name), "split"], f"{name}_split")
        return self.node("Transpose", [split], f"{name}_heads", perm=[0, 2, 3, 1] if turned else [0, 2, 1, 3])


def _attention(network: AttentionNetwork, length: int) -> Graph:
    width = network.enter.out_features
    graph = _Builder(
        {
            "place": network.place.detach().numpy(),
            "split": np.array([0, length, HEADS, width // HEADS], dtype=np.int64),
            "joined": np.array([0, length, width], dtype=np.int64),
            "root": np.array(math.sqrt(width // HEADS), dtype=np.float32),
            "latest": np.array(length - 1, dtype=np.int64),
            "first": np.array(0, dtype=np.int64),
            "row": np.array([-1], dtype=np.int64),
        }
    )
    state = graph.node("Add", [graph.dense(network.enter, "window", "enter"), "place"], "entered")
    for number, block in enumerate(network.blocks):
        state = _block(graph, cast(Block, block), state, f"block{number}")
    last = graph.node("Gather", [graph.norm(network.last, state, "last"), "latest"], "last_bin", axis=1)
    change = graph.node("Reshape", [graph.dense(network.leave, last, "leave"), "row"], "change")
    latest = graph.node("Gather", ["window", "latest"], "bin", axis=1)
    graph.node("Add", [change, graph.node("Gather", [latest, "first"], "own", axis=1)], "forecast")
    return graph.nodes, graph.constants


def _block(graph: _Builder, block: Block, state: str, name: str) -> str:
    own = graph.norm(block.before, state, f"{name}_own")
    query = graph.heads(block.query, own, f"{name}_query")
    key = graph.heads(block.key, own, f"{name}_key", turned=True)
    value = graph.heads(block.value, own, f"{name}_value")
    dots = graph.node("Div", [graph.node("MatMul", [query, key], f"{name}_dots"), "root"], f"{name}_scaled")
    each = graph.node("MatMul", [graph.node("Softmax", [dots], f"{name}_looks", axis=-1), value], f"{name}_each")
    back = graph.node("Transpose", [each], f"{name}_back", perm=[0, 2, 1, 3])
    seen = graph.dense(block.out, graph.node("Reshape", [back, "joined"], f"{name}_joined"), f"{name}_out")
    state = graph.node("Add", [state, seen], f"{name}_looked")
    wide = graph.dense(block.wide, graph.norm(block.between, state, f"{name}_between"), f"{name}_wide")
    narrow = graph.dense(block.back, graph.node("Relu", [wide], f"{name}_relu"), f"{name}_narrow")
    return graph.node("Add", [state, narrow], f"{name}_state")
