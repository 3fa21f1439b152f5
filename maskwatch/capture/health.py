"""Detects a camera that is blind: black, frozen, covered, out of focus or moved.

Works on pictures reduced to some 64 x 36 pixels. The usual view is learnt from the camera's own
pictures, and a fault must last before it is reported.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import cv2
import numpy as np
import numpy.typing as npt

from maskwatch.domain.camera import BlindReason

if TYPE_CHECKING:
    from maskwatch.domain.frame import Image, Luma

Plane = npt.NDArray[np.float32]

_WIDTH = 64
_LINES = 64
_STEEPEST_SHARE = 0.997
_THINNING = 4
_LARGE = 8  # px in a cell, from which few of them give its mean
_MIN_CONTRAST = 1.0
_MAX_STEP_S = 1.0


@dataclass(frozen=True, slots=True)
class HealthLimits:
    """When a picture counts as bad. Levels are 0 to 255, times are seconds."""

    black_level: float = 24.0
    """All but the brightest hundredth of a black picture is darker than this."""
    covered_contrast: float = 6.0
    """The standard deviation of the picture of a covered lens is below this."""
    focus_share: float = 0.4
    """Detail relative to the usual one, below which the camera is out of focus."""
    moved_correlation: float = 0.25
    """Correlation of the edges with the usual view, below which the camera was moved."""
    hold: float = 5.0
    """How long black, covered, out of focus or moved must last."""
    frozen_hold: float = 30.0
    """How long every pixel may stay the same: quiet scenes are coded as unchanged for seconds."""
    recover: float = 1.0
    """How long a picture must be good again."""
    learn: float = 10.0
    """Seconds of good view before focus and view are judged."""
    relearn: float = 120.0
    """Time after which a new view becomes the usual one."""
    memory: float = 60.0
    """Time constant of the usual view, which follows the light."""


@dataclass(frozen=True, slots=True)
class View:
    """Measurements of one picture.

    Attributes:
        plane: the picture reduced by averaging, float32 (about 36, 64).
        samples: single pixels of it, uint8: noise makes them differ from frame to frame.
        detail: the steepest edges relative to the contrast; independent of brightness.
    """

    plane: Plane
    samples: npt.NDArray[np.uint8]
    detail: float


def measure(luma: Luma) -> View:
    """Measure a picture of at least 64 pixels across."""
    image = luma.plane
    step = max(1, image.shape[1] // _WIDTH)
    size = image.shape[1] // step, image.shape[0] // step
    # Of a large picture every fourth pixel: the means of the blocks hardly change.
    thinned = np.ascontiguousarray(image[::_THINNING, ::_THINNING]) if step >= _LARGE else image
    plane = luma.levels(_shrunk(thinned, size))
    return View(plane, image[::step, ::step].copy(), _detail(luma, plane))


def _shrunk(image: Image, size: tuple[int, int]) -> Plane:
    small = cv2.resize(np.ascontiguousarray(image), size, interpolation=cv2.INTER_AREA)
    return np.asarray(small, np.float32)


def _detail(luma: Luma, plane: Plane) -> float:
    """Return the steepness of the steepest edges: blur reduces it, noise hardly raises it.

    Measured on nine clips at 640 wide: a blur of 4 px leaves 0.15 to 0.37 of it, people who walk
    about leave 0.9 and more.
    """
    lines = np.ascontiguousarray(luma.plane[:: max(1, luma.size[1] // _LINES)])
    edges = cv2.absdiff(lines[:, 1:], lines[:, :-1])
    counts = cv2.calcHist([edges], [0], None, [256], [0, 256]).ravel()
    steepest = float(np.searchsorted(counts.cumsum(), _STEEPEST_SHARE * edges.size))
    return luma.gain * steepest / max(_MIN_CONTRAST, float(plane.std()))


def edge_correlation(one: Plane, other: Plane) -> float:
    """Correlate the edges of two planes, -1 to 1; independent of brightness and contrast."""
    if one.shape != other.shape:
        return 0.0
    pairs = [(np.diff(one, axis=axis), np.diff(other, axis=axis)) for axis in (0, 1)]
    common = sum(float((a * b).sum()) for a, b in pairs)
    powers = [sum(float((pair[side] ** 2).sum()) for pair in pairs) for side in (0, 1)]
    return common / math.sqrt(max(powers[0] * powers[1], 1e-6))


class HealthMonitor:
    """Judges the pictures of one camera; deterministic."""

    def __init__(self, limits: HealthLimits | None = None) -> None:
        self._limits = limits or HealthLimits()
        self._blind: BlindReason | None = None
        self._candidate: BlindReason | None = None
        self._since = 0.0
        self._last: float | None = None
        self._changed_at = 0.0
        self._samples: npt.NDArray[np.uint8] | None = None
        self._usual: Plane | None = None
        self._usual_detail = 0.0
        self._learnt = 0.0

    def observe(self, luma: Luma, moment: float) -> BlindReason | None:
        """Judge the frame of a moment (seconds); return why the camera is blind, or None."""
        view = measure(luma)
        passed = 0.0 if self._last is None else min(_MAX_STEP_S, moment - self._last)
        self._last = moment
        candidate = self._classify(view, moment)
        if candidate is not self._candidate:
            self._candidate, self._since = candidate, moment
        self._confirm(moment - self._since)
        if candidate is None:
            self._learn(view, passed)
        return self._blind

    def reset(self) -> None:
        """Forget the last pictures, but not the usual view: the stream began again."""
        self._samples = None
        self._candidate = None
        self._last = None

    def _classify(self, view: View, moment: float) -> BlindReason | None:
        frozen = self._frozen(view, moment)
        if float(np.percentile(view.plane, 99)) < self._limits.black_level:
            return BlindReason.BLACK
        if float(view.plane.std()) < self._limits.covered_contrast:
            return BlindReason.COVERED
        return BlindReason.FROZEN if frozen else self._compare(view)

    def _compare(self, view: View) -> BlindReason | None:
        """Compare the view with the usual one, once that is learnt."""
        limits = self._limits
        if self._usual is None or self._learnt < limits.learn:
            return None
        if edge_correlation(view.plane, self._usual) < limits.moved_correlation:
            return BlindReason.MOVED
        if view.detail < limits.focus_share * self._usual_detail:
            return BlindReason.OUT_OF_FOCUS
        return None

    def _frozen(self, view: View, moment: float) -> bool:
        """Return whether no pixel has changed for too long."""
        if self._samples is None or not np.array_equal(view.samples, self._samples):
            self._samples, self._changed_at = view.samples, moment
        return moment - self._changed_at >= self._limits.frozen_hold

    def _confirm(self, lasted: float) -> None:
        """Report the candidate once it has lasted; report none once the picture is good again."""
        limits = self._limits
        if self._candidate is None:
            if lasted >= limits.recover:
                self._blind = None
        elif self._candidate is BlindReason.FROZEN or lasted >= limits.hold:
            self._blind = self._candidate
        if self._candidate is BlindReason.MOVED and lasted >= limits.relearn:
            self._usual, self._learnt = None, 0.0

    def _learn(self, view: View, passed: float) -> None:
        """Update the usual view: fast at first, then with the time constant `memory`."""
        if self._usual is None or self._usual.shape != view.plane.shape:
            self._usual, self._usual_detail, self._learnt = view.plane, view.detail, 0.0
            return
        self._learnt += passed
        span = min(self._limits.memory, max(self._learnt, passed))
        share = 0.0 if span <= 0 else passed / span
        self._usual = self._usual + np.float32(share) * (view.plane - self._usual)
        self._usual_detail += share * (view.detail - self._usual_detail)
