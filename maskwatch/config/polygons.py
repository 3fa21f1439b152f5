"""Whether the corners of a zone form a polygon that has an inside."""

from __future__ import annotations

from collections.abc import Sequence

Corner = tuple[float, float]
_MIN_AREA = 1e-6  # of the picture: about two pixels of 1080p


def polygon_fault(corners: Sequence[Corner]) -> tuple[str | None, str]:
    """Return what is wrong with a polygon's corners (None: nothing) and a hint."""
    count = len(corners)
    if count < 3:
        return f"expected at least 3 corners, got {count}", ""
    edges = [(corners[i], corners[(i + 1) % count]) for i in range(count)]
    for i, (start, end) in enumerate(edges):
        if start == end:
            hint = "the outline closes by itself" if i == count - 1 else ""
            return f"corner {(i + 1) % count + 1} is the same as corner {i + 1}", hint
    for i, (start, end) in enumerate(edges):
        for j in range(i + 2, count - (i == 0)):
            if _intersect(start, end, *edges[j]):
                return f"the edges from corner {i + 1} and from corner {j + 1} cross", _ORDER
    if abs(_doubled_area(corners)) < 2 * _MIN_AREA:
        return "the corners lie in one line: nothing is inside", ""
    return None, ""


_ORDER = "list the corners in order around the zone"


def _doubled_area(corners: Sequence[Corner]) -> float:
    """Return twice the signed area (the shoelace formula)."""
    following = [*corners[1:], corners[0]]
    return sum(a[0] * b[1] - b[0] * a[1] for a, b in zip(corners, following, strict=True))


def _side(a: Corner, b: Corner, c: Corner) -> float:
    """Return on which side of the line a-b the point c lies, as a sign; 0 on the line."""
    return (b[0] - a[0]) * (c[1] - a[1]) - (b[1] - a[1]) * (c[0] - a[0])


def _intersect(a: Corner, b: Corner, c: Corner, d: Corner) -> bool:
    """Return whether the segments a-b and c-d have a point in common."""
    side_c, side_d, side_a, side_b = _side(a, b, c), _side(a, b, d), _side(c, d, a), _side(c, d, b)
    if _opposite(side_c, side_d) and _opposite(side_a, side_b):
        return True
    touching = ((side_c, a, b, c), (side_d, a, b, d), (side_a, c, d, a), (side_b, c, d, b))
    return any(side == 0 and _is_between(p, q, point) for side, p, q, point in touching)


def _opposite(a: float, b: float) -> bool:
    # Not a * b < 0: the product of small numbers may be 0.
    return a < 0 < b or b < 0 < a


def _is_between(a: Corner, b: Corner, point: Corner) -> bool:
    """Return whether `point`, which is on the line a-b, lies between a and b."""
    return min(a[0], b[0]) <= point[0] <= max(a[0], b[0]) and min(a[1], b[1]) <= point[1] <= max(
        a[1], b[1]
    )
