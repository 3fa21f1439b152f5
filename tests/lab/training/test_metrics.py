"""Metrics agree with scikit-learn, and intervals have the expected width."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import balanced_accuracy_score, precision_recall_fscore_support

from maskwatch.lab.training import metrics
from maskwatch.vision.manifest import LABELS

pairs = st.lists(st.tuples(st.integers(0, 2), st.integers(0, 2)), min_size=1, max_size=60)


@settings(deadline=None)  # scikit-learn takes its time on a busy machine
@given(pairs)
def test_the_report_agrees_with_scikit_learn(rows: list[tuple[int, int]]) -> None:
    """Precision, recall, F1 and support of each class."""
    truth, said = np.array(rows, np.int64).T
    found = metrics.class_figures(metrics.confusion(truth, said, 3), LABELS)
    expected = precision_recall_fscore_support(truth, said, labels=[0, 1, 2], zero_division=0)
    computed = np.array([[r.precision, r.recall, r.f1, r.support] for r in found])
    assert np.allclose(computed, np.array(expected).T)


@settings(deadline=None)  # scikit-learn takes its time on a busy machine
@given(pairs)
@pytest.mark.filterwarnings("ignore:y_pred contains classes not in y_true")
@pytest.mark.filterwarnings("ignore:A single label was found")
def test_balanced_accuracy_agrees_with_scikit_learn(rows: list[tuple[int, int]]) -> None:
    """It is the mean recall of the existing classes."""
    truth, said = np.array(rows, np.int64).T
    assert metrics.balanced_accuracy(truth, said) == pytest.approx(balanced_accuracy_score(truth, said))


def test_metrics_without_pictures_are_nan() -> None:
    """Never 0 and never 1."""
    none = np.zeros(0, np.int64)
    assert np.isnan(metrics.balanced_accuracy(none, none))
    assert np.isnan(metrics.calibration_error(none.astype(np.float32), none.astype(bool)))


def test_a_model_as_accurate_as_confident_is_calibrated() -> None:
    """A model with confidence 1 and accuracy 0.5 has an error of 0.5."""
    rng = np.random.default_rng(0)
    sure = rng.uniform(0.5, 1, 20_000).astype(np.float32)
    assert metrics.calibration_error(sure, rng.random(20_000) < sure) < 0.02
    half = np.arange(1000) % 2 == 0
    assert metrics.calibration_error(np.ones(1000, np.float32), half) == pytest.approx(0.5, abs=0.01)


@given(st.lists(st.floats(0.5, 1, width=32), min_size=1, max_size=80))
def test_reliability_bins_have_equal_mass_and_hold_every_face(sure: list[float]) -> None:
    """Every face is in one bin, and bins differ by one face at most."""
    bins = metrics.reliability(np.array(sure, np.float32), np.ones(len(sure), bool))
    counts = [b.count for b in bins]
    assert sum(counts) == len(sure)
    assert max(counts) - min(counts) <= 1


def test_the_interval_is_wider_when_images_hold_many_faces() -> None:
    """Ten faces of one photograph are not ten photographs."""
    right = np.repeat(np.random.default_rng(0).random(60) < 0.8, 10)

    def share(rows: np.ndarray) -> float:
        return float(right[rows].mean())

    alone = metrics.bootstrap(np.arange(600), share, rounds=300)
    grouped = metrics.bootstrap(np.repeat(np.arange(60), 10), share, rounds=300)
    assert alone.low <= alone.value <= alone.high
    assert grouped.value == alone.value
    assert grouped.high - grouped.low > 2 * (alone.high - alone.low)


def test_the_interval_is_reproducible_and_ignores_undefined_draws() -> None:
    """Same seed, same interval; a draw without the class does not count."""
    truth = np.array([0, 0, 0, 1], np.int64)

    def bare(rows: np.ndarray) -> float:
        picked = truth[rows] == 1
        return float("nan") if not picked.any() else 1.0

    one = metrics.bootstrap(np.arange(4), bare, rounds=50)
    assert (one.value, one.low, one.high) == (1.0, 1.0, 1.0)
    assert one == metrics.bootstrap(np.arange(4), bare, rounds=50)
    assert np.isnan(metrics.bootstrap(np.arange(4), bare, rounds=0).low)


@given(st.lists(st.floats(-500, 500, width=32), min_size=2, max_size=5))
def test_probabilities_sum_to_one_for_any_logits(row: list[float]) -> None:
    """No overflow, no nan."""
    found = metrics.softmax(np.array([row], np.float32))
    assert found.sum() == pytest.approx(1, abs=1e-5)
    assert (found >= 0).all()
