"""People are distinguished from posters by motion beyond jitter and the camera's shake."""

from __future__ import annotations

import random

import pytest

from maskwatch.analysis.liveness import StillPlaces
from maskwatch.analysis.own_motion import Liveness, MotionEvidence
from tests.fakes.vision import face

_FIXED = ()  # the camera does not move


def _poster(
    motion: MotionEvidence, seconds: float, height: float, seed: int, jitter: float = 0.03
) -> None:
    rng = random.Random(seed)
    for index in range(int(seconds * 5)):
        x, y, h = (rng.gauss(0, jitter * height) for _ in range(3))
        change = rng.uniform(0.1, 0.5)  # noise and compression, as on photographs that do not move
        motion.observe(face(300 + x, 200 + y, height + h).box, index / 5, _FIXED, change)


@pytest.mark.parametrize("height", [32.0, 60.0, 120.0])
def test_a_poster_with_jittering_boxes_never_becomes_alive(height: float) -> None:
    for seed in range(20):
        motion = MotionEvidence(still_after=2.0)
        _poster(motion, 60.0, height, seed)
        assert motion.liveness is Liveness.STILL


def test_a_walker_is_alive_at_the_third_sighting() -> None:
    motion = MotionEvidence(2.0)
    for index in range(3):
        motion.observe(face(100 + 48 * index, 200, 48).box, index / 5, _FIXED, None)
    assert motion.liveness is Liveness.ALIVE


def test_a_person_walking_straight_towards_the_camera_is_alive() -> None:
    motion = MotionEvidence(2.0)
    for index in range(6):
        motion.observe(face(300, 200, 48 * 1.08**index).box, index / 5, _FIXED, None)
    assert motion.alive


def test_a_half_hidden_poster_does_not_become_alive_by_shrinking() -> None:
    motion = MotionEvidence(2.0)
    for index in range(20):
        hidden = 5 < index < 14
        box = face(300, 196 if hidden else 200, 40 if hidden else 50).box
        motion.observe(box, index / 5, _FIXED, 4.0 if hidden else 0.3)
    assert not motion.alive


def test_one_wrong_box_does_not_make_a_poster_alive() -> None:
    motion = MotionEvidence(2.0)
    for index in range(20):
        motion.observe(face(340 if index == 7 else 300, 200).box, index / 5, _FIXED, 0.3)
    assert motion.liveness is Liveness.STILL


def test_a_poster_that_shakes_with_the_camera_is_still() -> None:
    rng, motion = random.Random(1), MotionEvidence(2.0)
    for index in range(100):
        box = face(300 + rng.gauss(0, 20), 200 + rng.gauss(0, 20), 50).box
        motion.observe(box, index / 5, (box,), 0.5)
    assert motion.liveness is Liveness.STILL


def test_a_wrong_estimate_of_the_shake_does_not_make_a_poster_alive() -> None:
    motion = MotionEvidence(2.0)
    for index in range(50):
        wrong = face(300, 200).box.moved(3.0 * index, 0.0), face(300, 200, 48 - 0.5 * index).box
        motion.observe(face(300, 200).box, index / 5, wrong, 0.3)
    assert motion.liveness is Liveness.STILL


def test_a_standing_person_who_sways_is_alive_within_two_seconds() -> None:
    motion = MotionEvidence(2.0)
    for index in range(10):
        motion.observe(face(300 + (index % 4) * 2, 200, 48).box, index / 5, _FIXED, 1.4)
    assert motion.alive


def test_changing_pixels_without_any_sway_are_no_sign_of_life() -> None:
    """Moving light on a poster, or rain in front of it."""
    motion = MotionEvidence(2.0)
    for index in range(50):
        motion.observe(face(300, 200, 48).box, index / 5, _FIXED, 3.0)
    assert motion.liveness is Liveness.STILL


def test_a_person_who_holds_still_is_a_person_at_the_end_of_the_set_time() -> None:
    """Pixels and box that move a little more than a poster's: a woman who listens."""
    motion = MotionEvidence(1.2)
    for index in range(7):
        motion.observe(face(300 + 0.3 * index, 200, 60).box, index / 5, _FIXED, 0.15 * index)
    assert motion.liveness is Liveness.ALIVE
    assert motion.unsettled


