"""Calibration of the quantized model's logits: a temperature, and a threshold."""

from __future__ import annotations

from typing import Final

import numpy as np

from maskwatch.lab.training.metrics import Floats, Ints, softmax

_MIN_TEMPERATURE: Final = 0.2
_MAX_TEMPERATURE: Final = 8.0
_MAX_FALSE_INCORRECT: Final = 0.02  # of the worn masks; a held-out source measured 0.016
_MIN_THRESHOLD: Final = 0.075  # from here on the held-out source kept that share; docs/model-card.md


def _loss(logits: Floats, labels: Ints, temperature: float) -> float:
    """Return the mean cross-entropy at `temperature`, with equal weight for every class."""
    probability = softmax(logits / np.float32(temperature))[np.arange(len(labels)), labels]
    cost = -np.log(np.maximum(probability, 1e-12))
    return float(np.mean([cost[labels == label].mean() for label in np.unique(labels)]))


def fit_temperature(logits: Floats, labels: Ints) -> float:
    """Return the temperature (0.2 to 8) of minimum cross-entropy, by golden section of its logarithm.

    Classes have equal weight, as in training. Raw logits (n, classes); labels (n,).
    """
    low, high = np.log(_MIN_TEMPERATURE), np.log(_MAX_TEMPERATURE)
    golden = (5**0.5 - 1) / 2
    while high - low > 1e-3:
        left, right = high - golden * (high - low), low + golden * (high - low)
        if _loss(logits, labels, float(np.exp(left))) < _loss(logits, labels, float(np.exp(right))):
            high = right
        else:
            low = left
    return round(float(np.exp((low + high) / 2)), 4)


def incorrect_threshold(logits: Floats, labels: Ints, share: float = _MAX_FALSE_INCORRECT) -> float:
    """Return the probability of "worn incorrectly" that only `share` of the worn masks exceed.

    Calibrated logits (n, 3). The class has few pictures, so its probabilities are low: the threshold
    limits the false positives, and the class need not be the likeliest.
    """
    masked = softmax(logits)[labels == 0, 2]
    if len(masked) == 0:
        return 0.5
    return round(max(_MIN_THRESHOLD, float(np.quantile(masked, 1 - share))), 4)


def binary_confidence(logits: Floats) -> Floats:
    """Return the probability (n,) of the likelier of mask and no mask, without "incorrect"."""
    return np.asarray(softmax(logits[:, :2]).max(axis=1), np.float32)
