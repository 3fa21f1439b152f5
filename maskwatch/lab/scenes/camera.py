"""The pinhole camera of a scene: where a point of the room lies in the picture, and back.

Room coordinates are metres: X to the right, Y up from the floor, Z away from the camera, which
hangs above the origin.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from maskwatch.lab.scenes.arrays import Floats

__all__ = ["View"]


@dataclass(frozen=True, slots=True)
class View:
    """A camera's place and lens.

    Attributes:
        width, height: of the picture in pixels.
        mount: height of the lens above the floor, metres.
        tilt: downward, degrees.
        field: horizontal field of view, degrees.
    """

    width: int
    height: int
    mount: float = 2.3
    tilt: float = 13.0
    field: float = 44.0

    @property
    def focal(self) -> float:
        """Focal length in pixels."""
        return self.width / 2 / math.tan(math.radians(self.field) / 2)

    def project(self, x: float, y: float, z: float) -> tuple[float, float, float]:
        """Return the pixel (u, v) of a point and the pixels per metre at its distance."""
        sin, cos = math.sin(math.radians(self.tilt)), math.cos(math.radians(self.tilt))
        drop = self.mount - y
        depth = max(0.05, z * cos + drop * sin)
        scale = self.focal / depth
        u = self.width / 2 + x * scale
        v = self.height / 2 + (drop * cos - z * sin) * scale
        return u, v, scale

    def rays(self) -> tuple[Floats, Floats, Floats]:
        """Return the direction (x, y, z) of every pixel's ray, each float32 (height, width)."""
        sin, cos = math.sin(math.radians(self.tilt)), math.cos(math.radians(self.tilt))
        u = (np.arange(self.width, dtype=np.float32) + 0.5 - self.width / 2) / self.focal
        v = (np.arange(self.height, dtype=np.float32) + 0.5 - self.height / 2) / self.focal
        across = np.broadcast_to(u, (self.height, self.width))
        down = np.broadcast_to((-sin - v * cos)[:, None], across.shape)
        ahead = np.broadcast_to((cos - v * sin)[:, None], across.shape)
        return across, down.astype(np.float32), ahead.astype(np.float32)
