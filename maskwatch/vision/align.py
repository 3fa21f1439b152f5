"""Lays one grey picture on another by a shift of a fraction of a pixel."""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt

__all__ = ["Grey", "find_shift"]

Grey = npt.NDArray[np.float32]

_STEPS, _PRECISION = 30, 0.003
_CRITERIA = (cv2.TERM_CRITERIA_COUNT | cv2.TERM_CRITERIA_EPS, _STEPS, _PRECISION)
_SMOOTHING = 3


def find_shift(
    then: Grey,
    now: Grey,
    mask: npt.NDArray[np.uint8],
    guess: tuple[float, float] = (0.0, 0.0),
) -> tuple[float, float, float]:
    """Return (fit, across, down): where `then` is found in `now`, in pixels, near `guess`.

    Enhanced correlation coefficient (Evangelidis and Psarakis 2008), which is blind to gain and
    offset. `fit` is the correlation after the shift, 0 where nothing fits. Only pixels of `now`
    with a `mask` of 1 count.
    """
    warp = np.array([[1, 0, guess[0]], [0, 1, guess[1]]], np.float32)
    try:
        fit, found = cv2.findTransformECC(
            then, now, warp, cv2.MOTION_TRANSLATION, _CRITERIA, mask, _SMOOTHING
        )
    except cv2.error:  # no convergence: something else is there now
        return 0.0, 0.0, 0.0
    shift = np.asarray(found)
    return float(fit), float(shift[0, 2]), float(shift[1, 2])
