"""Rounding for int8: depthwise weights keep their sums, and channel means are corrected.

A depthwise filter has nine weights, and its input is often nearly constant (a saturated ReLU6). The
rounding error of the *sum* of the weights is then the error of the output, and batch normalization
amplifies it. On MobileNetV2 at 96 px this was nearly the whole error of the int8 model. Therefore
weights are rounded to the converter's grid so that their sum is kept, and the remaining error of the
mean is removed in the following batch normalization ("bias correction", Nagel et al. 2019).
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final

import keras
import numpy as np
import numpy.typing as npt

from maskwatch.lab.training.network import scaled
from maskwatch.lab.training.stages import OnStage, unreported, with_progress

_LEVELS: Final = 127
_BATCH: Final = 64

Floats = npt.NDArray[np.float32]


def round_keeping_sum(kernel: Floats) -> Floats:
    """Return a depthwise kernel (rows, columns, channels, 1) rounded to its int8 grid, by channel.

    The largest weight of a channel defines the grid and is kept. The others are rounded up or down,
    so that their sum is as near to the exact one as the grid allows.
    """
    flat = kernel.reshape(-1, kernel.shape[2]).astype(np.float64)
    step = np.abs(flat).max(axis=0) / _LEVELS
    step[step == 0] = 1.0
    exact = flat / step
    grid = np.round(exact)
    for channel in range(flat.shape[1]):
        _match_sums(grid[:, channel], exact[:, channel])
    return np.asarray((grid * step).reshape(kernel.shape), np.float32)


def _match_sums(grid: npt.NDArray[np.float64], exact: npt.NDArray[np.float64]) -> None:
    """Change entries of `grid` by one, in order of the error this adds, until the sums agree."""
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


def _feeds(layer: Any, other: Any) -> bool:
    return any(layer.output is tensor for tensor in _as_list(other.input))


def _as_list(tensors: Any) -> list[Any]:
    return list(tensors) if isinstance(tensors, list | tuple) else [tensors]


@contextmanager
def rounded_depthwise(
    model: Any, crops: npt.NDArray[np.uint8], on_stage: OnStage = unreported
) -> Iterator[None]:
    """Give `model` rounded depthwise weights within the context.

    Means are corrected on `crops` (n, size, size, 3); on exit the weights are restored.
    """
    original = model.get_weights()
    pairs = _pairs(model)
    try:
        if pairs:
            _round_all(model, pairs, crops, on_stage)
        yield
    finally:
        model.set_weights(original)


def _round_all(
    model: Any, pairs: list[tuple[Any, Any]], crops: npt.NDArray[np.uint8], on_stage: OnStage
) -> None:
    base = next((layer for layer in model.layers if hasattr(layer, "layers")), model)
    probe = keras.Model(base.input, [convolution.output for convolution, _ in pairs])
    exact = _means(probe, crops)
    for convolution, _ in pairs:
        (kernel,) = convolution.get_weights()
        convolution.set_weights([round_keeping_sum(kernel)])
    for number, (_, normalization) in with_progress(
        list(enumerate(pairs)), "correcting the means of rounded layers", on_stage
    ):
        # Corrections change later means, so each layer is measured after those before it.
        error = _means(probe, crops)[number] - exact[number]
        gamma, beta, mean, variance = normalization.get_weights()
        normalization.set_weights([gamma, beta, mean + error, variance])


def _means(probe: Any, crops: npt.NDArray[np.uint8]) -> list[Floats]:
    """Return the mean of every output channel of `probe` over crops and positions."""
    sums: list[Floats] = []
    for start in range(0, len(crops), _BATCH):
        part = crops[start : start + _BATCH]
        outputs = _as_list(probe.predict_on_batch(scaled(part)))
        means = [np.asarray(np.mean(out, axis=(1, 2)).sum(axis=0), np.float32) for out in outputs]
        sums = [a + b for a, b in zip(sums, means, strict=True)] if sums else means
    return [np.asarray(total / len(crops), np.float32) for total in sums]
