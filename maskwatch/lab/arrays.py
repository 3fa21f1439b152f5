"""Types of pictures and mattes, and the operations that scenes and augmentation share."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

# cv2's stubs type every result as an array of any number, so that these names only inform readers.
_Array = npt.NDArray[Any]
Image = _Array
"""uint8 BGR (height, width, 3), or another number of channels where documented."""
Floats = _Array
"""float32 of any shape; mattes are (height, width), 0 to 1."""
Points = _Array
"""float32 (N, 2), x and y in pixels."""
Colour = tuple[float, float, float]
"""Blue, green, red, 0 to 255."""


def smoothstep(value: Floats, start: float, end: float) -> Floats:
    """Return 0 below `start`, 1 above `end` and a smooth slope between (start may exceed end)."""
    t = np.clip((value - start) / (end - start), 0.0, 1.0)
    result: Floats = (t * t * (3 - 2 * t)).astype(np.float32)
    return result


def smooth_noise(rng: np.random.Generator, size: tuple[int, int], grain: float) -> Floats:
    """Return smooth noise of (width, height) `size`, mean 0, deviation 1, blobs `grain` px wide."""
    width, height = size
    small = (max(2, round(width / grain) + 2), max(2, round(height / grain) + 2))
    noise = rng.standard_normal((small[1], small[0])).astype(np.float32)
    wide = cv2.resize(noise, (width, height), interpolation=cv2.INTER_CUBIC)
    result: Floats = ((wide - wide.mean()) / (wide.std() + 1e-6)).astype(np.float32)
    return result


def shade(height: Floats, light: tuple[float, float, float], relief: float) -> Floats:
    """Return Lambert's brightness of a height field (pixels), about 1 where it faces the light.

    `light` points from the surface to the lamp: x right, y down, z to the camera.
    """
    dx = cv2.Sobel(height, cv2.CV_32F, 1, 0, ksize=3, scale=0.125 * relief)
    dy = cv2.Sobel(height, cv2.CV_32F, 0, 1, ksize=3, scale=0.125 * relief)
    lx, ly, lz = np.asarray(light, np.float32) / float(np.linalg.norm(light))
    result: Floats = ((-lx * dx - ly * dy + lz) / np.sqrt(dx * dx + dy * dy + 1)).astype(np.float32)
    return result


def polygon(size: tuple[int, int], outline: Points, line: int = cv2.LINE_AA) -> Floats:
    """Return the matte of a polygon on (height, width) `size`, to a sixteenth of a pixel."""
    return cv2.fillPoly(np.zeros(size, np.float32), [sixteenths(outline)], 1.0, line, shift=4)


def sixteenths(points: Points) -> Points:
    """Return points as the integers that OpenCV's drawing takes with `shift=4`."""
    result: Points = np.round(points * 16).astype(np.int32)
    return result


def blend(below: Floats, above: Floats | Colour, alpha: Floats) -> Floats:
    """Return `above` laid over `below` (both BGR floats) with the matte `alpha`."""
    a = alpha[..., None]
    result: Floats = (below * (1 - a) + np.asarray(above, np.float32) * a).astype(np.float32)
    return result