@pytest.mark.parametrize(("change", "right"), [(1.0, 0.3), (0.4, 2.0), (3.0, 1.5)])
def test_light_jitter_or_shake_alone_do_not_make_a_poster_a_person(change: float, right: float) -> None:
    """Flicker on a box at rest, a jittering box of the same pixels, and pixels that do not fit."""
    motion = MotionEvidence(1.2)
    for index in range(50):
        motion.observe(face(300 + right * (index > 0), 200, 60).box, index / 5, _FIXED, change)
    assert motion.liveness is Liveness.STILL


def test_a_face_that_cannot_be_compared_is_a_person_if_its_box_moves() -> None:
    person, poster = MotionEvidence(1.2), MotionEvidence(1.2)
    for index in range(11):
        person.observe(face(300 + index, 200, 60).box, index / 5, _FIXED, None)
        poster.observe(face(300 + index % 2, 200, 60).box, index / 5, _FIXED, None)
    assert person.liveness is Liveness.ALIVE
    assert poster.liveness is Liveness.STILL


def test_changes_while_another_person_is_near_are_no_sign_of_life() -> None:
    motion = MotionEvidence(5.0)
    for index in range(16):
        motion.observe(face(300 + index % 4, 200).box, index / 5, _FIXED, 1.4, crowded=True)
    assert motion.liveness is Liveness.PENDING


def test_a_poster_that_the_camera_zooms_in_on_is_still() -> None:
    motion = MotionEvidence(2.0)
    for index in range(30):
        grown = face(300 + index, 200, 48 * 1.02**index).box
        motion.observe(grown, index / 5, (grown,), 0.3)
    assert motion.liveness is Liveness.STILL


def test_a_face_is_pending_before_it_is_still() -> None:
    motion = MotionEvidence(still_after=2.0)
    seen = []
    for index in range(12):
        motion.observe(face(300, 200).box, index / 5, _FIXED, 0.1)
        seen.append(motion.liveness)
    assert seen[:10] == [Liveness.PENDING] * 10
    assert seen[10:] == [Liveness.STILL] * 2


def test_the_place_of_a_poster_is_remembered_for_other_tracks_only() -> None:
    places = StillPlaces()
    places.remember(1, face(300, 200).box, 0.0)
    assert places.contains(face(303, 201).box, track=2)
    assert not places.contains(face(303, 201).box, track=1)
    assert not places.contains(face(340, 200).box, track=2)
    places.forget(1)
    assert not places.contains(face(303, 201).box, track=2)


def test_the_place_of_a_removed_poster_is_forgotten_after_ten_minutes() -> None:
    places = StillPlaces()
    places.remember(1, face(300, 200).box, 0.0)
    places.remember(2, face(500, 200).box, 700.0)
    assert not places.contains(face(300, 200).box, track=3)


def _shifted(motion: MotionEvidence, shift: float, *, camera: float = 0.0, after: float = 0.0) -> bool:
    """Return whether a face that stays in its place while its pixels move by `shift` is alive."""
    box = face(300, 200).box
    motion.observe(box, 0.0, (box,), 0.0, shift=0.0)
    for index in range(1, 4):
        moment = after + index / 5
        motion.observe(box, moment, (box.moved(camera, 0.0),), 0.4, shift=shift)
    return motion.alive


def test_a_face_whose_pixels_move_against_the_wall_is_alive_in_its_place() -> None:
    assert _shifted(MotionEvidence(2.0), 0.03)
    assert not _shifted(MotionEvidence(2.0), 0.01)


def test_under_a_moving_camera_the_pixels_must_move_further() -> None:
    assert not _shifted(MotionEvidence(2.0), 0.03, camera=4.0)
    assert _shifted(MotionEvidence(2.0), 0.06, camera=4.0)


def test_a_shift_later_than_the_set_time_is_a_drift() -> None:
    assert not _shifted(MotionEvidence(1.0), 0.06, after=5.0)
