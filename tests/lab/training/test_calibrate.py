"""Temperature and threshold."""

from __future__ import annotations

import numpy as np
import pytest

from maskwatch.lab.training.calibrate import binary_confidence, fit_temperature, incorrect_threshold
from maskwatch.lab.training.metrics import calibration_error, softmax


def answers(sharpness: float, count: int = 6000) -> tuple[np.ndarray, np.ndarray]:
    """Return logits `sharpness` times too large, and labels sampled from the true probabilities."""
    rng = np.random.default_rng(0)
    true = rng.normal(0, 2, (count, 3)).astype(np.float32)
    chance = softmax(true)
    labels = np.array([rng.choice(3, p=row / row.sum()) for row in chance.astype(float)])
    return true * np.float32(sharpness), labels


@pytest.mark.parametrize("sharpness", [0.5, 1.0, 3.0])
def test_the_temperature_corrects_overconfidence(sharpness: float) -> None:
    logits, labels = answers(sharpness)
    found = fit_temperature(logits, labels)
    assert found == pytest.approx(sharpness, rel=0.08)
    soft = softmax(logits / np.float32(found))
    error = calibration_error(soft.max(axis=1), soft.argmax(axis=1) == labels)
    assert error < 0.03


def test_the_threshold_limits_false_positives_on_its_data() -> None:
    """At most the share of correctly worn masks is judged incorrect."""
    logits, labels = answers(1.0)
    threshold = incorrect_threshold(logits, labels, share=0.02)
    called = softmax(logits)[labels == 0, 2] > threshold
    assert called.mean() <= 0.021


def test_the_threshold_has_a_minimum_for_an_overconfident_model() -> None:
    """Without masks to fit on it is 0.5."""
    logits = np.tile(np.array([[9, 0, 0]], np.float32), (50, 1))
    assert incorrect_threshold(logits, np.zeros(50, np.int64)) == 0.075
    assert incorrect_threshold(logits, np.ones(50, np.int64)) == 0.5


def test_binary_confidence_ignores_the_third_class() -> None:
    found = binary_confidence(np.array([[1, 1, 50], [3, 0, -5]], np.float32))
    assert found == pytest.approx([0.5, 1 / (1 + np.exp(-3))])
