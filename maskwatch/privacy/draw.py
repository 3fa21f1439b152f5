"""Draws boxes, labels and zones on an anonymized picture."""

from __future__ import annotations

from typing import TYPE_CHECKING

import cv2
import numpy as np

from maskwatch.domain import Box, Polygon, Verdict

if TYPE_CHECKING:
    from maskwatch.domain.frame import Image

Colour = tuple[int, int, int]

# BGR; the palette of Okabe and Ito, which colour-blind people can distinguish.
COLOURS: dict[Verdict, Colour] = {
    Verdict.MASK: (115, 158, 0),
    Verdict.NO_MASK: (0, 94, 213),
    Verdict.INCORRECT: (0, 159, 230),
    Verdict.UNKNOWN: (160, 160, 160),
}
_FONT = cv2.FONT_HERSHEY_SIMPLEX


def draw_box(image: Image, box: Box, label: str, colour: Colour) -> None:
    """Draw a face's box (pixels of `image`) with its label above or below it."""
    height, width = image.shape[:2]
    thickness = max(1, round(max(height, width) / 640))
    size = 0.4 * thickness + 0.1
    corner, opposite = (round(box.x1), round(box.y1)), (round(box.x2), round(box.y2))
    cv2.rectangle(image, corner, opposite, colour, thickness)
    (text_width, text_height), baseline = cv2.getTextSize(label, _FONT, size, thickness)
    label_height = text_height + baseline + 4
    above = corner[1] >= label_height
    top = corner[1] - label_height if above else min(opposite[1], height - label_height)
    left = max(0, min(corner[0], width - text_width - 4))
    cv2.rectangle(image, (left, top), (left + text_width + 4, top + label_height), colour, -1)
    origin = (left + 2, top + text_height + 2)
    cv2.putText(image, label, origin, _FONT, size, (255, 255, 255), thickness, cv2.LINE_AA)


def draw_outline(image: Image, outline: Polygon, label: str, colour: Colour) -> None:
    """Draw a zone (relative corners) with its name at its first corner."""
    height, width = image.shape[:2]
    corners = np.round([(p.x * width, p.y * height) for p in outline.points]).astype(np.int32)
    cv2.polylines(image, [corners], isClosed=True, color=colour, thickness=1, lineType=cv2.LINE_AA)
    x, y = (int(value) for value in corners[0])
    origin = (min(max(x, 0), width - 60) + 3, min(max(y, 12) + 14, height - 3))
    cv2.putText(image, label, origin, _FONT, 0.45, colour, 1, cv2.LINE_AA)
