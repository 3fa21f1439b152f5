"""What is covered in a picture cannot be recovered from it: the tests are exact."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from maskwatch.domain import Box, Point, Polygon
from maskwatch.privacy.anonymize import Anonymizer, body_box, face_area, mosaic
from tests.fakes.vision import face, picture

_IMAGE = picture(11)  # 640 x 360, not shrunk: cells are those of the picture itself
_SUBJECT = face(200, 100, 40).box
_COARSE = math.ceil(640 / 32)


def _colours(patch: np.ndarray) -> int:
    return len(np.unique(patch.reshape(-1, 3), axis=0))


def _slices(box: Box) -> tuple[slice, slice]:
    inside = box.clipped(640, 360)
    return slice(int(inside.y1), math.ceil(inside.y2)), slice(int(inside.x1), math.ceil(inside.x2))


def test_every_pixel_outside_the_body_comes_from_the_coarse_cells() -> None:
    out, scale = Anonymizer().picture(_IMAGE, [_SUBJECT], [_SUBJECT])
    body = _slices(body_box(_SUBJECT))
    outside = np.ones((360, 640), bool)
    outside[body] = False
    assert scale == 1.0
    np.testing.assert_array_equal(out[outside], mosaic(_IMAGE, _COARSE)[outside])


def test_the_body_is_shown_unchanged_except_for_the_face() -> None:
    out, _ = Anonymizer().picture(_IMAGE, [_SUBJECT], [_SUBJECT])
    legs = np.s_[200:340, 180:220]
    np.testing.assert_array_equal(out[legs], _IMAGE[legs])
    assert not np.array_equal(out[_slices(_SUBJECT)], _IMAGE[_slices(_SUBJECT)])


@pytest.mark.parametrize("height", [6, 20, 40, 77, 130])
def test_a_face_is_at_most_eight_cells_across_with_its_margin(height: int) -> None:
    subject = face(320, 180, height).box
    out, _ = Anonymizer().picture(_IMAGE, [subject], [subject])
    rows, columns = _slices(face_area(subject))
    patch = out[rows, columns]
    for line in (patch[patch.shape[0] // 2], patch[:, patch.shape[1] // 2]):
        changes = np.any(line[1:] != line[:-1], axis=1).sum() + 1
        assert changes <= 8 + 1  # a cell may be cut at either end


def test_the_whole_margin_is_covered() -> None:
    out, _ = Anonymizer().picture(_IMAGE, [_SUBJECT], [_SUBJECT])
    rows, columns = _slices(face_area(_SUBJECT))
    assert not np.any(np.all(out[rows, columns] == _IMAGE[rows, columns], axis=2).all(axis=1))
    assert _colours(out[rows, columns]) <= 81


def test_the_output_depends_only_on_the_means_of_the_covered_cells() -> None:
    """Mutation "blur removed": pixels permuted under the mosaic must not show.

    The subject's area is changed so that each of its cells keeps its mean; the pictures must be
    identical.
    """
    area = face_area(_SUBJECT)
    cell = math.ceil(max(area.width, area.height) / 7)
    x1, y1 = math.floor(area.x1 / cell) * cell, math.floor(area.y1 / cell) * cell
    x2, y2 = math.ceil(area.x2 / cell) * cell, math.ceil(area.y2 / cell) * cell
    other = _IMAGE.copy()
    for y in range(y1, y2, cell):
        for x in range(x1, x2, cell):
            other[y : y + cell, x : x + cell] = other[y : y + cell, x : x + cell][::-1, ::-1]
    # The body box covers the picture: mirrored fine cells could change coarse ones outside it.
    body_only = Anonymizer().picture(_IMAGE, [Box(-999, -999, 1999, 1999)], [_SUBJECT])[0]
    again = Anonymizer().picture(other, [Box(-999, -999, 1999, 1999)], [_SUBJECT])[0]
    assert not np.array_equal(other, _IMAGE)
    np.testing.assert_array_equal(again, body_only)


def test_another_face_inside_the_subjects_body_is_covered() -> None:
    child = face(210, 250, 24).box
    alone = Anonymizer().picture(_IMAGE, [_SUBJECT], [_SUBJECT])[0]
    both = Anonymizer().picture(_IMAGE, [_SUBJECT], [_SUBJECT, child])[0]
    np.testing.assert_array_equal(alone[_slices(child)], _IMAGE[_slices(child)])
    assert _colours(both[_slices(child)]) <= 81


def test_a_small_face_outside_the_body_is_as_coarse_as_its_surroundings() -> None:
    far = face(500, 200, 12).box
    without, with_it = (Anonymizer().picture(_IMAGE, [_SUBJECT], faces)[0] for faces in ([], [far]))
    np.testing.assert_array_equal(with_it[_slices(far)], without[_slices(far)])


def test_a_large_face_outside_the_body_gets_cells_of_its_own_size() -> None:
    near = face(480, 180, 200).box
    out = Anonymizer().picture(_IMAGE, [_SUBJECT], [near])[0]
    assert _colours(out[_slices(near)]) <= 81


def test_without_a_subject_the_whole_picture_is_coarse() -> None:
    out, _ = Anonymizer().picture(_IMAGE, [], [])
    np.testing.assert_array_equal(out, mosaic(_IMAGE, _COARSE))


def test_a_private_area_is_black() -> None:
    desk = Polygon((Point(0.25, 0.4), Point(0.45, 0.4), Point(0.45, 0.8), Point(0.25, 0.8)))
    out, _ = Anonymizer([desk]).picture(_IMAGE, [_SUBJECT], [_SUBJECT])
    assert not out[150:280, 165:280].any()


def test_a_large_picture_is_scaled_to_1280_px_and_its_source_unchanged() -> None:
    large = picture(2, (1920, 1080))
    before = large.copy()
    out, scale = Anonymizer().picture(large, [], [])
    assert out.shape == (720, 1280, 3)
    assert scale == pytest.approx(2 / 3)
    np.testing.assert_array_equal(large, before)


_BOX = st.builds(
    lambda x, y, w, h: Box(x, y, x + w, y + h),
    st.floats(-900, 900),
    st.floats(-900, 900),
    st.floats(0, 900),
    st.floats(0, 900),
)


@settings(max_examples=60)
@given(st.lists(_BOX, max_size=2), st.lists(_BOX, max_size=3))
def test_boxes_of_any_place_and_size_cover_what_they_touch(bodies: list[Box], faces: list[Box]) -> None:
    small = picture(5, (96, 64))
    out, _ = Anonymizer().picture(small, bodies, faces)
    assert out.shape == small.shape
    for box in faces:
        inside = face_area(box).clipped(96, 64)
        rows = slice(int(inside.y1), math.ceil(inside.y2))
        columns = slice(int(inside.x1), math.ceil(inside.x2))
        if out[rows, columns].size:
            cell = max(1, math.ceil(max(face_area(box).width, face_area(box).height, 1) / 7))
            limit = (math.ceil(96 / cell) + 1) * (math.ceil(64 / cell) + 1)
            assert _colours(out[rows, columns]) <= limit


def test_a_small_detection_inside_a_face_adds_no_finer_cells() -> None:
    face, inner = Box(100, 60, 180, 160), Box(130, 100, 142, 112)
    alone, _ = Anonymizer().picture(_IMAGE, [face], [face])
    for covered in ([face, inner], [inner, face]):
        out, _ = Anonymizer().picture(_IMAGE, [face], covered)
        np.testing.assert_array_equal(out[60:160, 100:180], alone[60:160, 100:180])
