"""Evidence that the face of one track moves by itself, as a living one does and a poster does not.

Three signs count, each relative to the camera's own motion. Travel: the face leaves the place where
it was first seen, or comes nearer, by more than the detector jitters. Shift: its pixels move against
the picture around it, which is measured far more finely than its box. Animation: for a while its pixels
change by more than noise explains, and its box moves a little too.

A face that shows none of them within `still_after` seconds is a person who holds still if its pixels
change as breathing and blinking do and its box is not at rest, or, where the pixels cannot be
compared, if its box moves. Any other is a poster.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Sequence
from enum import StrEnum
from statistics import fmean, median

from maskwatch.domain import Box

_TRAVEL = 0.15  # face heights
_GROWTH = 0.14  # of the logarithm of the height
_JITTER = 1.5  # px added to both limits: the boxes of small faces jitter more
_TRAVEL_SIGHTINGS = 2  # in a row: the detector slips once, seldom twice

# In face heights. Of photographs under shaken, panned and zoomed cameras, 1 in 100 moves so far within
# still_after, and further with time; none moves by half of the second limit under a camera at rest.
_SHIFT, _SHIFT_PER_SECOND = 0.042, 0.008
_SHIFT_AT_REST = 0.025
_SHIFT_SIGHTINGS = 2  # in a row
_CAMERA_REST = 0.03  # face heights of the camera's motion, and of the logarithm of its zoom

_MIN_CHANGE = 0.8  # change of the face's pixels; about 1 is what noise explains
_MEAN_CHANGE = 1.1  # over the whole animation
_ANIMATED_FOR = 1.0  # s without a break
_ANIMATED_SIGHTINGS = 5
_SWAY = 0.03  # face heights that the box must have moved meanwhile
_UNHIDDEN = 0.92  # share of its first height from which a face counts as not half hidden
_SMOOTHED = 5  # sightings whose median place counts
_STILL_CHANGE = 0.55  # mean change of a poster; people who hold still come to more within a second
_LIGHT = 2.0  # mean change from which light, rain or a wrong alignment is the likelier cause
# Of a camera at rest: mean change and shift of a face that is no poster.
_STIRRED_CHANGE, _STIRRED_SHIFT = 0.45, 0.012
_REST = 0.02  # face heights from its first place within which a box is at rest
_EARLIEST = 2 / 3  # share of the set time from which a face may be found to be a person's
_COMPARED = 3  # latest comparisons that count


class Liveness(StrEnum):
    """Whether a face has shown motion of its own."""

    PENDING = "pending"
    ALIVE = "alive"
    STILL = "still"


class MotionEvidence:
    """The signs of life of one track: after `still_after` seconds it is a person or a poster.

    `alive` says that it is a person; `unsettled`, that it is one who holds still.
    """

    def __init__(self, still_after: float) -> None:
        self.unsettled = self._settled = False
        self._comparisons: deque[float] = deque(maxlen=_COMPARED)
        self._still_after = still_after
        self._first: Box | None = None
        self._first_moment = self._moment = self._animated_since = 0.0
        self._shifts: deque[float] = deque(maxlen=_COMPARED)
        self._camera_moved = False
        self._travelled = self._shifted = 0
        self._changes: list[float] = []
        self._first_places: list[tuple[float, float]] = []
        self._last_places: deque[tuple[float, float]] = deque(maxlen=_SMOOTHED)
        self.alive = False

    @property
    def liveness(self) -> Liveness:
        """ALIVE once shown, from then on; STILL after the set time without a sign; else PENDING."""
        if self.alive:
            return Liveness.ALIVE
        waited = self._moment - self._first_moment
        return Liveness.STILL if waited >= self._still_after else Liveness.PENDING

    @property
    def still_for(self) -> float:
        """Seconds since the set time ended."""
        return self._moment - self._first_moment - self._still_after

    def observe(
        self,
        box: Box,
        moment: float,
        carried: Sequence[Box],
        change: float | None,
        *,
        shift: float | None = None,
        crowded: bool = False,
    ) -> Liveness:
        """Add one sighting that matched a detection; return the liveness after it.

        Args:
            box: the detection in pixels of the analysed picture.
            moment: seconds of the frame.
            carried: where the first sighting would be now if only the camera had moved, by each
                way of measuring that; in the same pixels.
            change: change of the face's pixels since it was first seen, 1 being what noise
                explains; None while it cannot be compared.
            shift: how far the face's pixels moved against the picture around it since then, in face
                heights; None while that is unknown.
            crowded: whether another person is so near that the change may be theirs.
        """
        if self._first is None:
            self._first = box
            self._first_moment = self._moment = moment
        self._moment = max(moment, self._moment)
        origins = (self._first, *carried)
        self._camera_moved |= any(_moved(self._first, one) for one in carried)
        travelled = self._travels(box, origins)
        self._travelled = self._travelled + 1 if travelled else 0
        self._shifted = self._shifted + 1 if self._is_shifted(shift) else 0
        if shift is not None:
            self._shifts.append(shift)
        # A face that became shorter may be half hidden by a person whom the detector does not find.
        hidden = box.height < _UNHIDDEN * self._first.height
        self._add_change(None if hidden or crowded else change)
        if change and not hidden:  # 0 where the surroundings do not fit
            self._comparisons.append(change)
        moves = self._travelled >= _TRAVEL_SIGHTINGS or self._shifted >= _SHIFT_SIGHTINGS
        self.alive |= moves or self._is_animated()
        self._settle()
        return self.liveness

    def _settle(self) -> None:
        """Decide by the end of the set time whether a face without a sign of life is a person's."""
        age = self._moment - self._first_moment
        if self.alive or self._settled or age < _EARLIEST * self._still_after:
            return
        self._settled = age >= self._still_after
        self.unsettled = self.alive = not self._is_still()

    def _is_still(self) -> bool:
        """Return whether the face is as still as a poster, which light, rain and jitter change too."""
        if len(self._comparisons) < _COMPARED:
            return self._sway() < _SWAY
        if len(self._comparisons) == len(self._shifts) == _COMPARED and not self._camera_moved:
            stirred = _STIRRED_CHANGE <= fmean(self._comparisons) < _LIGHT
            if stirred and fmean(self._shifts) >= _STIRRED_SHIFT:
                return False
        x, y = (fmean(axis) for axis in zip(*list(self._last_places)[-_COMPARED:], strict=True))
        stirs = _STILL_CHANGE <= fmean(self._comparisons) < _LIGHT
        return not (stirs and math.hypot(x, y) >= _REST)

    def _travels(self, box: Box, origins: Sequence[Box]) -> bool:
        """Note the face's place and return whether it is far from, or nearer than, its origins."""
        # The least displacement counts, so that a wrong estimate of the camera's motion moves no poster.
        place = min((_displacement(one, box) for one in origins), key=lambda way: math.hypot(*way))
        self._last_places.append(place)
        if len(self._first_places) < _SMOOTHED:
            self._first_places.append(place)
        grown = all(_grown(one, box) for one in origins)
        return math.hypot(*place) >= _limit(_TRAVEL, box) or grown

    def _is_shifted(self, shift: float | None) -> bool:
        """Return whether the pixels moved; later than `still_after`, a drift adds up to that too."""
        age = self._moment - self._first_moment
        if shift is None or age > self._still_after:
            return False
        return shift >= (_SHIFT + _SHIFT_PER_SECOND * age if self._camera_moved else _SHIFT_AT_REST)

    def _add_change(self, change: float | None) -> None:
        if change is None or change < _MIN_CHANGE:
            self._changes.clear()
            return
        if not self._changes:
            self._animated_since = self._moment
        self._changes.append(change)

    def _is_animated(self) -> bool:
        lasted = self._moment - self._animated_since
        if len(self._changes) < _ANIMATED_SIGHTINGS or lasted < _ANIMATED_FOR:
            return False
        return fmean(self._changes) >= _MEAN_CHANGE and self._sway() >= _SWAY

    def _sway(self) -> float:
        """Return the distance (face heights) from the first place, with the jitter smoothed out."""
        (x, y), (x0, y0) = _median_place(self._last_places), _median_place(self._first_places)
        return math.hypot(x - x0, y - y0)


def _displacement(origin: Box, box: Box) -> tuple[float, float]:
    """Return how far a face is from `origin`, to the right and down, in its heights."""
    height = max(origin.height, box.height, 1.0)
    right, down = box.centre.x - origin.centre.x, box.centre.y - origin.centre.y
    return right / height, down / height


def _moved(origin: Box, carried: Box) -> bool:
    """Return whether the camera moved: a place of the picture is no longer where it was."""
    zoomed = abs(math.log(max(carried.height, 1.0) / max(origin.height, 1.0)))
    return max(math.hypot(*_displacement(origin, carried)), zoomed) > _CAMERA_REST


def _median_place(places: Sequence[tuple[float, float]]) -> tuple[float, float]:
    return median(x for x, _ in places), median(y for _, y in places)


def _grown(origin: Box, box: Box) -> bool:
    """Return whether the face came nearer; one that shrinks may be a poster that is half hidden."""
    return math.log(max(box.height, 1.0) / max(origin.height, 1.0)) >= _limit(_GROWTH, box)


def _limit(share: float, box: Box) -> float:
    return share + _JITTER / max(box.height, 1.0)
