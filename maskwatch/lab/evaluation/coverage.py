"""How much of a face an anonymized picture shows, by geometry alone."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from maskwatch.domain import Box
from maskwatch.privacy.anonymize import body_box, face_area

UNCOVERED = 0.1
"""Minimum visible share of a face's box for the face to count as shown."""


def uncovered(face: Box, subject: Box, mosaics: Sequence[Box], size: tuple[int, int]) -> float:
    """Return the share of `face` inside the subject's body box that no mosaic hides.

    The picture is pixelated outside the body box.

    Args:
        face: the face to check, in pixels.
        subject: the face whose body is shown.
        mosaics: the faces that are replaced by a mosaic.
        size: width and height of the picture in pixels.
    """
    x1, y1, x2, y2 = (round(v) for v in (face.x1, face.y1, face.x2, face.y2))
    if x2 <= x1 or y2 <= y1:
        return 0.0
    shown = np.zeros((y2 - y1, x2 - x1), bool)
    for box, value in [
        (body_box(subject).clipped(*size), True),
        *((face_area(mosaic), False) for mosaic in mosaics),
    ]:
        rows = slice(max(0, round(box.y1) - y1), max(0, round(box.y2) - y1))
        columns = slice(max(0, round(box.x1) - x1), max(0, round(box.x2) - x1))
        shown[rows, columns] = value
    return float(shown.mean())
