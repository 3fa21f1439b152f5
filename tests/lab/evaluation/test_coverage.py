"""A face counts as shown if it is inside the subject's body box and under no mosaic."""

from __future__ import annotations

from maskwatch.domain import Box
from maskwatch.lab.evaluation.coverage import UNCOVERED, uncovered

_SIZE = (640, 360)
_SUBJECT = Box(300, 100, 340, 150)


def test_the_subjects_own_face_under_its_mosaic_is_covered() -> None:
    assert uncovered(_SUBJECT, _SUBJECT, [_SUBJECT], _SIZE) == 0.0


def test_the_subjects_own_face_without_a_mosaic_is_shown() -> None:
    assert uncovered(_SUBJECT, _SUBJECT, [], _SIZE) == 1.0


def test_a_face_outside_the_body_box_is_pixelated_with_the_picture() -> None:
    assert uncovered(Box(20, 20, 60, 70), _SUBJECT, [], _SIZE) == 0.0


def test_an_undetected_neighbour_counts_as_shown() -> None:
    neighbour = Box(345, 140, 375, 180)
    assert uncovered(neighbour, _SUBJECT, [_SUBJECT], _SIZE) > UNCOVERED


def test_a_face_of_no_extent_is_not_shown() -> None:
    assert uncovered(Box(300, 100, 300, 150), _SUBJECT, [], _SIZE) == 0.0
