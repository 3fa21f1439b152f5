"""Classification metrics and their bootstrap intervals, in numpy."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

BINS: Final = 15
Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class ClassFigures:
    """One row of a classification report; ratios without a denominator are 0."""

    label: str
    precision: float
    recall: float
    f1: float
    support: int


@dataclass(frozen=True, slots=True)
class Interval:
    """A figure and its 95 % bootstrap interval."""

    value: float
    low: float
    high: float

    def __str__(self) -> str:
        return f"{self.value:.4f} [{self.low:.4f}, {self.high:.4f}]"


@dataclass(frozen=True, slots=True)
class Bin:
    """One bin of a reliability diagram: mean confidence, accuracy and number of faces."""

    confidence: float
    accuracy: float
    count: int


def softmax(logits: Floats) -> Floats:
    """Return probabilities along the last axis, without overflow."""
    powers = np.exp(logits - logits.max(axis=-1, keepdims=True))
    return np.asarray(powers / powers.sum(axis=-1, keepdims=True), np.float32)


def confusion(truth: Ints, predicted: Ints, classes: int) -> Ints:
    """Return counts (classes, classes): a row per true class, a column per predicted one."""
    flat = np.bincount(truth * classes + predicted, minlength=classes * classes)
    return np.asarray(flat.reshape(classes, classes), np.int64)


def class_figures(matrix: Ints, labels: tuple[str, ...]) -> list[ClassFigures]:
    """Return precision, recall, F1 and support of each class of a confusion matrix."""
    rows = []
    for i, label in enumerate(labels):
        correct, predicted, support = int(matrix[i, i]), int(matrix[:, i].sum()), int(matrix[i].sum())
        precision, recall = _ratio(correct, predicted), _ratio(correct, support)
        f1 = 2 * precision * recall / (precision + recall) if correct else 0.0
        rows.append(ClassFigures(label, precision, recall, f1, support))
    return rows


def _ratio(part: float, whole: float) -> float:
    return part / whole if whole else 0.0


def balanced_accuracy(truth: Ints, predicted: Ints) -> float:
    """Return the mean recall of the classes that occur in `truth` (nan without pictures)."""
    if len(truth) == 0:
        return float("nan")
    return float(np.mean([(predicted[truth == c] == c).mean() for c in np.unique(truth)]))


def _equal_mass(confidence: Floats, bins: int) -> list[Ints]:
    order = np.argsort(confidence, kind="stable")
    return [part for part in np.array_split(order, bins) if len(part)]


def reliability(confidence: Floats, correct: npt.NDArray[np.bool_], bins: int = BINS) -> list[Bin]:
    """Return the equal-mass bins of a reliability diagram."""
    return [
        Bin(float(confidence[part].mean()), float(correct[part].mean()), len(part))
        for part in _equal_mass(confidence, bins)
    ]


def calibration_error(confidence: Floats, correct: npt.NDArray[np.bool_], bins: int = BINS) -> float:
    """Return the expected calibration error over equal-mass bins (nan without pictures)."""
    if len(confidence) == 0:
        return float("nan")
    rows = reliability(confidence, correct, bins)
    return sum(row.count * abs(row.confidence - row.accuracy) for row in rows) / len(confidence)


def bootstrap(
    groups: Ints, figure: Callable[[Ints], float], *, rounds: int = 1000, seed: int = 0
) -> Interval:
    """Return `figure` of all rows and its interval, by resampling whole groups (images).

    `figure` gets row indices; resamples for which it is undefined (nan) do not count.
    """
    names, inverse = np.unique(groups, return_inverse=True)
    members = np.split(np.argsort(inverse, kind="stable"), np.cumsum(np.bincount(inverse))[:-1])
    value = figure(np.arange(len(groups)))
    rng = np.random.default_rng(seed)
    resampled = [
        figure(np.concatenate([members[i] for i in rng.integers(len(names), size=len(names))]))
        for _ in range(rounds if len(names) else 0)
    ]
    defined = [x for x in resampled if not np.isnan(x)]
    if not defined:
        return Interval(value, float("nan"), float("nan"))
    low, high = np.percentile(defined, (2.5, 97.5))
    return Interval(value, float(low), float(high))
