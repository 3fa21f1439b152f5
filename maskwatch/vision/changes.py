"""Where the picture changed since somebody last looked there, cell by cell."""

from __future__ import annotations

import math
from collections.abc import Iterable

import cv2
import numpy as np
import numpy.typing as npt

from maskwatch.vision.camera_motion import Grey
from maskwatch.vision.looks import Look

MAX_GAP = 3.0
"""Seconds without a frame after which everything may be elsewhere."""

_MIN_CHANGE, _MAX_CHANGE = 5.0, 25.0  # levels of a cell's mean
_NOISE_FACTOR, _NOISE_MEMORY = 6.0, 0.9
_MIN_CELLS = 2
_FINE = 2  # times smaller: a coarser look sees no small face, so that what changed stays unseen
# Seconds between two looks at a place: at first, after 2 and after 5 in vain.
_PATIENCE = (0.19, 0.39, 0.79)

Mask = npt.NDArray[np.bool_]


class _Looked:
    """When each cell was last looked at in one scale, and how often in vain since it moved."""

    def __init__(self, grid: Grey) -> None:
        self.at = np.full(grid.shape, -math.inf, np.float64)
        self.in_vain = np.zeros(grid.shape, np.int16)


class Changes:
    """The brightness of each cell when somebody last looked at it, its noise, and when it changed.

    Args:
        grid: of `brightness_grid`; later ones have the same shape.
        moment: seconds of the frame.
        scales: of the looks that will follow.
    """

    def __init__(self, grid: Grey, moment: float, scales: Iterable[int]) -> None:
        self.moment = self.before = moment
        self.now: Mask = np.zeros(grid.shape, np.bool_)
        """The cells that differ from when somebody last looked at them."""
        self._moved = np.full(grid.shape, -math.inf, np.float64)
        self._reference, self._last = grid.copy(), grid
        self._noise = np.ones(grid.shape, np.float32)
        self._looked = {scale: _Looked(grid) for scale in scales}

    def continues(self, grid: Grey, moment: float) -> bool:
        """Return whether the frame follows the last one: otherwise everything may be elsewhere."""
        return grid.shape == self._last.shape and 0 <= moment - self.moment <= MAX_GAP

    def update(self, grid: Grey, moment: float) -> None:
        """Take in a frame."""
        difference = grid - self._reference
        difference -= np.median(difference[::4, ::4])  # light that changes everywhere is no motion
        size = np.abs(cv2.blur(difference, (2, 2)))
        limit = np.clip(_NOISE_FACTOR * self._noise, _MIN_CHANGE, _MAX_CHANGE)
        self.now = np.asarray(size > limit, np.bool_)
        step = np.minimum(np.abs(cv2.blur(grid - self._last, (2, 2))), _MAX_CHANGE)
        learnt = _NOISE_MEMORY * self._noise + (1 - _NOISE_MEMORY) * step
        self._noise = np.where(self.now, self._noise, learnt).astype(np.float32)
        began = self.now & (moment - self._moved > MAX_GAP)
        for looked in self._looked.values():
            looked.in_vain[began] = 0
        self._moved[self.now] = moment
        self._last, self.before, self.moment = grid, self.moment, moment

    def moved_within(self, seconds: float) -> Mask:
        """Return the cells that changed in the last `seconds`."""
        return self.moment - self._moved < seconds

    def urgency(self, look: Look, where: Mask) -> float:
        """Return the mean seconds for which the cells `where` of the look were not seen in its scale.

        0 for too few cells, and while a look is too soon after others that found nothing.
        """
        cells = look.cells
        chosen = where[cells]
        if np.count_nonzero(chosen) < _MIN_CELLS:
            return 0.0
        looked = self._looked[look.scale]
        unseen = float(np.minimum(self.moment - looked.at[cells][chosen], MAX_GAP).mean())
        vain = float(looked.in_vain[cells][chosen].mean())
        wait = _PATIENCE[0] if vain < 2 else _PATIENCE[1] if vain < 5 else _PATIENCE[2]
        return unseen if unseen >= wait else 0.0

    def looked(self, look: Look, *, fruitful: bool) -> None:
        """Note a look that found a face or none."""
        cells = look.cells
        if look.scale <= _FINE:
            self._reference[cells] = self._last[cells]
        looked = self._looked.get(look.scale)
        if looked is not None:
            looked.at[cells] = self.moment
            looked.in_vain[cells] = 0 if fruitful else looked.in_vain[cells] + 1
