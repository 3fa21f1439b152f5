"""How the picture around a place moves from one look to the next.

A camera that pans, zooms, rolls or is carried moves what is near otherwise than what is far, so the
motion is measured around each place: corners of the picture, people left out, are followed (Lucas and
Kanade 1981, in the pyramid of Bouguet 2000), and the similarity that most of the nearest agree on
(RANSAC, Fischler and Bolles 1981) carries the place along.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import cv2
import numpy as np
import numpy.typing as npt

from maskwatch.domain import Box

if TYPE_CHECKING:
    from maskwatch.domain.frame import Image

__all__ = ["CameraMotion", "Flow", "Grey", "find_shift"]

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


_LONGER = 480  # px of the picture in which corners are followed
_CORNERS, _QUALITY, _APART = 240, 0.02, 7
_WINDOW, _LEVELS = (15, 15), 4
_LOST = -1e6  # px: nowhere near any place
_RETURNS = 0.5  # px within which a corner must come back when it is followed backwards
_NEAREST, _FEWEST = 40, 8
_FITS = 1.0  # px
_AGREE = 0.5  # share of the nearest corners

Points = npt.NDArray[np.float32]


class Flow:
    """Where corners of one look are in the next one, in pixels of the picture."""

    def __init__(self, then: Points, now: Points) -> None:
        self._then, self._now = then, now

    def carry(self, box: Box) -> Box:
        """Return where `box` is now if it belongs to the picture around it; itself if nobody knows."""
        if len(self._then) < _FEWEST:
            return box
        middle = np.array((box.centre.x, box.centre.y), np.float32)
        nearest = np.argsort(((self._then - middle) ** 2).sum(axis=1), kind="stable")[:_NEAREST]
        move, agree = cv2.estimateAffinePartial2D(
            self._then[nearest], self._now[nearest], method=cv2.RANSAC, ransacReprojThreshold=_FITS
        )
        # The stubs know nothing of points that agree on no move at all.
        if move is None or float(np.mean(agree)) < _AGREE:  # type: ignore[redundant-expr]
            return box
        size = float(np.hypot(move[0, 0], move[1, 0]))
        x, y = (float(v) for v in move[:, :2] @ middle + move[:, 2])
        half, high = box.width * size / 2, box.height * size / 2
        return Box(x - half, y - high, x + half, y + high)


_NOTHING = Flow(np.zeros((0, 2), np.float32), np.zeros((0, 2), np.float32))


class CameraMotion:
    """Keeps the last look."""

    def __init__(self) -> None:
        self._held: Image | None = None

    def hold(self, image: Image) -> None:
        """Take uint8 BGR (height, width, 3) as the last look."""
        self._held = _small(image)

    def flow(self, image: Image, bodies: Sequence[Box]) -> Flow:
        """Return how the picture moved since the last look, and take `image` as the last one.

        Args:
            image: uint8 BGR (height, width, 3).
            bodies: whatever moves by itself, in pixels of `image`.

        """
        before, self._held = self._held, _small(image)
        if before is None or before.shape != self._held.shape:
            return _NOTHING
        scale = image.shape[1] / before.shape[1]
        then = _corners(before, _elsewhere(before, bodies, scale))
        now = _followed(before, self._held, then)
        back = _followed(self._held, before, now)
        steady = np.abs(back - then).max(axis=1, initial=0.0) < _RETURNS
        return Flow(then[steady] * np.float32(scale), now[steady] * np.float32(scale))


def _corners(image: Image, where: Image) -> Points:
    """Return float32 (n, 2), the clearest first."""
    # The stubs know nothing of a picture without corners.
    found: Points | None = cv2.goodFeaturesToTrack(image, _CORNERS, _QUALITY, _APART, mask=where)  # type: ignore[assignment]
    return np.zeros((0, 2), np.float32) if found is None else found.reshape(-1, 2)


def _followed(one: Image, two: Image, points: Points) -> Points:
    """Return where the points (n, 2) of `one` are in `two`; far outside where they are lost."""
    if not len(points):
        return points
    begun = points.copy()
    found, seen, _ = cv2.calcOpticalFlowPyrLK(one, two, points, begun, winSize=_WINDOW, maxLevel=_LEVELS)
    result = np.asarray(found, np.float32).reshape(-1, 2)
    result[np.asarray(seen).ravel() == 0] = _LOST
    return result


def _small(image: Image) -> Image:
    """Return uint8 green, which is the most of brightness, at most 480 px along the longer side."""
    shrink = min(1.0, _LONGER / max(image.shape[:2]))
    small = cv2.resize(image, None, fx=shrink, fy=shrink, interpolation=cv2.INTER_AREA)
    return np.ascontiguousarray(small[:, :, 1], np.uint8)


def _elsewhere(image: Image, bodies: Sequence[Box], scale: float) -> Image:
    """Return uint8, 255 where no body is."""
    mask = np.full(image.shape, 255, np.uint8)
    height, width = image.shape
    for body in bodies:
        box = body.scaled(1 / scale).clipped(width, height)
        mask[int(box.y1) : int(np.ceil(box.y2)), int(box.x1) : int(np.ceil(box.x2))] = 0
    return mask
