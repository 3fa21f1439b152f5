"""What the pipeline asks of a face detector and of a mask classifier."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Protocol

from maskwatch.domain import Detection, MaskLogits, Reading

if TYPE_CHECKING:
    from maskwatch.domain.frame import Image

__all__ = ["FaceFinder", "MaskReader"]


class FaceFinder(Protocol):
    """Finds faces; `FaceDetector` with a score of `ANONYMIZE_SCORE` in the product."""

    def detect(self, image: Image) -> list[Detection]:
        """Return the faces in uint8 BGR (height, width, 3), in pixels of it."""
        ...


class MaskReader(Protocol):
    """Reads masks; `MaskClassifier` in the product."""

    @property
    def id(self) -> str:
        """The model's name, for violations."""
        ...

    @property
    def prior(self) -> MaskLogits:
        """Logarithms of the training shares."""
        ...

    def classify(self, image: Image, detections: Sequence[Detection], /) -> list[Reading]:
        """Return one reading for each detection (pixels of `image`, uint8 BGR)."""
        ...
