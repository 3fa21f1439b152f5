"""How much a face's pixels change by themselves, beside the picture around it.

A poster's pixels change by noise, compression, light and the camera's shake, and so does the wall
around it. A living face turns, blinks, speaks and sways against its background.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import cv2
import numpy as np
import numpy.typing as npt

from maskwatch.domain import Box, Point

if TYPE_CHECKING:
    from maskwatch.domain.frame import Image

__all__ = ["FacePatch"]

_SIDE = 60  # px of the patch: the face in the middle third, its surroundings around it
_INNER = slice(_SIDE // 3, 2 * _SIDE // 3)
_QUIET_SHARE = 25  # percentile of the surroundings taken as noise: people pass there
_FLOOR = 1.5  # grey levels
_SAME_FACE = 0.5  # correlation under which something else stands there

Patch = npt.NDArray[np.float32]


class FacePatch:
    """The place in the picture where a face was first seen."""

    __slots__ = ("_box", "_reference", "_shift")

    def __init__(self, image: Image, box: Box, shift: Point) -> None:
        self._box, self._shift = box, shift
        self._reference = _patch(image, box)

    def change(self, image: Image, shift: Point) -> float:
        """Return the change of the face's pixels since the start, in units of that around it.

        Args:
            image: uint8 BGR (height, width, 3) at analysis size.
            shift: how far the camera has moved its picture since the start, in its pixels.

        """
        dx, dy = shift.x - self._shift.x, shift.y - self._shift.y
        box = Box(self._box.x1 + dx, self._box.y1 + dy, self._box.x2 + dx, self._box.y2 + dy)
        now, then = _patch(image, box), self._reference
        if now is None or then is None:
            return 0.0
        face, before = now[_INNER, _INNER], then[_INNER, _INNER]
        if _correlation(face, before) < _SAME_FACE:
            return 0.0
        difference = np.abs(now - then - (np.median(now) - np.median(then)))
        inner = float(difference[_INNER, _INNER].mean())
        difference[_INNER, _INNER] = np.nan
        return inner / (float(np.nanpercentile(difference, _QUIET_SHARE)) + _FLOOR)


def _patch(image: Image, box: Box) -> Patch | None:
    """Return float32 (60, 60) grey of the face box and as much again on every side."""
    height, width = image.shape[:2]
    around = box.grown(1.0).clipped(width, height)
    crop = image[int(around.y1) : int(around.y2), int(around.x1) : int(around.x2)]
    if min(crop.shape[:2]) < 8:
        return None
    small = cv2.resize(crop, (_SIDE, _SIDE), interpolation=cv2.INTER_AREA)
    return cv2.cvtColor(small, cv2.COLOR_BGR2GRAY).astype(np.float32)


def _correlation(one: Patch, other: Patch) -> float:
    a, b = one - one.mean(), other - other.mean()
    energy = float(np.sqrt((a * a).sum() * (b * b).sum()))
    return float((a * b).sum()) / energy if energy > 1e-6 else 0.0
