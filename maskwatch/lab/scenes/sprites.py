"""Laying sprites into a picture: placed by an affine map, lit, smeared by motion."""

from __future__ import annotations

import math
from dataclasses import dataclass

import cv2
import numpy as np

from maskwatch.lab.scenes.arrays import Floats, Image

__all__ = ["Placed", "level_for", "place", "shadow"]


@dataclass(frozen=True, slots=True)
class Placed:
    """A sprite as it lies in the picture: upper left corner, and uint8 (h, w, 4) pixels."""

    x: int
    y: int
    pixels: Image

    def lay(self, picture: Image) -> None:
        """Blend the sprite into `picture` (uint8 BGR), in place."""
        height, width = self.pixels.shape[:2]
        area = picture[self.y : self.y + height, self.x : self.x + width]
        clear = cv2.cvtColor(cv2.bitwise_not(self.pixels[..., 3]), cv2.COLOR_GRAY2BGR)
        below = cv2.multiply(area, clear, scale=1 / 255)
        cv2.add(below, cv2.cvtColor(self.pixels, cv2.COLOR_BGRA2BGR), dst=area)

    def stamp(self, owners: Image, owner: int) -> None:
        """Mark in the quarter-size map `owners` (uint8) which pixels the sprite covers."""
        y0, x0 = -self.y % 4, -self.x % 4
        covered = self.pixels[y0::4, x0::4, 3] > 127
        y, x = (self.y + y0) // 4, (self.x + x0) // 4
        area = owners[y : y + covered.shape[0], x : x + covered.shape[1]]
        area[covered[: area.shape[0], : area.shape[1]]] = owner


def level_for(scale: float) -> int:
    """Return the pyramid level to draw at `scale` (picture pixels per sprite pixel) from."""
    return int(np.clip(math.floor(-math.log2(max(scale, 1e-3)) + 0.25), 0, 3))


def place(
    sprite: Image,
    onto: Floats,
    level: int,
    size: tuple[int, int],
    gain: float = 1.0,
    smear: tuple[float, float] = (0.0, 0.0),
) -> Placed | None:
    """Return the sprite laid by `onto`, or None when nothing of it is in the picture.

    `onto` is the 2x3 map from pixels of the sprite's full size (`sprite` itself is that of
    pyramid `level`) to pixels of a picture of `size`; `smear` is the motion in pixels during the
    exposure, across and down.
    """
    height, width = sprite.shape[:2]
    turn = onto.astype(np.float64).copy()
    turn[:, :2] *= 2**level
    corners = np.array([[[0, 0], [width, 0], [width, height], [0, height]]], np.float64)
    spots = cv2.transform(corners, turn)[0]
    margin = 2 + max(abs(smear[0]), abs(smear[1]))
    x1, y1 = np.floor(np.maximum(spots.min(axis=0) - margin, 0)).astype(int)
    x2, y2 = np.ceil(np.minimum(spots.max(axis=0) + margin, size)).astype(int)
    if x2 - x1 < 2 or y2 - y1 < 2:
        return None
    turn[:, 2] -= (x1, y1)
    pixels = cv2.warpAffine(sprite, turn, (int(x2 - x1), int(y2 - y1)), flags=cv2.INTER_LINEAR)
    pixels = _lit(_smeared(pixels, smear), gain)
    return Placed(int(x1), int(y1), pixels)


def _smeared(pixels: Image, smear: tuple[float, float]) -> Image:
    across, down = (max(1, round(abs(v))) for v in smear)
    return cv2.blur(pixels, (across, down)) if across > 1 or down > 1 else pixels


def _lit(pixels: Image, gain: float) -> Image:
    """Return the sprite brighter by `gain`, its matte unchanged."""
    if abs(gain - 1) < 0.01:
        return pixels
    table = np.clip(np.arange(256) * gain, 0, 255).astype(np.uint8)
    four = np.stack([table, table, table, np.arange(256, dtype=np.uint8)], axis=1)[None]
    return cv2.LUT(pixels, four)


_SPOT = np.hypot(*np.meshgrid(np.linspace(-1, 1, 48), np.linspace(-1, 1, 48))).astype(np.float32)
_SHADE = (255 - 115 * np.clip(1 - _SPOT, 0, 1) ** 0.8).astype(np.uint8)


def shadow(picture: Image, x: float, y: float, across: float, down: float) -> None:
    """Darken the floor around (x, y) in an ellipse of these radii (pixels), in place."""
    x1, y1 = max(0, round(x - across)), max(0, round(y - down))
    x2, y2 = min(picture.shape[1], round(x + across)), min(picture.shape[0], round(y + down))
    if x2 - x1 < 2 or y2 - y1 < 2:
        return
    scale = (2 * across / 48, 2 * down / 48)
    turn = np.array([[scale[0], 0, x - across - x1], [0, scale[1], y - down - y1]], np.float64)
    dark = cv2.warpAffine(_SHADE, turn, (x2 - x1, y2 - y1), borderValue=255.0)
    area = picture[y1:y2, x1:x2]
    cv2.multiply(area, cv2.cvtColor(dark, cv2.COLOR_GRAY2BGR), dst=area, scale=1 / 255)
