"""A small encoder of attention, the paper's future work (Zakroum et al. 2022, X), beside its LSTM.

Pre-norm blocks (Xiong et al. 2020) of multi-head attention (Vaswani et al. 2017, equation 1) and a dense layer, over
the bins of a window; the forecast is read at the latest bin. Attention is written out in plain products, so that its
export is the same, node by node.
"""

from __future__ import annotations

import math

import torch
from torch import nn

HEADS = 4


class Block(nn.Module):
    """Every bin looks at every bin of its window, then a dense layer; (batch, length, width) both ways."""

    def __init__(self, width: int, dropout: float) -> None:
        super().__init__()
        self.before, self.between = nn.LayerNorm(width), nn.LayerNorm(width)
        self.query, self.key, self.value = (nn.Linear(width, width) for _ in range(3))
        self.out = nn.Linear(width, width)
        self.wide, self.back = nn.Linear(width, 2 * width), nn.Linear(2 * width, width)
        self.dropout = nn.Dropout(dropout)

    def forward(self, state: torch.Tensor) -> torch.Tensor:
        """(batch, length, width) -> the same shape."""
        batch, length, width = state.shape
        own = self.before(state)
        query, key, value = (
            layer(own).view(batch, length, HEADS, width // HEADS).transpose(1, 2)
            for layer in (self.query, self.key, self.value)
        )
        looks = torch.softmax(query @ key.transpose(2, 3) / math.sqrt(width // HEADS), dim=-1)
        seen = (looks @ value).transpose(1, 2).reshape(batch, length, width)
        state = state + self.dropout(self.out(seen))
        dense: torch.Tensor = self.back(torch.relu(self.wide(self.between(state))))
        out: torch.Tensor = state + self.dropout(dense)
        return out


class AttentionNetwork(nn.Module):
    """Two blocks over `length` bins of so many features, `width` units wide (a multiple of `HEADS`), one output.

    Input ``window`` float32 (batch, length, features), scaled; output (batch,), scaled: the change from the target's
    latest rate, added to it.
    """

    def __init__(self, features: int, length: int, width: int, dropout: float) -> None:
        super().__init__()
        self.enter = nn.Linear(features, width)
        self.place = nn.Parameter(torch.randn(length, width) * 0.02)
        self.blocks = nn.ModuleList(Block(width, dropout) for _ in range(2))
        self.last = nn.LayerNorm(width)
        self.leave = nn.Linear(width, 1)

    def forward(self, window: torch.Tensor) -> torch.Tensor:
        """(batch, length, features) -> (batch,)."""
        state = self.enter(window) + self.place
        for block in self.blocks:
            state = block(state)
        change = self.leave(self.last(state[:, -1])).squeeze(-1)
        out: torch.Tensor = change + window[:, -1, 0]
        return out
