"""Tells people from posters and mannequins: a living face shows motion of its own.

Two signs count, each measured against the camera's own motion. A face that goes somewhere: it
leaves the place where it was first seen, or comes nearer, by more than the detector jitters.
A face that stays but lives: for a while its pixels change by more than noise explains, and its box
moves a little too.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Iterator, Sequence
from enum import StrEnum
from statistics import fmean, median

from maskwatch.domain import Box

__all__ = ["Liveness", "MotionEvidence", "StillPlaces"]

_TRAVEL = 0.15  # face heights
_GROWTH = 0.14  # of the logarithm of the height
_JITTER = 1.5  # px that both grant besides: small faces jitter more
_AGREEING = 2  # sightings in a row that must say so: the detector slips once, seldom twice

_LIVELY = 0.8  # change of the face's pixels; about 1 is what noise explains
_LIVELY_MEAN = 1.1  # over the whole while
_LIVELY_FOR = 1.0  # s without a break
_LIVELY_SIGHTINGS = 5
_SWAY = 0.03  # face heights that the box must have moved meanwhile
_WHOLE = 0.92  # share of its first height from which a face counts as not hidden
_SMOOTHED = 5  # sightings whose median place is the place

_SAME_PLACE = 0.6
_FORGET = 600.0  # s


class Liveness(StrEnum):
    """What is known about a face's own motion."""

    PENDING = "pending"
    ALIVE = "alive"
    STILL = "still"


class MotionEvidence:
    """Watches one track.

    Args:
        still_after: seconds without motion of its own after which a face counts as a poster.

    """

    __slots__ = (
        "_changes",
        "_earliest",
        "_far",
        "_first",
        "_latest",
        "_lively_since",
        "_moment",
        "_start",
        "_still_after",
        "alive",
    )

    def __init__(self, still_after: float) -> None:
        self._still_after = still_after
        self._first: Box | None = None
        self._start = self._moment = self._lively_since = 0.0
        self._far = 0
        self._changes: list[float] = []
        self._earliest: list[tuple[float, float]] = []
        self._latest: deque[tuple[float, float]] = deque(maxlen=_SMOOTHED)
        self.alive = False

    @property
    def liveness(self) -> Liveness:
        """ALIVE for good once shown; STILL after the set time without a sign; else PENDING."""
        if self.alive:
            return Liveness.ALIVE
        waited = self._moment - self._start
        return Liveness.STILL if waited >= self._still_after else Liveness.PENDING

    def see(self, box: Box, moment: float, carried: Sequence[Box], change: float | None) -> Liveness:
        """Take in one sighting that matched a detection; return what is known now.

        Args:
            box: the detection in pixels of the analysed picture.
            moment: seconds of the frame.
            carried: where the first sighting would be now if only the camera had moved, by each
                way of measuring that; in the same pixels.
            change: how much the face's pixels changed since it was first seen, 1 being what noise
                explains; None where somebody else passes, so that it says nothing.

        """
        if self._first is None:
            self._first = box
            self._start = self._moment = moment
        self._moment = max(moment, self._moment)
        # Whichever moves it least, so that a wrong estimate of the camera's motion moves no poster.
        origins = (self._first, *carried)
        place = min((_displacement(one, box) for one in origins), key=lambda way: math.hypot(*way))
        self._latest.append(place)
        if len(self._earliest) < _SMOOTHED:
            self._earliest.append(place)
        grown = all(_grown(one, box) for one in origins)
        far = math.hypot(*place) >= _limit(_TRAVEL, box) or grown
        self._far = self._far + 1 if far else 0
        # A face that got shorter is perhaps half hidden by somebody whom nobody sees: it says nothing.
        self._note(None if box.height < _WHOLE * self._first.height else change)
        self.alive |= self._far >= _AGREEING or self._lives()
        return self.liveness

    def _note(self, change: float | None) -> None:
        if change is None or change < _LIVELY:
            self._changes.clear()
            return
        if not self._changes:
            self._lively_since = self._moment
        self._changes.append(change)

    def _lives(self) -> bool:
        lasted = self._moment - self._lively_since
        if len(self._changes) < _LIVELY_SIGHTINGS or lasted < _LIVELY_FOR:
            return False
        return fmean(self._changes) >= _LIVELY_MEAN and self._sway() >= _SWAY

    def _sway(self) -> float:
        """Return how far the face is from its first place, the detector's jitter smoothed away."""
        (x, y), (x0, y0) = _middle(self._latest), _middle(self._earliest)
        return math.hypot(x - x0, y - y0)


class StillPlaces:
    """Where posters hang: what is seen there again is no person, whatever its track did before."""

    def __init__(self) -> None:
        self._places: dict[int, tuple[Box, float]] = {}

    def remember(self, track: int, box: Box, moment: float) -> None:
        """A track's face is still at `box` (pixels of the analysed picture)."""
        self._places[track] = (box, moment)
        old = [key for key, (_, seen) in self._places.items() if moment - seen > _FORGET]
        for key in old:
            del self._places[key]

    def forget(self, track: int) -> None:
        """The face of that track moved after all: it was a person who stood still."""
        self._places.pop(track, None)

    def holds(self, box: Box, track: int) -> bool:
        """Return whether another track's still face was where `box` is."""
        return any(place.iou(box) >= _SAME_PLACE for place in self._others(track))

    def _others(self, track: int) -> Iterator[Box]:
        return (place for key, (place, _) in self._places.items() if key != track)


def _displacement(origin: Box, box: Box) -> tuple[float, float]:
    """Return how far a face is from `origin`, across and down, in its heights."""
    height = max(origin.height, box.height, 1.0)
    across, down = box.centre.x - origin.centre.x, box.centre.y - origin.centre.y
    return across / height, down / height


def _middle(places: Sequence[tuple[float, float]]) -> tuple[float, float]:
    return median(x for x, _ in places), median(y for _, y in places)


def _grown(origin: Box, box: Box) -> bool:
    """Return whether the face came nearer; one that shrinks may be a poster that somebody hides."""
    return math.log(max(box.height, 1.0) / max(origin.height, 1.0)) >= _limit(_GROWTH, box)


def _limit(share: float, box: Box) -> float:
    return share + _JITTER / max(box.height, 1.0)
