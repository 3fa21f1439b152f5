"""Pictures of a fixed camera: a room, and the same room with each fault of the picture."""

from __future__ import annotations

import functools
from collections.abc import Callable

import cv2
import numpy as np
import numpy.typing as npt

from maskwatch.domain import BlindReason

Image = npt.NDArray[np.uint8]

_SIZE = (320, 180)
_GRAINS = np.random.default_rng(7).normal(size=(7, _SIZE[1], _SIZE[0], 1)).astype(np.float32)


def scene(seed: int = 0, noise: float = 2.0, moment: float = 0.0) -> Image:
    """A room with edges of all sizes and sensor noise: uint8 BGR (180, 320, 3)."""
    grain = _GRAINS[int(moment * 5) % len(_GRAINS)] * np.float32(noise)
    return np.clip(_room(seed) + grain, 0, 255).astype(np.uint8)


@functools.cache
def _room(seed: int) -> npt.NDArray[np.float32]:
    rng = np.random.default_rng(seed)
    image = np.full((_SIZE[1], _SIZE[0], 3), 120, np.uint8)
    for _ in range(80):
        x, y = (int(rng.integers(0, limit)) for limit in _SIZE)
        width, height = (int(rng.integers(4, 45)) for _ in range(2))
        colour = tuple(int(value) for value in rng.integers(20, 230, 3))
        cv2.rectangle(image, (x, y), (x + width, y + height), colour, -1)
    return image.astype(np.float32)


FAULTY_VIEWS: dict[BlindReason, Callable[[float], Image]] = {
    BlindReason.FROZEN: lambda _: scene(moment=1.0),
    BlindReason.COVERED: lambda at: np.clip(scene(moment=at) / 60 + 150, 0, 255).astype(np.uint8),
    BlindReason.OUT_OF_FOCUS: lambda at: cv2.GaussianBlur(scene(moment=at), (0, 0), 4),
    BlindReason.MOVED: lambda at: scene(seed=5, moment=at),
}
"""For each fault, a function from a moment (seconds) to the picture; a dark one depends on the test."""
