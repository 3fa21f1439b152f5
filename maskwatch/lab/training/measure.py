"""Runs a model over labelled faces and computes its figures.

Two tasks are measured separately. *Binary*: mask or no mask, by the larger of these two logits, of
faces labelled as one of them. *Incorrect*: whether a mask is worn incorrectly, by the manifest's
threshold. Heights are those of the face in its photograph; for a crop, of the picture.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import msgspec
import numpy as np
import numpy.typing as npt

from maskwatch.domain.frame import ImagePixels
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

BANDS: Final = (
    ("all", 0.0, np.inf), ("<16 px", 0.0, 16.0), ("16-24 px", 16.0, 24.0), ("16-32 px", 16.0, 32.0),
    ("24 px and more", 24.0, np.inf), ("32-64 px", 32.0, 64.0), (">64 px", 64.0, np.inf),
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class ModelOutputs:
    """Calibrated logits (n, k) of n faces, and each face's label, height and group."""

    logits: Floats
    labels: Ints
    heights: npt.NDArray[np.float64]
    groups: Ints
    threshold: float

    def __getitem__(self, mask: npt.NDArray[np.bool_]) -> ModelOutputs:
        return ModelOutputs(
            self.logits[mask],
            self.labels[mask],
            self.heights[mask],
            self.groups[mask],
            self.threshold,
        )

    def __len__(self) -> int:
        return len(self.labels)

    @property
    def binary(self) -> Ints:
        """0 where a mask is likelier than no mask, otherwise 1."""
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

    `incorrect` is (recall of worn incorrectly, share of worn masks judged so, size of the class), or
    None for a model of two classes or a set without the class.
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
    return [_crop(photo, preprocess) for photo in photos]


def _crop(photo: Photo, preprocess: Preprocess) -> npt.NDArray[np.uint8]:
    if photo.box is None:
        return preprocess.whole(photo.image)
    return preprocess.face(ImagePixels(photo.image), photo.box)


def classified(model: MaskClassifier, photos: Sequence[Photo]) -> ModelOutputs:
    """Return the outputs of `model` for `photos`; photos of one group count as one image."""
    numbers = {group: i for i, group in enumerate(dict.fromkeys(p.group for p in photos))}
    return ModelOutputs(
        logits=model.logits(crops_of(photos, model.manifest.preprocess)),
        labels=np.array([p.label for p in photos], np.int64),
        heights=np.array([p.height for p in photos], np.float64),
        groups=np.array([numbers[p.group] for p in photos], np.int64),
        threshold=model.manifest.thresholds.get(LABELS[2], 0.5),
    )


def figures(name: str, outputs: ModelOutputs, rounds: int = 1000) -> Figures:
    """Return the figures of `outputs`; the intervals come from `rounds` resamples of whole images."""
    binary = outputs[outputs.labels < 2]
    truth, predicted = binary.labels, binary.binary
    correct = truth == predicted
    confidence = binary_confidence(binary.logits)
    matrix = confusion(truth, predicted, 2)
    accuracy = bootstrap(
        binary.groups, lambda i: float(correct[i].mean()) if len(i) else np.nan, rounds=rounds
    )
    balanced = bootstrap(
        binary.groups, lambda i: balanced_accuracy(truth[i], predicted[i]), rounds=rounds
    )
    return Figures(
        name=name,
        faces=len(binary),
        images=len(np.unique(binary.groups)),
        accuracy=(accuracy.value, accuracy.low, accuracy.high),
        balanced=(balanced.value, balanced.low, balanced.high),
        classes=tuple(
            ClassRow(c.label, c.precision, c.recall, c.f1, c.support)
            for c in class_figures(matrix, LABELS[:2])
        ),
        confusion=tuple(tuple(int(n) for n in row) for row in matrix),
        calibration=calibration_error(confidence, correct),
        bins=tuple(BinRow(b.confidence, b.accuracy, b.count) for b in reliability(confidence, correct))
        if len(binary)
        else (),
        incorrect=incorrect_figures(outputs),
    )


def incorrect_figures(outputs: ModelOutputs) -> tuple[float, float, int] | None:
    """Return recall of "worn incorrectly", share of worn masks judged so, and size of the class."""
    incorrect, masked = outputs.labels == 2, outputs.labels == 0
    if outputs.logits.shape[1] < 3 or not incorrect.any():
        return None
    predicted = softmax(outputs.logits)[:, 2] >= outputs.threshold
    false = float(predicted[masked].mean()) if masked.any() else 0.0
    return float(predicted[incorrect].mean()), false, int(incorrect.sum())
