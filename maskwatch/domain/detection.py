"""A face found in one frame."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from maskwatch.domain.geometry import Box, Point


@dataclass(frozen=True, slots=True)
class Detection:
    """A face in one frame, in pixels of the image it was found in.

    Attributes:
        box: the face's rectangle.
        score: the detector's confidence, 0 to 1.
        landmarks: right eye, left eye (as the person sees them), nose tip, right and left mouth corner.
    """

    box: Box
    score: float
    landmarks: tuple[Point, Point, Point, Point, Point]

    def scaled(self, factor: float) -> Detection:
        return self._mapped(self.box.scaled(factor), lambda p: Point(p.x * factor, p.y * factor))

    def moved(self, dx: float, dy: float) -> Detection:
        """Return the detection in an image whose origin lies at (-dx, -dy) of this one."""
        return self._mapped(self.box.moved(dx, dy), lambda p: Point(p.x + dx, p.y + dy))

    def _mapped(self, box: Box, point: Callable[[Point], Point]) -> Detection:
        right_eye, left_eye, nose, right_mouth, left_mouth = map(point, self.landmarks)
        return Detection(box, self.score, (right_eye, left_eye, nose, right_mouth, left_mouth))
