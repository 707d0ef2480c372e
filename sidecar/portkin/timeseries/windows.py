"""Windows of counts that models read: one implementation for training and live service.

What a model sees live must be what it saw in training, to the last bit. So everything between "counts per
port and bin" and "the array that goes into the model" is in `bins`, `scaling` and here, and both sides call it.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from portkin.timeseries.scaling import Floats, Scaling

BATCH = 256
"""Windows that a model reads at once."""
MOST_UNKNOWN = 0.5
"""A window with a larger share of unknown bins in the target's own history is not used."""


def windows(counts: Floats, length: int) -> Floats:
    """Every run of `length` bins of counts (n, f), oldest first: a view (n - length + 1, length, f).

    >>> windows(np.array([[1.0], [2.0], [3.0], [4.0]]), 3)[:, :, 0].tolist()
    [[1.0, 2.0, 3.0], [2.0, 3.0, 4.0]]
    """
    if len(counts) < length:
        return np.empty((0, length, counts.shape[1]), dtype=counts.dtype)
    return sliding_window_view(counts, length, axis=0).transpose(0, 2, 1)


def usable(window: Floats, target: int, most_unknown: float = MOST_UNKNOWN) -> NDArray[np.bool_]:
    """Which windows (w, length, f) know enough of feature `target` to be forecast from: bool (w,)."""
    known_enough: NDArray[np.bool_] = np.isnan(window[:, :, target]).mean(axis=1) <= most_unknown
    return known_enough


def fill(window: Floats, otherwise: Floats) -> Floats:
    """Windows (w, length, f) without gaps: an unknown bin repeats the last known one before it in its window.

    Where the window knows none before it, `otherwise` (f,) stands in (the training mean). Nothing outside the
    window is looked at, so a window has one meaning wherever it was cut from.

    >>> fill(np.array([[[np.nan], [5.0], [np.nan]]]), np.array([2.0]))[0, :, 0].tolist()
    [2.0, 5.0, 5.0]
    """
    known = ~np.isnan(window)
    if known.all():
        return np.array(window)
    at = np.where(known, np.arange(window.shape[1])[None, :, None], -1)
    np.maximum.accumulate(at, axis=1, out=at)
    filled = np.take_along_axis(window, np.maximum(at, 0), axis=1)
    return np.where(at >= 0, filled, otherwise)


def model_input(window: Floats, scaling: Scaling) -> NDArray[np.float32]:
    """What a model reads for windows of counts (w, length, f): filled, scaled, float32, contiguous."""
    return np.ascontiguousarray(scaling.apply(fill(window, scaling.usual)), dtype=np.float32)


def predicted_rates(
    window: Floats, scaling: Scaling, run: Callable[[NDArray[np.float32]], Floats], *, batch: int = BATCH
) -> Floats:
    """Rates of the bin after each window of counts (w, length, f), float64 (w,), never negative.

    NaN where the target's own history is mostly unknown, and where a value that the model would read is not finite,
    as of a negative count: onnxruntime's LSTM and GRU turn a NaN inside a series into a finite number, so what comes
    out does not tell. `run` maps scaled windows float32 (b, length, f) to scaled forecasts (b,).
    """
    found = np.full(len(window), np.nan)
    able = np.flatnonzero(usable(window, 0))
    for first in range(0, len(able), batch):
        rows = able[first : first + batch]
        with np.errstate(invalid="ignore", divide="ignore", over="ignore"):
            scaled = model_input(window[rows], scaling)
        finite = np.isfinite(scaled).all(axis=(1, 2))
        if finite.any():
            found[rows[finite]] = scaling.rate(np.asarray(run(scaled[finite])).reshape(-1))
    return found
