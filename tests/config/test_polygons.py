"""Laws of outlines: what is a polygon stays one however it is turned, moved or listed."""

from __future__ import annotations

import math
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from maskwatch.config.polygons import polygon_fault

Corners = list[tuple[float, float]]


@st.composite
def stars(draw: st.DrawFn) -> Corners:
    """Corners around a centre in the order of their angle never cross."""
    count = draw(st.integers(3, 12))
    random_ = random.Random(draw(st.integers(0, 10_000)))
    turns = [(i + random_.uniform(0.1, 0.9)) * 2 * math.pi / count for i in range(count)]
    radii = [random_.uniform(0.1, 0.5) for _ in range(count)]
    return [(0.5 + r * math.cos(a), 0.5 + r * math.sin(a)) for a, r in zip(turns, radii, strict=True)]


@given(stars(), st.integers(0, 11))
def test_a_polygon_is_valid_in_either_direction_and_from_any_corner(corners: Corners, by: int) -> None:
    by %= len(corners)
    turned = corners[by:] + corners[:by]
    assert polygon_fault(turned) == polygon_fault(turned[::-1])
    if len(corners) > 3 or _angles_are_wide(corners):
        assert polygon_fault(turned)[0] is None


def _angles_are_wide(corners: Corners) -> bool:
    """A triangle of nearly one line may have no inside."""
    (ax, ay), (bx, by), (cx, cy) = corners
    return abs((bx - ax) * (cy - ay) - (by - ay) * (cx - ax)) > 1e-5


@given(stars().filter(lambda corners: len(corners) >= 4))
def test_two_exchanged_corners_never_cause_an_exception(
    corners: Corners,
) -> None:
    corners[0], corners[1] = corners[1], corners[0]
    message, hint = polygon_fault(corners)
    assert message is None or "corner" in message
    assert isinstance(hint, str)


@pytest.mark.parametrize(
    ("corners", "fault"),
    [
        ([(0, 0), (1, 0), (1, 1), (0, 1)], None),
        ([(0, 0), (1, 1), (1, 0), (0, 1)], "from corner 1 and from corner 3 cross"),
        ([(0, 0), (0.5, 0), (1, 0), (1, 1)], None),
        ([(0, 0), (1, 0), (1, 1), (0.5, 0), (0, 1)], "cross"),
        ([(0, 0), (0, 0), (1, 1)], "corner 2 is the same as corner 1"),
        ([(0, 0), (1, 0)], "at least 3 corners"),
        ([(0, 0), (1e-4, 0), (0, 1e-4)], "nothing is inside"),
    ],
)
def test_known_polygons_have_their_known_faults(corners: Corners, fault: str | None) -> None:
    message, _ = polygon_fault(corners)
    assert (message is None) if fault is None else (message is not None and fault in message)
