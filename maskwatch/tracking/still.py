"""Tells people from posters and mannequins: a living face shows motion of its own.

Two signs count, each measured against the camera's own shake. A face that goes somewhere: its
middle leaves the place where it was first seen, or it grows or shrinks, by more than the detector
jitters. A face that stays but lives: its pixels change (it turns, blinks, speaks, sways) by more
than the picture around it does.
"""

from __future__ import annotations

import math
from enum import StrEnum

from maskwatch.domain import Box, Point

__all__ = ["Liveness", "OwnMotion"]

_TRAVEL = 0.30  # face heights from the first place
_GROWTH = 0.16  # of the logarithm of the height
_AGREEING = 2  # sightings in a row that must say so: the detector slips once, seldom twice
_LIVELY = 3.0  # pixel change in the face, in units of what noise and jitter explain
_LIVELY_SIGHTINGS = 3


class Liveness(StrEnum):
    """What is known about a face's own motion."""

    PENDING = "pending"
    ALIVE = "alive"
    STILL = "still"


class OwnMotion:
    """Watches one track.

    Args:
        still_after: seconds without motion of its own after which a face counts as a poster.

    """

    __slots__ = ("_anchor", "_far", "_first", "_lively", "_moment", "_still_after", "alive")

    def __init__(self, still_after: float) -> None:
        self._still_after = still_after
        self._anchor: tuple[Box, Point] | None = None
        self._first = self._moment = 0.0
        self._far = self._lively = 0
        self.alive = False

    @property
    def liveness(self) -> Liveness:
        """ALIVE for good once shown; STILL after the set time without a sign; else PENDING."""
        if self.alive:
            return Liveness.ALIVE
        waited = self._moment - self._first
        return Liveness.STILL if waited >= self._still_after else Liveness.PENDING

    def see(self, box: Box, moment: float, shift: Point, liveliness: float) -> None:
        """Take in one sighting that matched a detection.

        Args:
            box: the detection in pixels of the full picture.
            moment: seconds of the frame.
            shift: how far the camera's picture has moved since the start, in the same pixels.
            liveliness: change of the face's pixels since the last sighting, in units of what noise
                and jitter explain.

        """
        if self._anchor is None:
            self._anchor = (box, shift)
            self._first = self._moment = moment
            return
        self._moment = max(moment, self._moment)
        self._far = self._far + 1 if self._travelled(box, shift) else 0
        self._lively += liveliness > _LIVELY
        self.alive |= self._far >= _AGREEING or self._lively >= _LIVELY_SIGHTINGS

    def _travelled(self, box: Box, shift: Point) -> bool:
        assert self._anchor is not None
        first, shift_then = self._anchor
        height, before = max(box.height, 1.0), max(first.height, 1.0)
        across, down = box.centre.x - first.centre.x, box.centre.y - first.centre.y
        steady = math.hypot(across - shift.x + shift_then.x, down - shift.y + shift_then.y)
        # The lesser of the two, so that a wrong estimate of the camera's shake moves no poster.
        away = min(math.hypot(across, down), steady) / max(height, before)
        return away >= _TRAVEL or abs(math.log(height / before)) >= _GROWTH
