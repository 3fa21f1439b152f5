"""What turns the quantized model's logits into probabilities: a temperature, and a threshold."""

from __future__ import annotations

from typing import Final

import numpy as np

from maskwatch.lab.training.metrics import Floats, Ints, softmax

__all__ = ["binary_confidence", "fit_temperature", "incorrect_threshold"]

_LOW: Final = 0.2
_HIGH: Final = 8.0
_MASKS_CALLED_INCORRECT: Final = 0.02  # the promise; a source never trained on made it 0.016 of it
_LEAST: Final = 0.075  # that source kept the promise from here on; docs/model-card.md


def _loss(logits: Floats, labels: Ints, temperature: float) -> float:
    """Return the mean cross-entropy at `temperature`, every class weighing the same."""
    probability = softmax(logits / np.float32(temperature))[np.arange(len(labels)), labels]
    cost = -np.log(np.maximum(probability, 1e-12))
    return float(np.mean([cost[labels == label].mean() for label in np.unique(labels)]))


def fit_temperature(logits: Floats, labels: Ints) -> float:
    """Return the temperature (0.2 to 8) of least cross-entropy, by golden section of its logarithm.

    The classes weigh the same, as in training. Raw logits (n, classes); labels (n,).
    """
    low, high = np.log(_LOW), np.log(_HIGH)
    golden = (5**0.5 - 1) / 2
    while high - low > 1e-3:
        left, right = high - golden * (high - low), low + golden * (high - low)
        if _loss(logits, labels, float(np.exp(left))) < _loss(logits, labels, float(np.exp(right))):
            high = right
        else:
            low = left
    return round(float(np.exp((low + high) / 2)), 4)


def incorrect_threshold(logits: Floats, labels: Ints, share: float = _MASKS_CALLED_INCORRECT) -> float:
    """Return the probability of "worn incorrectly" that only `share` of the worn masks exceed.

    Calibrated logits (n, 3). Few pictures show a mask worn badly, so what a model says of them is
    faint: the threshold is set by what it costs in false ones, not by being the likeliest label.
    """
    masked = softmax(logits)[labels == 0, 2]
    if len(masked) == 0:
        return 0.5
    return round(max(_LEAST, float(np.quantile(masked, 1 - share))), 4)


def binary_confidence(logits: Floats) -> Floats:
    """Return the probability (n,) of the likelier of mask and no mask, leaving "incorrect" aside."""
    return np.asarray(softmax(logits[:, :2]).max(axis=1), np.float32)
