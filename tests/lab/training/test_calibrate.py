"""Temperature and threshold."""

from __future__ import annotations

import numpy as np
import pytest

from maskwatch.lab.training.calibrate import binary_confidence, fit_temperature, incorrect_threshold
from maskwatch.lab.training.metrics import calibration_error, softmax


def answers(sharpness: float, count: int = 6000) -> tuple[np.ndarray, np.ndarray]:
    """Logits that are `sharpness` times too sure, and labels drawn from the true probabilities."""
    rng = np.random.default_rng(0)
    true = rng.normal(0, 2, (count, 3)).astype(np.float32)
    chance = softmax(true)
    labels = np.array([rng.choice(3, p=row / row.sum()) for row in chance.astype(float)])
    return true * np.float32(sharpness), labels


@pytest.mark.parametrize("sharpness", [0.5, 1.0, 3.0])
def test_the_temperature_takes_back_what_is_too_sure(sharpness: float) -> None:
    """Within a few per cent, and the error falls."""
    logits, labels = answers(sharpness)
    found = fit_temperature(logits, labels)
    assert found == pytest.approx(sharpness, rel=0.08)
    soft = softmax(logits / np.float32(found))
    error = calibration_error(soft.max(axis=1), soft.argmax(axis=1) == labels)
    assert error < 0.03


def test_the_threshold_holds_its_promise_on_the_data_it_saw() -> None:
    """No more than the share of worn masks is called incorrect."""
    logits, labels = answers(1.0)
    threshold = incorrect_threshold(logits, labels, share=0.02)
    called = softmax(logits)[labels == 0, 2] > threshold
    assert called.mean() <= 0.021


def test_the_threshold_is_not_fooled_by_a_model_that_never_doubts_a_mask() -> None:
    """It has a floor, since masks of the world are doubted more; without any to fit on it is a half."""
    logits = np.tile(np.array([[9, 0, 0]], np.float32), (50, 1))
    assert incorrect_threshold(logits, np.zeros(50, np.int64)) == 0.075
    assert incorrect_threshold(logits, np.ones(50, np.int64)) == 0.5


def test_binary_confidence_leaves_the_third_class_aside() -> None:
    """Whatever its logit."""
    found = binary_confidence(np.array([[1, 1, 50], [3, 0, -5]], np.float32))
    assert found == pytest.approx([0.5, 1 / (1 + np.exp(-3))])
