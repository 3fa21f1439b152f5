"""Classifies faces: calibrated logits of mask, no mask and mask worn incorrectly."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from maskwatch.domain import Detection, MaskLogits, Reading
from maskwatch.vision.manifest import default_manifest, load_interpreter, read_manifest

if TYPE_CHECKING:
    from maskwatch.domain.frame import Image, Pixels


class MaskClassifier:
    """One loaded mask model; not safe to share between threads."""

    def __init__(self, manifest: Path | None = None, threads: int = 1) -> None:
        """Load the model of `manifest`, or the shipped default.

        Raises ManifestError or ModelError (the model does not match, or cannot be loaded) and
        DependencyError (no TFLite runtime).
        """
        self.path = default_manifest() if manifest is None else manifest
        self.manifest = read_manifest(self.path)
        self._interpreter = load_interpreter(self.path, self.manifest, threads)
        self._preprocess = self.manifest.preprocess
        offsets = [self.manifest.offsets.get(label, 0.0) for label in self.manifest.labels]
        self._offsets = np.array(offsets, np.float32)

    @property
    def id(self) -> str:
        """The model's name, stored with every violation."""
        return self.manifest.id

    @property
    def prior(self) -> MaskLogits:
        """Logarithms of the labels' shares in the training data; the evidence subtracts them."""
        return _named(np.log([self.manifest.prior[label] for label in self.manifest.labels]))

    def classify(self, picture: Pixels, detections: Sequence[Detection]) -> list[Reading]:
        """Return one reading per detection, in their order.

        Boxes are in pixels of the picture. Use the one with the most pixels: a face of 24 px is read
        well, one of 12 px is not.
        """
        crops = [self._preprocess.face(picture, detection.box) for detection in detections]
        return [Reading(_named(row)) for row in self.logits(crops)]

    def logits(self, crops: Sequence[Image]) -> npt.NDArray[np.float32]:
        """Return calibrated logits (n, labels) in the manifest's order.

        `crops` are uint8 RGB (size, size, 3), made by `manifest.preprocess`.
        """
        size = self.manifest.input.size
        batch = np.stack(crops) if crops else np.zeros((0, size, size, 3), np.uint8)
        return self.calibrated(self._interpreter.run(batch))

    def calibrated(self, raw: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        """Return raw logits (n, labels) divided by the temperature, with the offsets added."""
        return raw / np.float32(self.manifest.temperature) + self._offsets


def _named(row: npt.NDArray[np.floating]) -> MaskLogits:
    """Return the row of logits, in the order of `LABELS`, by name."""
    incorrect = float(row[2]) if len(row) > 2 else None
    return MaskLogits(mask=float(row[0]), no_mask=float(row[1]), incorrect=incorrect)
