"""Where the face of one track was, and whether another track can be the same person."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

from maskwatch.domain import Box, Point

# All distances are in face heights; sizes are logarithms of the ratio of two heights.
_REACH, _REACH_PER_SECOND, _MAX_REACH = 0.75, 0.25, 1.25
_SIZE, _SIZE_PER_SECOND, _MAX_SIZE = 0.25, 0.03, 0.35
_MAX_GAP = 3.0  # s
# Where no one else is near, and for any gap.
_ALONE_PER_SECOND, _MAX_ALONE = 2.5, 8.0
_ALONE_SIZE_PER_SECOND, _MAX_ALONE_SIZE = 0.2, 0.9
_NEAR = 6.0
_FORESIGHT = 1.0  # s for which the motion before the loss goes on
_MARGIN = 0.15  # from the picture's edge, within which somebody leaves or enters
_PATIENCE = 4.0  # times `reassociate` for which a person lost inside the picture is awaited
_SAME_FACE = 0.35  # overlap (of the smaller box) from which two boxes are one face


@dataclass(frozen=True, slots=True)
class Sight:
    """A face at one moment: box in pixels of the full picture, moment in seconds."""

    box: Box
    moment: float


@dataclass(slots=True)
class Trail:
    """Where one track's face was.

    Attributes:
        first, last: the first and the latest match.
        velocity: at the latest match, pixels per second to the right and down.
        beside: numbers of the tracks whose faces were seen in the same frame as this one.
    """

    first: Sight
    last: Sight
    velocity: tuple[float, float] = (0.0, 0.0)
    beside: set[int] = field(default_factory=set)

    def see(self, sight: Sight, velocity: tuple[float, float]) -> None:
        """Add a match."""
        self.last, self.velocity = sight, velocity

    def leaves(self, size: tuple[int, int]) -> bool:
        """Return whether the face was last seen at the edge of the picture, or on its way there."""
        going = self._carried(_FORESIGHT).centre
        outside = not (0 <= going.x <= size[0] and 0 <= going.y <= size[1])
        return outside or _at_edge(self.last.box, size)

    def enters(self, size: tuple[int, int]) -> bool:
        """Return whether the face was first seen at the edge of the picture."""
        return _at_edge(self.first.box, size)

    def patience(self, size: tuple[int, int], reassociate: float) -> float:
        """Return for how many seconds after its last match the person is awaited."""
        return reassociate if self.leaves(size) else _PATIENCE * reassociate

    def may_return_as(self, number: int, other: Trail, size: tuple[int, int], *, alone: bool) -> bool:
        """Return whether this lost person can be the face of `other`, track `number`.

        `alone` says that no one else was near since this one was lost.
        """
        if number in self.beside:
            return False
        start = self._start_of(other)
        gap = start.moment - self.last.moment
        alone = alone and not other.enters(size) and not self.leaves(size)
        if not alone and gap > _MAX_GAP:
            return False
        near = self.distance(other) <= _reach(gap, alone=alone)
        return near and _growth(self.last.box, start.box) <= _size_limit(gap, alone=alone)

    def distance(self, other: Trail) -> float:
        """Return how far from where this face was, or was going, the other began (face heights)."""
        start = self._start_of(other)
        carried = self._carried(min(start.moment - self.last.moment, _FORESIGHT))
        height = max(self.last.box.height, start.box.height, 1.0)
        return min(_apart(box.centre, start.box.centre) for box in (self.last.box, carried)) / height

    def shares_face(self, other: Trail) -> bool:
        """Return whether both tracks were matched in one frame, to boxes of one face."""
        box, second = self.last.box, other.last.box
        smaller = min(box.area, second.area)
        same_moment = self.last.moment == other.last.moment
        return same_moment and smaller > 0 and box.intersection(second) / smaller > _SAME_FACE

    def is_near(self, other: Trail) -> bool:
        """Return whether the other face was last seen in the neighbourhood of this one."""
        height = max(self.last.box.height, other.last.box.height, 1.0)
        return _apart(self.last.box.centre, other.last.box.centre) <= _NEAR * height

    def _start_of(self, other: Trail) -> Sight:
        """Return the other's first match after the latest of this one."""
        return other.first if other.first.moment > self.last.moment else other.last

    def _carried(self, seconds: float) -> Box:
        right, down = self.velocity
        return self.last.box.moved(right * seconds, down * seconds)


def _reach(gap: float, *, alone: bool) -> float:
    if alone:
        return min(_REACH + _ALONE_PER_SECOND * gap, _MAX_ALONE)
    return min(_REACH + _REACH_PER_SECOND * gap, _MAX_REACH)


def _size_limit(gap: float, *, alone: bool) -> float:
    if alone:
        return min(_SIZE + _ALONE_SIZE_PER_SECOND * gap, _MAX_ALONE_SIZE)
    return min(_SIZE + _SIZE_PER_SECOND * gap, _MAX_SIZE)


def _growth(one: Box, other: Box) -> float:
    return abs(math.log(max(one.height, 1.0) / max(other.height, 1.0)))


def _apart(one: Point, other: Point) -> float:
    return math.hypot(one.x - other.x, one.y - other.y)


def _at_edge(box: Box, size: tuple[int, int]) -> bool:
    width, height = size
    margin = _MARGIN * box.height
    return box.x1 < margin or box.x2 > width - margin or box.y1 < margin or box.y2 > height - margin
