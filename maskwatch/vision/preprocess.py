"""From a frame and a face box to the network's input, for training and serving alike.

A face box becomes a square around its middle whose side is the box's longer side, grown by
`margin` on every side; what lies outside the picture repeats its edge; the square is resized to
`size` (area average when it shrinks, bilinear when it grows) and turned to RGB. A picture that is
already a crop, with no box, is resized whole. The numbers stay uint8: the model's own input
quantization (scale 1/127.5, zero point 127) does what `x / 127.5 - 1` does in floating point.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import cv2
import numpy as np

from maskwatch.domain import Box

if TYPE_CHECKING:
    from maskwatch.domain.frame import Image, Pixels


def square(box: Box, margin: float) -> Box:
    """Return the square around the middle of `box`: longer side times ``1 + 2 * margin``."""
    half = max(box.width, box.height) * (0.5 + margin)
    middle = box.centre
    return Box(middle.x - half, middle.y - half, middle.x + half, middle.y + half)


def resize(image: Image, size: int) -> Image:
    """Return uint8 (size, size, 3): area average when `image` shrinks, bilinear when it grows."""
    shrinks = max(image.shape[:2]) > size
    interpolation = cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR
    return np.asarray(cv2.resize(image, (size, size), interpolation=interpolation), np.uint8)


@dataclass(frozen=True, slots=True)
class Preprocess:
    """The preprocessing of one model: `size` in pixels, `margin` as a share of the box."""

    size: int
    margin: float

    def face(self, picture: Pixels, box: Box) -> Image:
        """Return the network's input for the face at `box`.

        `box` is in pixels of the picture and may reach outside. The result is uint8 RGB (size, size, 3).
        """
        return self._rgb(resize(cut_out(picture, square(box, self.margin)), self.size))

    def whole(self, crop: Image) -> Image:
        """Return the network's input for a picture that is a face crop already (uint8 BGR)."""
        return self._rgb(resize(crop, self.size))

    @staticmethod
    def _rgb(image: Image) -> Image:
        return np.asarray(cv2.cvtColor(image, cv2.COLOR_BGR2RGB), np.uint8)


def cut_out(picture: Pixels, box: Box) -> Image:
    """Return the pixels that `box` touches, as `cut` does, converting only these."""
    width, height = picture.size
    left, top = max(0, math.floor(box.x1)), max(0, math.floor(box.y1))
    right = min(width, max(math.ceil(box.x2), left + 2))
    bottom = min(height, max(math.ceil(box.y2), top + 2))
    if left >= right or top >= bottom:  # beyond the picture, whose edge is repeated
        return cut(picture.whole(), box)
    return cut(picture.part((left, top, right, bottom)), box.moved(-left, -top))


def cut(image: Image, box: Box) -> Image:
    """Return the pixels that `box` touches; beyond the picture its edge is repeated.

    The result has at least one pixel, however small or far away the box is.
    """
    height, width = image.shape[:2]
    x1, y1 = math.floor(box.x1 + 0.5), math.floor(box.y1 + 0.5)
    x2, y2 = max(x1 + 1, math.floor(box.x2 + 0.5)), max(y1 + 1, math.floor(box.y2 + 0.5))
    inner = image[max(0, y1) : max(0, y2), max(0, x1) : max(0, x2)]
    if inner.shape[:2] == (y2 - y1, x2 - x1):
        return inner
    if inner.size == 0:
        columns = np.clip(np.arange(x1, x2), 0, width - 1)
        rows = np.clip(np.arange(y1, y2), 0, height - 1)
        return image[np.ix_(rows, columns)]
    top, left = max(0, -y1), max(0, -x1)
    edges = (top, y2 - y1 - top - inner.shape[0], left, x2 - x1 - left - inner.shape[1])
    return np.asarray(cv2.copyMakeBorder(inner, *edges, cv2.BORDER_REPLICATE), np.uint8)
