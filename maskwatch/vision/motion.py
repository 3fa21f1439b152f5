"""Motion gate: skips frames in which nothing moves and no person is in view."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import cv2
import numpy as np

from maskwatch.domain import Point
from maskwatch.vision.camera_motion import Grey, find_shift

if TYPE_CHECKING:
    from maskwatch.domain.frame import Luma

CELL = 8  # px of the analysed picture: a quarter of the smallest face
_SAMPLE_STEP = 4  # px between the samples of a cell
_NOISE_FACTOR = 15.0  # of the quartile; five standard deviations of normal noise
_MIN_CHANGE = 5.0  # grey levels of a cell's mean
_MAX_CHANGE = 25.0  # grey levels that no noise explains
_MIN_CELLS = 2
_SAME_VIEW = 0.5  # correlation with the view, once it is aligned
_NEW_VIEW = 10  # frames in a row that do not fit the view: the camera was turned


class MotionGate:
    """Decides which frames are analysed.

    A frame is analysed when it differs from the last analysed one (so that slow changes add up),
    for a while after that, while a person is in view, and at regular intervals in any case.

    Args:
        max_interval: maximum seconds between two analysed frames.
        hold: seconds for which frames are analysed after a motion.
    """

    def __init__(self, max_interval: float = 2.0, hold: float = 1.0) -> None:
        self._max_interval, self._hold = max_interval, hold
        self._analysed: Grey | None = None
        self._analysed_at = self._moved_at = -math.inf
        self._view: Grey | None = None
        self._mismatches = 0
        self._shift = Point(0.0, 0.0)
        self._is_followed = self._was_followed = False

    def admit(self, luma: Luma, moment: float, *, awake: bool) -> bool:
        """Return whether this frame is to be analysed.

        Args:
            luma: the brightness at analysis size.
            moment: seconds of the frame; a frame from before the last one is analysed.
            awake: whether a person is in view, so that every frame is analysed.
        """
        grid = brightness_grid(luma)
        if moment < self._analysed_at:  # the clock went back
            self._analysed_at = self._moved_at = -math.inf
        if self._changed(grid):
            self._moved_at = moment
        due = moment - self._analysed_at >= self._max_interval or moment - self._moved_at <= self._hold
        if not (awake or due):
            return False
        self._analysed, self._analysed_at = grid, moment
        self._was_followed, self._is_followed = self._is_followed, False
        return True

    def measure_shift(self) -> Point:
        """Return how far the analysed picture is shifted, in pixels of it.

        Relative to the view, which is the first of the analysed frames in a row that were measured.
        """
        if not self._is_followed and self._analysed is not None:
            self._is_followed = True
            self._follow(self._analysed)
        return self._shift

    def _changed(self, grid: Grey) -> bool:
        if self._analysed is None or self._analysed.shape != grid.shape:
            return True
        difference = grid - self._analysed
        # Flickering light changes every cell by the same amount; that is no motion.
        difference -= np.median(difference[::2, ::2])
        # Four cells together: a face is four cells wide, and noise halves.
        size = np.abs(cv2.blur(difference, (2, 2)))
        # The quieter quarter gives the noise, even when a person fills most of the picture.
        noise = _NOISE_FACTOR * float(np.percentile(size[::2, ::2], 25))
        limit = min(max(_MIN_CHANGE, noise), _MAX_CHANGE)
        return int(np.count_nonzero(size > limit)) >= _MIN_CELLS

    def _follow(self, grid: Grey) -> None:
        """Measure the camera's shake against one fixed view: errors from frame to frame would add up."""
        lost = not self._was_followed or self._mismatches >= _NEW_VIEW
        if self._view is None or self._view.shape != grid.shape or lost:
            self._view, self._mismatches, self._shift = grid, 0, Point(0.0, 0.0)
            return
        guess = self._shift.x / CELL, self._shift.y / CELL
        everywhere = np.ones(grid.shape, np.uint8)
        fit, right, down = find_shift(self._view, grid, everywhere, guess)
        if fit < _SAME_VIEW:
            self._mismatches += 1
            return
        self._mismatches, self._shift = 0, Point(right * CELL, down * CELL)


def brightness_grid(luma: Luma) -> Grey:
    """Return float32 (height / 8, width / 8): each cell's mean brightness, from 4 of its pixels."""
    width, height = luma.size
    size = (max(width // CELL, 8), max(height // CELL, 8))
    half = _SAMPLE_STEP // 2
    samples = np.ascontiguousarray(luma.plane[half::_SAMPLE_STEP, half::_SAMPLE_STEP])
    small = cv2.resize(samples, size, interpolation=cv2.INTER_AREA)
    return luma.levels(np.asarray(small, np.float32))
