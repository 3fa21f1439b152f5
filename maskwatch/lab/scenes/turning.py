"""A flat head made to turn and nod: its picture stretched over an ellipsoid and rotated.

Up to some 40 degrees this looks right; beyond, the face gives way to the back of the head.
"""

from __future__ import annotations

import functools
import math
import zlib

import cv2
import numpy as np

from maskwatch.lab.scenes.arrays import Floats, Image, blobs, shade
from maskwatch.lab.scenes.portraits import CANVAS, EYES, Head

__all__ = ["FACE_GONE", "back_of", "turned"]

FACE_GONE = 62.0
"""Degrees of turning from which no face is to be seen any more."""
_TURNED_MOST = 40.0
_CENTRE = (EYES[0], EYES[1] + 22.0)
_RADII = (84.0, 118.0)


@functools.lru_cache(maxsize=4)
def _globe(level: int) -> tuple[Floats, Floats, Floats]:
    """Return x, y from the head's centre and its depth there, in pixels of pyramid `level`."""
    step = 2**level
    width, height = CANVAS[0] // step, CANVAS[1] // step
    y, x = np.mgrid[:height, :width].astype(np.float32)
    x = (x + 0.5) - _CENTRE[0] / step
    y = (y + 0.5) - _CENTRE[1] / step
    inside = 1 - (x / (_RADII[0] / step)) ** 2 - (y / (_RADII[1] / step)) ** 2
    depth = 0.8 * (_RADII[0] / step) * np.sqrt(np.clip(inside, 0, 1))
    return x, y, depth.astype(np.float32)


def turned(sprite: Image, level: int, yaw: float, pitch: float) -> Image:
    """Return the head (uint8, any channels, at pyramid `level`) turned by degrees.

    Positive `yaw` turns it towards the right of the picture, positive `pitch` down.
    """
    x, y, depth = _globe(level)
    a = math.radians(float(np.clip(yaw, -_TURNED_MOST, _TURNED_MOST)))
    b = math.radians(float(np.clip(pitch, -25, 25)))
    step = 2**level
    centre = (_CENTRE[0] / step - 0.5, _CENTRE[1] / step - 0.5)
    across = x * math.cos(a) - depth * math.sin(a) + centre[0]
    down = y * math.cos(b) - depth * math.sin(b) + centre[1]
    return cv2.remap(sprite, across, down, cv2.INTER_LINEAR, borderMode=cv2.BORDER_CONSTANT)


def back_of(head: Head) -> Image:
    """Return the back of a head: its silhouette filled with hair, uint8 BGR."""
    rng = np.random.default_rng(zlib.crc32(head.name.encode()))
    strands = blobs(rng, (CANVAS[0], CANVAS[1] // 8), 5)
    strands = cv2.resize(strands, CANVAS, interpolation=cv2.INTER_CUBIC)
    solid = cv2.GaussianBlur(head.alpha, (0, 0), 14) * 60
    light = shade(solid + 0.8 * strands, (-0.2, -0.8, 0.9), 1.0)
    hair = np.asarray(head.hair, np.float32) * (0.45 + 0.6 * light)[..., None]
    rows = np.arange(CANVAS[1], dtype=np.float32)[:, None, None]
    nape = np.clip((rows - head.box[3] + 12) / 16, 0, 1)
    picture = hair * (1 - nape) + np.asarray(head.skin, np.float32) * 0.75 * nape
    result: Image = np.clip(picture, 0, 255).astype(np.uint8)
    return result
