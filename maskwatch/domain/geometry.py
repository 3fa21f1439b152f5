"""Boxes, points and polygons, in pixels or relative to the picture, as their user documents."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Point:
    """A point in an image; x to the right, y down."""

    x: float
    y: float


@dataclass(frozen=True, slots=True)
class Box:
    """An upright rectangle from its upper left (x1, y1) to its lower right (x2, y2) corner."""

    x1: float
    y1: float
    x2: float
    y2: float

    @property
    def width(self) -> float:
        """Horizontal extent, never negative."""
        return max(0.0, self.x2 - self.x1)

    @property
    def height(self) -> float:
        """Vertical extent, never negative."""
        return max(0.0, self.y2 - self.y1)

    @property
    def area(self) -> float:
        return self.width * self.height

    @property
    def centre(self) -> Point:
        return Point((self.x1 + self.x2) / 2, (self.y1 + self.y2) / 2)

    def intersection(self, other: Box) -> float:
        width = min(self.x2, other.x2) - max(self.x1, other.x1)
        height = min(self.y2, other.y2) - max(self.y1, other.y1)
        return max(0.0, width) * max(0.0, height)

    def iou(self, other: Box) -> float:
        """Return intersection over union, 0 to 1."""
        shared = self.intersection(other)
        union = self.area + other.area - shared
        return shared / union if union > 0 else 0.0

    def scaled(self, x: float, y: float | None = None) -> Box:
        """Return the box in an image scaled by `x` horizontally and `y` (default `x`) vertically."""
        y = x if y is None else y
        return Box(self.x1 * x, self.y1 * y, self.x2 * x, self.y2 * y)

    def grown(self, share: float) -> Box:
        """Return the box with `share` of its size added on every side."""
        dx, dy = self.width * share, self.height * share
        return Box(self.x1 - dx, self.y1 - dy, self.x2 + dx, self.y2 + dy)

    def moved(self, right: float, down: float) -> Box:
        return Box(self.x1 + right, self.y1 + down, self.x2 + right, self.y2 + down)

    def clipped(self, width: float, height: float) -> Box:
        """Return the part of the box that lies inside an image of this size."""
        return Box(
            min(max(self.x1, 0.0), width),
            min(max(self.y1, 0.0), height),
            min(max(self.x2, 0.0), width),
            min(max(self.y2, 0.0), height),
        )


@dataclass(frozen=True, slots=True)
class Polygon:
    """A closed outline of three points or more."""

    points: tuple[Point, ...]

    def __post_init__(self) -> None:
        if len(self.points) < 3:
            raise ValueError(f"a polygon needs at least 3 points, got {len(self.points)}")

    def contains(self, point: Point) -> bool:
        """Return whether `point` lies inside (even-odd rule)."""
        inside = False
        previous = self.points[-1]
        for corner in self.points:
            if (corner.y > point.y) != (previous.y > point.y):
                slope = (previous.x - corner.x) / (previous.y - corner.y)
                if point.x < corner.x + slope * (point.y - corner.y):
                    inside = not inside
            previous = corner
        return inside
