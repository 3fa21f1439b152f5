"""Run a model over labelled faces, and boil the answers down to figures.

Two questions are kept apart. *Binary*: is a mask worn or not, of faces that are one or the other,
by the larger of those two logits. *Three classes*: is a mask worn incorrectly, by the manifest's
threshold. Heights are of the face in its photograph; a picture that is a crop counts as one.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import msgspec
import numpy as np
import numpy.typing as npt

from maskwatch.lab.training.calibrate import binary_confidence
from maskwatch.lab.training.dataset import Photo
from maskwatch.lab.training.metrics import (
    Floats,
    Ints,
    balanced_accuracy,
    bootstrap,
    calibration_error,
    class_figures,
    confusion,
    reliability,
    softmax,
)
from maskwatch.vision.manifest import LABELS
from maskwatch.vision.preprocess import Preprocess

if TYPE_CHECKING:
    from maskwatch.vision.masks import MaskClassifier

__all__ = [
    "BANDS",
    "Answers",
    "BinRow",
    "ClassRow",
    "Figures",
    "answers",
    "crops_of",
    "figures",
    "incorrect_figures",
]

BANDS: Final = (
    ("all", 0.0, np.inf), ("<16 px", 0.0, 16.0), ("16-24 px", 16.0, 24.0), ("16-32 px", 16.0, 32.0),
    ("24 px and more", 24.0, np.inf), ("32-64 px", 32.0, 64.0), (">64 px", 64.0, np.inf),
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Answers:
    """Calibrated logits (n, k) of n faces, and what is known of each."""

    logits: Floats
    labels: Ints
    heights: npt.NDArray[np.float64]
    groups: Ints
    threshold: float

    def __getitem__(self, chosen: npt.NDArray[np.bool_]) -> Answers:
        return Answers(
            self.logits[chosen],
            self.labels[chosen],
            self.heights[chosen],
            self.groups[chosen],
            self.threshold,
        )

    def __len__(self) -> int:
        return len(self.labels)

    @property
    def binary(self) -> Ints:
        """0 where a mask is likelier than none, 1 where it is not."""
        return np.asarray(self.logits[:, :2].argmax(axis=1), np.int64)


class ClassRow(msgspec.Struct, frozen=True):
    """One class of a classification report."""

    label: str
    precision: float
    recall: float
    f1: float
    support: int


class BinRow(msgspec.Struct, frozen=True):
    """One equal-mass bin of the reliability diagram."""

    confidence: float
    accuracy: float
    count: int


class Figures(msgspec.Struct, frozen=True):
    """The figures of one set of faces; each triple is a value and its 95 % interval.

    `incorrect` is (recall of worn incorrectly, share of masks called incorrect, how many of the
    class there are), or None for a model of two classes or a set without the class.
    """

    name: str
    faces: int
    images: int
    accuracy: tuple[float, float, float]
    balanced: tuple[float, float, float]
    classes: tuple[ClassRow, ...]
    confusion: tuple[tuple[int, ...], ...]
    calibration: float
    bins: tuple[BinRow, ...]
    incorrect: tuple[float, float, int] | None


def crops_of(photos: Sequence[Photo], preprocess: Preprocess) -> list[npt.NDArray[np.uint8]]:
    """Return each photo's input crop (uint8 RGB): by its box, or the whole picture."""
    return [
        preprocess.whole(p.image) if p.box is None else preprocess.face(p.image, p.box) for p in photos
    ]


def answers(model: MaskClassifier, photos: Sequence[Photo]) -> Answers:
    """Return what `model` says of `photos`; photos of one group count as one image."""
    names = {group: i for i, group in enumerate(dict.fromkeys(p.group for p in photos))}
    return Answers(
        logits=model.logits(crops_of(photos, model.manifest.preprocess)),
        labels=np.array([p.label for p in photos], np.int64),
        heights=np.array([p.height for p in photos], np.float64),
        groups=np.array([names[p.group] for p in photos], np.int64),
        threshold=model.manifest.thresholds.get(LABELS[2], 0.5),
    )


def figures(name: str, given: Answers, rounds: int = 1000) -> Figures:
    """Return the figures of `given`; the intervals come from `rounds` draws of whole images."""
    two = given[given.labels < 2]
    truth, said = two.labels, two.binary
    right = truth == said
    confidence = binary_confidence(two.logits)
    matrix = confusion(truth, said, 2)
    accuracy = bootstrap(
        two.groups, lambda i: float(right[i].mean()) if len(i) else np.nan, rounds=rounds
    )
    balanced = bootstrap(two.groups, lambda i: balanced_accuracy(truth[i], said[i]), rounds=rounds)
    return Figures(
        name=name,
        faces=len(two),
        images=len(np.unique(two.groups)),
        accuracy=(accuracy.value, accuracy.low, accuracy.high),
        balanced=(balanced.value, balanced.low, balanced.high),
        classes=tuple(
            ClassRow(c.label, c.precision, c.recall, c.f1, c.support)
            for c in class_figures(matrix, LABELS[:2])
        ),
        confusion=tuple(tuple(int(n) for n in row) for row in matrix),
        calibration=calibration_error(confidence, right),
        bins=tuple(BinRow(b.confidence, b.accuracy, b.count) for b in reliability(confidence, right))
        if len(two)
        else (),
        incorrect=incorrect_figures(given),
    )


def incorrect_figures(given: Answers) -> tuple[float, float, int] | None:
    """Return recall of "worn incorrectly", the share of worn masks called so, and the class's number."""
    bad, good = given.labels == 2, given.labels == 0
    if given.logits.shape[1] < 3 or not bad.any():
        return None
    called = softmax(given.logits)[:, 2] >= given.threshold
    false = float(called[good].mean()) if good.any() else 0.0
    return float(called[bad].mean()), false, int(bad.sum())
