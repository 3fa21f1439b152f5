"""Saves the face detector when nothing moves, without missing who stands still."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import cv2
import numpy as np

from maskwatch.domain import Point
from maskwatch.vision.camera_motion import Grey, find_shift

if TYPE_CHECKING:
    from maskwatch.domain.frame import Image

__all__ = ["MotionGate"]

_CELL = 8  # px of the analysed picture: a quarter of the smallest face
_EVERY = 4  # px between the samples of a cell
_NOISE_FACTOR = 15.0  # of the quartile; five standard deviations of normal noise
_LEAST_CHANGE = 5.0  # grey levels of a cell's mean
_MOST_CHANGE = 25.0  # grey levels that no noise explains
_LEAST_CELLS = 2
_SAME_VIEW = 0.5  # correlation with the view, once it is aligned
_NEW_VIEW = 10  # looks in a row that do not fit the view: the camera was turned


class MotionGate:
    """Decides which frames are looked at.

    A frame is looked at when it differs from the last one that was looked at (so that slow changes
    add up), for a while after that, while a person is in view, and now and then in any case.

    Args:
        full_look: most seconds between two looks.
        hold: seconds that a motion keeps the camera awake.

    """

    def __init__(self, full_look: float = 2.0, hold: float = 1.0) -> None:
        self._full_look, self._hold = full_look, hold
        self._seen: Grey | None = None
        self._looked = self._moved = -math.inf
        self._anchor: Grey | None = None
        self._strange = 0
        self._shift = Point(0.0, 0.0)

    def look(self, image: Image, moment: float, *, awake: bool) -> bool:
        """Return whether this frame is to be looked at.

        Args:
            image: uint8 BGR (height, width, 3) at analysis size.
            moment: seconds of the frame; one that goes back is looked at.
            awake: whether a person is in view.

        """
        grid = _grid(image)
        if moment < self._looked:  # the clock went back: what was noted lies in the future
            self._looked = self._moved = -math.inf
        if self._changed(grid):
            self._moved = moment
        due = moment - self._looked >= self._full_look or moment - self._moved <= self._hold
        if not (awake or due):
            return False
        self._follow(grid)
        self._seen, self._looked = grid, moment
        return True

    @property
    def shift(self) -> Point:
        """How far the picture has moved since the view was first seen, in pixels of `image`."""
        return self._shift

    def _changed(self, grid: Grey) -> bool:
        if self._seen is None or self._seen.shape != grid.shape:
            return True
        difference = grid - self._seen
        # Light that flickers moves every cell by the same amount; that is no motion.
        difference -= np.median(difference[::2, ::2])
        # Four cells together: a face is four cells wide, and noise halves.
        size = np.abs(cv2.blur(difference, (2, 2)))
        # The quieter quarter tells the noise, also when somebody fills most of the picture.
        noise = _NOISE_FACTOR * float(np.percentile(size[::2, ::2], 25))
        limit = min(max(_LEAST_CHANGE, noise), _MOST_CHANGE)
        return int(np.count_nonzero(size > limit)) >= _LEAST_CELLS

    def _follow(self, grid: Grey) -> None:
        """Measure the camera's shake against one fixed view: from frame to frame errors would add up."""
        if self._anchor is None or self._anchor.shape != grid.shape or self._strange >= _NEW_VIEW:
            self._anchor, self._strange, self._shift = grid, 0, Point(0.0, 0.0)
            return
        guess = self._shift.x / _CELL, self._shift.y / _CELL
        everywhere = np.ones(grid.shape, np.uint8)
        fit, across, down = find_shift(self._anchor, grid, everywhere, guess)
        if fit < _SAME_VIEW:
            self._strange += 1
            return
        self._strange, self._shift = 0, Point(across * _CELL, down * _CELL)


def _grid(image: Image) -> Grey:
    """Return float32 (height / 8, width / 8): each cell's mean brightness, from 4 samples of green.

    Green is the most of brightness, and the samples cost a tenth of converting the whole picture.
    """
    height, width = image.shape[:2]
    size = (max(width // _CELL, 8), max(height // _CELL, 8))
    samples = np.ascontiguousarray(image[_EVERY // 2 :: _EVERY, _EVERY // 2 :: _EVERY, 1])
    return cv2.resize(samples, size, interpolation=cv2.INTER_AREA).astype(np.float32)
