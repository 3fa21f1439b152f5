"""A face detector that is asked once for each picture, however often a clip is replayed."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

from maskwatch.domain import Detection
from maskwatch.worker.interfaces import FaceFinder

if TYPE_CHECKING:
    from maskwatch.domain.frame import Image

__all__ = ["RememberedFaces"]


class RememberedFaces:
    """Answers as `detector` does; the same picture again is answered from memory."""

    def __init__(self, detector: FaceFinder) -> None:
        self._detector = detector
        self._known: dict[tuple[tuple[int, ...], bytes], tuple[Detection, ...]] = {}

    def detect(self, image: Image) -> list[Detection]:
        """Return the faces in uint8 BGR (height, width, 3), in pixels of it."""
        key = (image.shape, hashlib.blake2b(image.tobytes(), digest_size=16).digest())
        if key not in self._known:
            self._known[key] = tuple(self._detector.detect(image))
        return list(self._known[key])
