"""How much a face's pixels change and move, compared with the picture around it.

A poster's pixels change by noise, compression, light and the camera's shake, and so does the wall
around it. A living face turns, blinks, speaks and sways against its background.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, cast

import cv2
import numpy as np
import numpy.typing as npt

from maskwatch.domain import Box
from maskwatch.vision.camera_motion import Grey, find_shift

if TYPE_CHECKING:
    from maskwatch.domain.frame import Image, Luma

_FACE = 24  # px of the face's longer side in the patch
_SIDE = 3 * _FACE
_INNER = slice(_FACE, 2 * _FACE)
_PARTS = 4  # across and down, in which a face's change is measured
_GUARD = 4  # px between the face and its surroundings
_SLACK = 0.35  # px of misalignment that explains a change
_NOISE_FLOOR = 1.0  # grey levels of noise that are always allowed
_COMPARED_SIDE = 16  # px at which two crops are compared: boxes jitter by less than one of them


def likeness(one: Grey, other: Grey) -> float:
    """Return the correlation of two crops of a face, wherever they are in the picture: 1 at most."""
    a, b = (
        cv2.resize(crop, (_COMPARED_SIDE, _COMPARED_SIDE), interpolation=cv2.INTER_AREA).ravel()
        for crop in (one, other)
    )
    a, b = a - a.mean(), b - b.mean()
    return float(a @ b) / (math.sqrt(float(a @ a) * float(b @ b)) + _NOISE_FLOOR)


def _surroundings_mask() -> npt.NDArray[np.uint8]:
    mask = np.ones((_SIDE, _SIDE), np.uint8)
    mask[_FACE // 2 + _GUARD : -_FACE // 2 - _GUARD, _FACE // 2 + _GUARD : -_FACE // 2 - _GUARD] = 0
    return mask


def _face_mask() -> npt.NDArray[np.uint8]:
    mask = np.zeros((_SIDE, _SIDE), np.uint8)
    mask[_FACE - 2 : 2 * _FACE + 2, _FACE - 2 : 2 * _FACE + 2] = 1
    return mask


_SURROUNDINGS = _surroundings_mask()
_WITHIN = _face_mask()


class FacePatch:
    """The pixels of a face and its surroundings when it was first seen.

    Args:
        luma: the brightness at analysis size.
        box: the face in pixels of it.
    """

    __slots__ = ("_first", "_gradient")

    def __init__(self, luma: Luma, box: Box) -> None:
        self._first = _patch(luma, box)
        horizontal = cv2.Sobel(self._first, cv2.CV_32F, 1, 0, scale=0.125)
        vertical = cv2.Sobel(self._first, cv2.CV_32F, 0, 1, scale=0.125)
        self._gradient = cast("Grey", cv2.magnitude(horizontal, vertical))

    def change(self, luma: Luma, box: Box) -> float:
        """Return the change of the face's pixels since then; about 1 is what noise explains.

        First both surroundings are aligned to a fraction of a pixel; where they do not fit, the
        result is 0. The median over the face's parts counts: a person who passes in front of a
        poster hides a part of it, while a living person moves all of the face.

        Args:
            luma: the brightness at analysis size.
            box: where the first face would be now if only the camera had moved.
        """
        now = _aligned(self._first, _patch(luma, box))
        if now is None:
            return 0.0
        around = _SURROUNDINGS > 0
        # By quartiles: a person in a part of the surroundings is no change of light.
        gain = _contrast(now[around]) / (_contrast(self._first[around]) + 1e-3)
        gain = min(max(gain, 0.6), 1.6)
        offset = float(np.median(now[around])) - gain * float(np.median(self._first[around]))
        difference = np.abs(now - (gain * self._first + offset))
        allowed = float(np.median(difference[around])) + _NOISE_FLOOR + _SLACK * self._gradient
        inner = (difference / allowed)[_INNER, _INNER]
        parts = inner.reshape(_PARTS, _FACE // _PARTS, _PARTS, _FACE // _PARTS).mean(axis=(1, 3))
        return float(np.median(parts))

    def shift(self, luma: Luma, box: Box) -> float | None:
        """Return how far the face's pixels moved since then, in face heights.

        Measured against the picture and against the surroundings; the lesser counts. So a poster does
        not move where the camera shakes, nor where a person passes beside it. None without a fit.
        """
        now = _patch(luma, box)
        fit, right, down = find_shift(self._first, now, _WITHIN)
        around_fit, around_right, around_down = find_shift(self._first, now, _SURROUNDINGS)
        if fit <= 0 or around_fit <= 0:
            return None
        apart = math.hypot(right - around_right, down - around_down)
        return min(math.hypot(right, down), apart) / _FACE


def _contrast(values: Grey) -> float:
    low, high = np.percentile(values, (25, 75))
    return float(high - low)


def _aligned(then: Grey, now: Grey) -> Grey | None:
    """Return `now` shifted so that its surroundings lie on those of `then`; None if they do not fit."""
    fit, right, down = find_shift(then, now, _SURROUNDINGS)
    if fit <= 0:
        return None
    warp = np.array([[1, 0, right], [0, 1, down]], np.float32)
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    moved = cv2.warpAffine(now, warp, (_SIDE, _SIDE), flags=flags, borderMode=cv2.BORDER_REPLICATE)
    return cast("Grey", moved)


def _patch(luma: Luma, box: Box) -> Grey:
    """Return float32 (72, 72) grey: the face box in the middle third, its edge repeated outside."""
    side = max(box.width, box.height, 1.0)
    middle, scale = box.centre, _FACE / side
    grey, left, top, shrunk = _neighbourhood(luma, box, scale)
    x, y = (middle.x - left) * shrunk, (middle.y - top) * shrunk
    rest = scale / shrunk
    warp = np.array([[rest, 0, _SIDE / 2 - x * rest], [0, rest, _SIDE / 2 - y * rest]], np.float32)
    patch = cv2.warpAffine(grey, warp, (_SIDE, _SIDE), borderMode=cv2.BORDER_REPLICATE)
    return luma.levels(cv2.GaussianBlur(patch, (3, 3), 0).astype(np.float32))


def _neighbourhood(luma: Luma, box: Box, scale: float) -> tuple[Image, float, float, float]:
    """Return (grey crop around the box, its left, its top, its scale)."""
    width, height = luma.size
    around = box.grown(1.2).clipped(width, height)
    left, top = min(int(around.x1), width - 1), min(int(around.y1), height - 1)
    right, bottom = max(math.ceil(around.x2), left + 1), max(math.ceil(around.y2), top + 1)
    crop = np.ascontiguousarray(luma.plane[top:bottom, left:right])
    if scale >= 1.0:
        return crop, left, top, 1.0
    size = (max(1, round((right - left) * scale)), max(1, round((bottom - top) * scale)))
    small = cv2.resize(crop, size, interpolation=cv2.INTER_AREA)
    return cast("Image", small), left, top, scale
