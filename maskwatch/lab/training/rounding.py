"""Rounding that int8 survives: depthwise weights whose sums stay, and means that are put right.

A depthwise filter has nine weights, and its input is often nearly constant (a saturated ReLU6), so
what rounding does to the *sum* of the nine is what it does to the output, and batch normalization
makes it larger. Measured on MobileNetV2 at 96 px, this alone was nearly all of the int8 model's
error. So the weights are put on the grid that the converter will use in a way that keeps their sum,
and what error is left in the mean is taken out of the batch normalization that follows
("bias correction", Nagel et al. 2019).
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final

import keras
import numpy as np
import numpy.typing as npt

from maskwatch.lab.training.network import scaled

__all__ = ["round_keeping_sum", "rounded_depthwise"]

_LEVELS: Final = 127
_BATCH: Final = 64

Floats = npt.NDArray[np.float32]


def round_keeping_sum(kernel: Floats) -> Floats:
    """Return a depthwise kernel (rows, columns, channels, 1) on its int8 grid, channel by channel.

    The largest weight of a channel stays as it is (it sets the grid); the others are rounded up or
    down so that their sum is as near to the exact one as the grid allows.
    """
    flat = kernel.reshape(-1, kernel.shape[2]).astype(np.float64)
    step = np.abs(flat).max(axis=0) / _LEVELS
    step[step == 0] = 1.0
    exact = flat / step
    grid = np.round(exact)
    for channel in range(flat.shape[1]):
        _shift(grid[:, channel], exact[:, channel])
    return np.asarray((grid * step).reshape(kernel.shape), np.float32)


def _shift(grid: npt.NDArray[np.float64], exact: npt.NDArray[np.float64]) -> None:
    """Move single entries of `grid` by one, those that lose least by it, until the sums agree."""
    missing = round(float(exact.sum() - grid.sum()))
    sign = 1 if missing > 0 else -1
    cost = (grid - exact) * sign
    cost[np.abs(grid) >= _LEVELS] = np.inf
    for index in np.argsort(cost, kind="stable")[: abs(missing)]:
        if np.isfinite(cost[index]):
            grid[index] += sign


def _pairs(model: Any) -> list[tuple[Any, Any]]:
    """Return each depthwise convolution with the batch normalization that follows it, in order."""
    pairs = []
    layers = [inner for layer in model.layers for inner in getattr(layer, "layers", [layer])]
    for layer in layers:
        if isinstance(layer, keras.layers.DepthwiseConv2D):
            after = [
                x for x in layers if isinstance(x, keras.layers.BatchNormalization) and _feeds(layer, x)
            ]
            pairs += [(layer, after[0])] if after else []
    return pairs


def _feeds(one: Any, other: Any) -> bool:
    return any(one.output is given for given in _as_list(other.input))


def _as_list(tensors: Any) -> list[Any]:
    return list(tensors) if isinstance(tensors, list | tuple) else [tensors]


@contextmanager
def rounded_depthwise(model: Any, crops: npt.NDArray[np.uint8]) -> Iterator[None]:
    """Lend `model` rounded depthwise weights, its means put right on `crops` (n, size, size, 3)."""
    own = model.get_weights()
    pairs = _pairs(model)
    try:
        if pairs:
            _round_all(model, pairs, crops)
        yield
    finally:
        model.set_weights(own)


def _round_all(model: Any, pairs: list[tuple[Any, Any]], crops: npt.NDArray[np.uint8]) -> None:
    base = next((layer for layer in model.layers if hasattr(layer, "layers")), model)
    probe = keras.Model(base.input, [convolution.output for convolution, _ in pairs])
    wanted = _means(probe, crops)
    for convolution, _ in pairs:
        (kernel,) = convolution.get_weights()
        convolution.set_weights([round_keeping_sum(kernel)])
    for number, (_, normalization) in enumerate(pairs):
        # Earlier corrections move later means, so each layer is measured after those before it.
        moved = _means(probe, crops)[number] - wanted[number]
        gamma, beta, mean, variance = normalization.get_weights()
        normalization.set_weights([gamma, beta, mean + moved, variance])


def _means(probe: Any, crops: npt.NDArray[np.uint8]) -> list[Floats]:
    """Return the mean of every output channel of `probe` over `crops` and places."""
    sums: list[Floats] = []
    for start in range(0, len(crops), _BATCH):
        part = crops[start : start + _BATCH]
        outputs = _as_list(probe.predict_on_batch(scaled(part)))
        means = [np.asarray(np.mean(out, axis=(1, 2)).sum(axis=0), np.float32) for out in outputs]
        sums = [a + b for a, b in zip(sums, means, strict=True)] if sums else means
    return [np.asarray(total / len(crops), np.float32) for total in sums]
