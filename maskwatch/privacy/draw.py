"""Boxes, labels and zones on a picture that was anonymized before."""

from __future__ import annotations

from typing import TYPE_CHECKING

import cv2
import numpy as np

from maskwatch.domain import Box, Polygon, Verdict

if TYPE_CHECKING:
    from maskwatch.domain.frame import Image

__all__ = ["COLOURS", "draw_box", "draw_outline"]

Colour = tuple[int, int, int]

# BGR; told apart also by those who see no red or green (Okabe and Ito's palette).
COLOURS: dict[Verdict, Colour] = {
    Verdict.MASK: (115, 158, 0),
    Verdict.NO_MASK: (0, 94, 213),
    Verdict.INCORRECT: (0, 159, 230),
    Verdict.UNKNOWN: (160, 160, 160),
}
_FONT = cv2.FONT_HERSHEY_SIMPLEX


def draw_box(image: Image, box: Box, label: str, colour: Colour) -> None:
    """Draw a face's box (pixels of `image`) with its label on a plate above or below it."""
    height, width = image.shape[:2]
    thickness = max(1, round(max(height, width) / 640))
    size = 0.4 * thickness + 0.1
    corner, opposite = (round(box.x1), round(box.y1)), (round(box.x2), round(box.y2))
    cv2.rectangle(image, corner, opposite, colour, thickness)
    (wide, tall), below = cv2.getTextSize(label, _FONT, size, thickness)
    plate = tall + below + 4
    top = corner[1] - plate if corner[1] >= plate else min(opposite[1], height - plate)
    left = max(0, min(corner[0], width - wide - 4))
    cv2.rectangle(image, (left, top), (left + wide + 4, top + plate), colour, -1)
    place = (left + 2, top + tall + 2)
    cv2.putText(image, label, place, _FONT, size, (255, 255, 255), thickness, cv2.LINE_AA)


def draw_outline(image: Image, outline: Polygon, label: str, colour: Colour) -> None:
    """Draw a zone (relative corners) with its name at its first corner."""
    height, width = image.shape[:2]
    corners = np.round([(p.x * width, p.y * height) for p in outline.points]).astype(np.int32)
    cv2.polylines(image, [corners], isClosed=True, color=colour, thickness=1, lineType=cv2.LINE_AA)
    x, y = (int(value) for value in corners[0])
    place = (min(max(x, 0), width - 60) + 3, min(max(y, 12) + 14, height - 3))
    cv2.putText(image, label, place, _FONT, 0.45, colour, 1, cv2.LINE_AA)
