"""How the picture around a box moves from one analysed frame to the next.

When a camera pans, zooms, rolls or is carried, near things move otherwise than far ones, so the motion
is measured around each box. Corners of the picture outside people are followed (Lucas and Kanade 1981,
in the pyramid of Bouguet 2000); the similarity that most of the nearest agree on (RANSAC, Fischler and
Bolles 1981) moves the box along.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import cv2
import numpy as np
import numpy.typing as npt

from maskwatch.domain import Box

if TYPE_CHECKING:
    from maskwatch.domain.frame import Image, Luma

Grey = npt.NDArray[np.float32]

_MAX_STEPS, _PRECISION = 30, 0.003
_CRITERIA = (cv2.TERM_CRITERIA_COUNT | cv2.TERM_CRITERIA_EPS, _MAX_STEPS, _PRECISION)
_SMOOTHING = 3


def find_shift(
    then: Grey, now: Grey, mask: npt.NDArray[np.uint8], guess: tuple[float, float] = (0.0, 0.0)
) -> tuple[float, float, float]:
    """Return (fit, right, down): the shift in pixels that takes `then` to `now`, near `guess`.

    Enhanced correlation coefficient (Evangelidis and Psarakis 2008), which is invariant to gain
    and offset. `fit` is the correlation after the shift, 0 where nothing fits. Only pixels of `now`
    with a `mask` of 1 count.
    """
    warp = np.array([[1, 0, guess[0]], [0, 1, guess[1]]], np.float32)
    try:
        fit, found = cv2.findTransformECC(
            then, now, warp, cv2.MOTION_TRANSLATION, _CRITERIA, mask, _SMOOTHING
        )
    except cv2.error:  # no convergence: the content is another one
        return 0.0, 0.0, 0.0
    shift = np.asarray(found)
    return float(fit), float(shift[0, 2]), float(shift[1, 2])


_LONGER_SIDE = 480  # px of the picture in which corners are followed
_CORNERS, _QUALITY, _DISTANCE = 240, 0.02, 7  # number, relative quality, px apart
_WINDOW, _LEVELS = (15, 15), 4
_LOST = -1e6  # px: far from every box
_MAX_RETURN_ERROR = 0.5  # px, of a corner followed forwards and back
_NEAREST, _MIN_CORNERS = 40, 8
_MAX_FIT_ERROR = 1.0  # px
_MIN_INLIERS = 0.5  # share of the nearest corners

Points = npt.NDArray[np.float32]


class Flow:
    """Corners of one frame and where they are in the next, float32 (n, 2) in pixels."""

    def __init__(self, then: Points, now: Points) -> None:
        self._then, self._now = then, now

    def carry(self, box: Box) -> Box:
        """Return where `box` is now if it moved with the picture around it; itself where unknown."""
        if len(self._then) < _MIN_CORNERS:
            return box
        middle = np.array((box.centre.x, box.centre.y), np.float32)
        nearest = np.argsort(((self._then - middle) ** 2).sum(axis=1), kind="stable")[:_NEAREST]
        move, inliers = cv2.estimateAffinePartial2D(
            self._then[nearest],
            self._now[nearest],
            method=cv2.RANSAC,
            ransacReprojThreshold=_MAX_FIT_ERROR,
        )
        # The stubs omit that there may be no solution.
        if move is None or float(np.mean(inliers)) < _MIN_INLIERS:  # type: ignore[redundant-expr]
            return box
        size = float(np.hypot(move[0, 0], move[1, 0]))
        x, y = (float(v) for v in move[:, :2] @ middle + move[:, 2])
        half_width, half_height = box.width * size / 2, box.height * size / 2
        return Box(x - half_width, y - half_height, x + half_width, y + half_height)


_NO_FLOW = Flow(np.zeros((0, 2), np.float32), np.zeros((0, 2), np.float32))


class CameraMotion:
    """Measures the flow between consecutive analysed frames."""

    def __init__(self) -> None:
        self._last: Image | None = None

    def hold(self, luma: Luma) -> None:
        """Set the last frame."""
        self._last = _small(luma)

    def flow(self, luma: Luma, bodies: Sequence[Box]) -> Flow:
        """Return how the picture moved since the last frame, and set `luma` as the last one.

        Args:
            luma: the brightness at analysis size.
            bodies: what moves by itself, in pixels of it.
        """
        before, self._last = self._last, _small(luma)
        if before is None or before.shape != self._last.shape:
            return _NO_FLOW
        scale = luma.size[0] / before.shape[1]
        then = _corners(before, _mask_without(before, bodies, scale))
        now = _followed(before, self._last, then)
        back = _followed(self._last, before, now)
        steady = np.abs(back - then).max(axis=1, initial=0.0) < _MAX_RETURN_ERROR
        return Flow(then[steady] * np.float32(scale), now[steady] * np.float32(scale))


def _corners(image: Image, where: Image) -> Points:
    """Return corners where the mask `where` is set: float32 (n, 2), the clearest first."""
    # The stubs omit that there may be none.
    found: Points | None = cv2.goodFeaturesToTrack(image, _CORNERS, _QUALITY, _DISTANCE, mask=where)  # type: ignore[assignment]
    return np.zeros((0, 2), np.float32) if found is None else found.reshape(-1, 2)


def _followed(one: Image, two: Image, points: Points) -> Points:
    """Return where the points (n, 2) of `one` are in `two`; far outside where they are lost."""
    if not len(points):
        return points
    start = points.copy()
    found, status, _ = cv2.calcOpticalFlowPyrLK(
        one, two, points, start, winSize=_WINDOW, maxLevel=_LEVELS
    )
    result = np.asarray(found, np.float32).reshape(-1, 2)
    result[np.asarray(status).ravel() == 0] = _LOST
    return result


def _small(luma: Luma) -> Image:
    """Return uint8 grey, at most 480 px along the longer side."""
    scale = min(1.0, _LONGER_SIDE / max(luma.size))
    plane = np.ascontiguousarray(luma.plane)
    small = cv2.resize(plane, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
    return np.ascontiguousarray(small, np.uint8)


def _mask_without(image: Image, bodies: Sequence[Box], scale: float) -> Image:
    """Return a uint8 mask, 255 outside the bodies."""
    mask = np.full(image.shape, 255, np.uint8)
    height, width = image.shape
    for body in bodies:
        box = body.scaled(1 / scale).clipped(width, height)
        mask[int(box.y1) : int(np.ceil(box.y2)), int(box.x1) : int(np.ceil(box.x2))] = 0
    return mask
