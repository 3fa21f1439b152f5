"""Faces that are unfit to be judged are rejected with the reason."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from maskwatch.domain import Detection, GateReason
from maskwatch.domain.frame import Luma
from maskwatch.vision.quality import QualityGate, pose
from tests.fakes.vision import face, picture

_GATE = QualityGate(smallest_face=32, score=0.6)
_SHARP = picture(3)


def _grey(image: np.ndarray) -> Luma:
    return Luma(cv2.cvtColor(image, cv2.COLOR_BGR2GRAY))


def _reason(detection: Detection, image: np.ndarray = _SHARP, scale: float = 1.0) -> GateReason | None:
    return _GATE.measure(_grey(image), detection, scale).gate


def test_a_good_face_passes() -> None:
    assert _reason(face(300, 150, 60)) is None


@pytest.mark.parametrize(
    ("detection", "reason"),
    [
        (face(300, 150, 60, score=0.59), GateReason.LOW_SCORE),
        (face(300, 150, 28), GateReason.TOO_SMALL),
        (face(5, 150, 60), GateReason.CUT_OFF),
        (face(300, 365, 60), GateReason.CUT_OFF),
        (face(-500, 150, 60), GateReason.CUT_OFF),
        (face(300, 150, 60, score=0.75, yaw=1.1), GateReason.TURNED_AWAY),
        (face(300, 150, 60, score=0.75, yaw=-1.1), GateReason.TURNED_AWAY),
    ],
)
def test_each_defect_has_its_reason(detection: Detection, reason: GateReason) -> None:
    assert _reason(detection) is reason


@pytest.mark.parametrize("yaw", [0.0, 0.7, -0.9])
def test_a_face_turned_within_the_limit_is_judged(yaw: float) -> None:
    assert _reason(face(300, 150, 60, yaw=yaw)) is None


def test_a_face_turned_beyond_it_counts_half_where_the_detector_is_sure() -> None:
    turned = _GATE.measure(_grey(_SHARP), face(300, 150, 60, score=0.85, yaw=1.1), 1.0)
    assert (turned.gate, turned.weight, turned.facing) == (None, 0.5, False)
    assert _GATE.measure(_grey(_SHARP), face(300, 150, 60, yaw=0.9), 1.0).weight == 1.0


@pytest.mark.parametrize(("yaw", "facing"), [(0.0, True), (-0.55, True), (0.7, False), (1.1, False)])
def test_a_face_turned_by_more_than_45_degrees_is_not_facing(yaw: float, facing: bool) -> None:
    assert _GATE.measure(_grey(_SHARP), face(300, 150, 60, yaw=yaw), 1.0).facing is facing


def test_size_is_judged_in_pixels_of_the_full_picture() -> None:
    assert _reason(face(300, 150, 20), scale=2.0) is None
    assert _reason(face(300, 150, 20), scale=1.4) is GateReason.TOO_SMALL


def test_a_face_of_minimum_size_may_have_a_slightly_smaller_box() -> None:
    assert _reason(face(300, 150, 29.0)) is None


def test_a_smeared_face_is_rejected_as_blurred() -> None:
    edge = np.full((360, 640, 3), 40, np.uint8)
    edge[:, 300:] = 220
    smeared = cv2.GaussianBlur(edge, (0, 0), 12)
    assert _reason(face(300, 150, 60), edge) is None
    assert _reason(face(300, 150, 60), smeared) is GateReason.BLURRED


def test_a_dark_face_is_rejected_as_too_dark() -> None:
    assert _reason(face(300, 150, 60), _SHARP // 12) is GateReason.TOO_DARK


def test_a_head_on_its_side_is_turned_away() -> None:
    upright = face(300, 150, 60)
    right, left, *rest = upright.landmarks
    tilted = type(right)(right.x, right.y), type(left)(right.x + 2, right.y + 22)
    assert _reason(Detection(upright.box, 0.9, (*tilted, *rest))) is GateReason.TURNED_AWAY


def test_coinciding_eyes_are_rejected_as_turned_away() -> None:
    upright = face(300, 150, 60)
    eye = upright.landmarks[0]
    folded = Detection(upright.box, 0.9, (eye, eye, *upright.landmarks[2:]))
    assert _reason(folded) is GateReason.TURNED_AWAY


def test_yaw_has_the_sign_of_the_side_that_the_nose_points_to() -> None:
    assert pose(face(300, 150, yaw=0.3))[0] == pytest.approx(0.3)
    assert pose(face(300, 150, yaw=-0.3))[0] == pytest.approx(-0.3)


def test_large_sharp_and_frontal_faces_make_the_better_picture() -> None:
    def score(detection: Detection, image: np.ndarray = _SHARP) -> float:
        return _GATE.measure(_grey(image), detection, 1.0).picture_score(detection)

    good = score(face(300, 150, 60))
    assert score(face(300, 150, 90)) > good
    assert score(face(300, 150, 60, yaw=0.4)) < good
    assert score(face(300, 150, 60), cv2.GaussianBlur(_SHARP, (0, 0), 3)) < good
