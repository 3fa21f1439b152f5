"""A face counts as shown when it lies within a body that is shown, and under no mosaic."""

from __future__ import annotations

from maskwatch.domain import Box
from maskwatch.lab.evaluation.coverage import UNCOVERED, uncovered

_SIZE = (640, 360)
_SUBJECT = Box(300, 100, 340, 150)


def test_the_subjects_own_face_under_its_mosaic_is_covered() -> None:
    assert uncovered(_SUBJECT, _SUBJECT, [_SUBJECT], _SIZE) == 0.0


def test_the_subjects_own_face_without_a_mosaic_is_shown() -> None:
    assert uncovered(_SUBJECT, _SUBJECT, [], _SIZE) == 1.0


def test_a_face_outside_every_shown_body_is_covered_by_the_coarse_picture() -> None:
    assert uncovered(Box(20, 20, 60, 70), _SUBJECT, [], _SIZE) == 0.0


def test_a_neighbour_whom_the_detector_missed_is_shown_and_counts() -> None:
    neighbour = Box(345, 140, 375, 180)
    assert uncovered(neighbour, _SUBJECT, [_SUBJECT], _SIZE) > UNCOVERED


def test_a_face_of_no_extent_is_no_face() -> None:
    assert uncovered(Box(300, 100, 300, 150), _SUBJECT, [], _SIZE) == 0.0
