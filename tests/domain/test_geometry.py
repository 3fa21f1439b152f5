"""Laws of boxes and polygons."""

from __future__ import annotations

import math

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from maskwatch.domain import Box, Point, Polygon

numbers = st.floats(-1000, 1000, allow_nan=False).map(lambda x: round(x, 3))
points = st.builds(Point, numbers, numbers)


@st.composite
def boxes(draw: st.DrawFn) -> Box:
    x, y = draw(numbers), draw(numbers)
    size = st.floats(0.01, 500).map(lambda s: round(s, 3))
    return Box(x, y, x + draw(size), y + draw(size))


@given(boxes(), boxes())
def test_intersection_over_union_is_a_symmetric_share(a: Box, b: Box) -> None:
    assert 0.0 <= a.iou(b) <= 1.0 + 1e-9
    assert a.iou(b) == pytest.approx(b.iou(a))
    assert a.intersection(b) <= min(a.area, b.area) + 1e-6


@given(boxes())
def test_a_box_overlaps_itself_completely(box: Box) -> None:
    assert box.iou(box) == pytest.approx(1.0)


@given(boxes(), boxes(), st.floats(0.1, 10))
def test_overlap_does_not_depend_on_the_scale(a: Box, b: Box, factor: float) -> None:
    assert a.scaled(factor).iou(b.scaled(factor)) == pytest.approx(a.iou(b), abs=1e-6)


@given(boxes(), st.floats(0.1, 10), st.floats(0.1, 10))
def test_scaling_multiplies_the_area(box: Box, x: float, y: float) -> None:
    assert box.scaled(x, y).area == pytest.approx(box.area * x * y, rel=1e-6, abs=1e-6)


@given(boxes(), st.floats(0, 2))
def test_growing_keeps_the_centre_and_adds_on_every_side(box: Box, share: float) -> None:
    grown = box.grown(share)
    assert grown.centre.x == pytest.approx(box.centre.x, abs=1e-6)
    assert grown.centre.y == pytest.approx(box.centre.y, abs=1e-6)
    assert grown.width == pytest.approx(box.width * (1 + 2 * share), rel=1e-6, abs=1e-6)


@given(boxes(), st.floats(1, 800), st.floats(1, 800))
def test_clipping_stays_inside_and_changes_nothing_twice(box: Box, width: float, height: float) -> None:
    inside = box.clipped(width, height)
    assert 0 <= inside.x1 <= inside.x2 <= width
    assert 0 <= inside.y1 <= inside.y2 <= height
    assert inside.clipped(width, height) == inside
    assert inside.area == pytest.approx(box.intersection(Box(0, 0, width, height)), rel=1e-6, abs=1e-6)


def test_a_box_with_swapped_corners_has_no_area() -> None:
    assert Box(5, 5, 1, 1).area == 0
    assert Box(5, 5, 1, 1).width == 0
    assert Box(0, 0, 0, 0).iou(Box(0, 0, 0, 0)) == 0


@given(boxes(), points)
def test_a_rectangular_polygon_contains_what_the_box_contains(box: Box, point: Point) -> None:
    assume(point.x not in (box.x1, box.x2))
    assume(point.y not in (box.y1, box.y2))
    corners = (
        Point(box.x1, box.y1),
        Point(box.x2, box.y1),
        Point(box.x2, box.y2),
        Point(box.x1, box.y2),
    )
    within = box.x1 < point.x < box.x2 and box.y1 < point.y < box.y2
    assert Polygon(corners).contains(point) is within


@given(st.integers(3, 12), st.floats(0, math.tau), points)
def test_the_order_and_direction_of_corners_do_not_matter(count: int, turn: float, point: Point) -> None:
    angles = [turn + i * math.tau / count for i in range(count)]
    corners = tuple(Point(math.cos(a) * 500, math.sin(a) * 500) for a in angles)
    expected = Polygon(corners).contains(point)
    assert Polygon(corners[::-1]).contains(point) is expected
    assert Polygon(corners[1:] + corners[:1]).contains(point) is expected
    distance = math.hypot(point.x, point.y)
    if distance < 500 * math.cos(math.pi / count) - 1e-6:
        assert expected
    if distance > 500 + 1e-6:
        assert not expected


def test_a_concave_part_of_the_outline_is_outside() -> None:
    u_shape = Polygon(
        tuple(Point(x, y) for x, y in [(0, 0), (1, 0), (1, 3), (2, 3), (2, 0), (3, 0), (3, 4), (0, 4)])
    )
    assert not u_shape.contains(Point(1.5, 1))
    assert u_shape.contains(Point(0.5, 1))
    assert u_shape.contains(Point(1.5, 3.5))


def test_neighbouring_zones_share_no_point_and_omit_none() -> None:
    """A person on the border belongs to exactly one of two zones side by side."""
    left = Polygon((Point(0, 0), Point(5, 0), Point(5, 10), Point(0, 10)))
    right = Polygon((Point(5, 0), Point(10, 0), Point(10, 10), Point(5, 10)))
    for y in (0.5, 5.0, 9.5):
        assert left.contains(Point(5, y)) != right.contains(Point(5, y))


@pytest.mark.parametrize("count", [0, 1, 2])
def test_a_polygon_has_three_corners_or_more(count: int) -> None:
    with pytest.raises(ValueError, match=f"got {count}"):
        Polygon((Point(0, 0),) * count)
