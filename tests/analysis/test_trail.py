"""Who was lost and who appears are one person only where place, size and company allow it."""

from __future__ import annotations

import pytest

from maskwatch.analysis.trail import Sight, Trail
from tests.fakes.vision import SIZE, face


def _sight(x: float, y: float, moment: float, height: float = 48.0) -> Sight:
    return Sight(face(x, y, height).box, moment)


def _trail(x: float, y: float, moment: float, height: float = 48.0) -> Trail:
    sight = _sight(x, y, moment, height)
    return Trail(sight, sight)


@pytest.mark.parametrize(
    ("x", "height", "gap", "alone", "may"),
    [
        (300, 48, 2.0, False, True),  # turned away for a moment
        (360, 48, 2.0, False, True),
        (400, 48, 2.0, False, False),  # two face heights aside, with others near
        (400, 48, 2.0, True, True),  # walked while nobody else was near
        (300, 48, 8.0, False, False),  # longer than a track is followed, with others near
        (300, 48, 8.0, True, True),
        (300, 80, 2.0, False, False),  # much nearer to the camera
        (300, 80, 5.0, True, True),
        (300, 130, 5.0, True, False),  # nobody comes so near within that time
    ],
)
def test_place_size_and_company_decide(
    x: float, height: float, gap: float, alone: bool, may: bool
) -> None:
    lost = _trail(300, 150, 10.0)
    assert lost.may_return_as(2, _trail(x, 150, 10.0 + gap, height), SIZE, alone=alone) is may


def test_two_faces_of_one_frame_are_two_people() -> None:
    lost = _trail(300, 150, 10.0)
    lost.beside.add(2)
    assert not lost.may_return_as(2, _trail(300, 150, 12.0), SIZE, alone=True)


def test_who_walked_on_behind_a_pillar_is_met_where_they_were_going() -> None:
    lost = _trail(300, 150, 10.0)
    lost.see(_sight(300, 150, 10.0), (150.0, 0.0))
    assert lost.may_return_as(2, _trail(440, 150, 11.0), SIZE, alone=False)
    assert not lost.may_return_as(2, _trail(160, 150, 11.0), SIZE, alone=False)


@pytest.mark.parametrize(
    ("x", "speed", "patience"),
    [(300, 0.0, 12.0), (300, 500.0, 3.0), (20, 0.0, 3.0), (618, 0.0, 3.0), (20, 100.0, 3.0)],
)
def test_who_leaves_by_the_edge_is_not_awaited_longer(x: float, speed: float, patience: float) -> None:
    trail = _trail(x, 150, 10.0)
    trail.see(_sight(x, 150, 10.0), (speed, 0.0))
    assert trail.patience(SIZE, 3.0) == patience


def test_a_large_face_within_the_picture_has_not_left() -> None:
    assert _trail(320, 180, 10.0, 240).patience(SIZE, 3.0) == 12.0


def test_boxes_over_one_face_at_one_moment_share_it() -> None:
    assert _trail(300, 150, 1.0).shares_face(_trail(305, 160, 1.0, 30))
    assert not _trail(300, 150, 1.0).shares_face(_trail(350, 150, 1.0))
    assert not _trail(300, 150, 1.0).shares_face(_trail(300, 150, 2.0))
