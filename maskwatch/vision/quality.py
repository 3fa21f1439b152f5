"""Quality gate: faces too small, blurred, dark, cut off or turned away are counted, not judged."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import cv2
import numpy as np

from maskwatch.domain import Detection, GateReason

if TYPE_CHECKING:
    from maskwatch.domain.frame import Luma
    from maskwatch.vision.camera_motion import Grey

_MAX_OUTSIDE = 0.12  # share of the face that may lie outside the picture
_BOX_HEIGHT = 0.9  # of a face's height: four of five boxes that the detector draws are as high
# Up to here turned faces of photographs that the model had never seen were judged as well as frontal
# ones (62 of 62 masked, 22 of 24 without a mask); narrower ones were not (20 of 25 masked), see
# docs/model-card.md.
_MAX_YAW = 1.0  # nose off the middle of the eyes, in distances of the eyes; about 60 degrees
_MAX_ROLL = 45.0  # degrees
_FACING_YAW, _FACING_EYES = 0.60, 0.22  # about 45 degrees
_MIN_EYE_DISTANCE = 0.18  # in widths of the face
# Beyond these limits, faces of which the detector is sure were judged well too (46 of 49 without a
# mask, 67 of 71 masked), but less surely.
_SURE_SCORE, _SURE_EYE_DISTANCE = 0.8, 0.12
_TURNED_WEIGHT = 0.5
_DARK = 28.0  # grey level of the brighter part of the face
_SHARPNESS_SIDE = 48  # px at which the sharpness of faces of any size is measured
_BLURRED = 0.017  # passed by 99 of 100 faces blurred by 2 % of their height, by 60 of 100 by 12 %


@dataclass(frozen=True, slots=True)
class Quality:
    """What was measured of one face.

    Attributes:
        gate: why the face is not judged; None if it is.
        sharpness: 0 (smeared) and up; comparable between faces of any size.
        frontal: 1 for a face that looks at the camera, 0 for a profile.
        facing: whether it is judged, and turned no further than about 45 degrees.
        crop: grey levels (48, 48) of the face; None under 4 px.
        weight: share (0 to 1) of its reading that counts; less for a face turned far away.
    """

    gate: GateReason | None
    sharpness: float
    frontal: float
    facing: bool
    crop: Grey | None = None
    weight: float = 1.0

    def picture_score(self, detection: Detection) -> float:
        """Return how good a picture this face makes: large, sharp, frontal, sure."""
        return detection.box.height * math.sqrt(self.sharpness) * (0.3 + self.frontal) * detection.score


class QualityGate:
    """Rejects faces that a careful observer would not judge.

    Args:
        smallest_face: minimum height of a face in pixels of the full picture; its box may be lower.
        score: minimum score of the detector.
    """

    def __init__(self, smallest_face: float, score: float) -> None:
        self._smallest_face, self._min_score = smallest_face, score

    def measure(self, luma: Luma, detection: Detection, scale: float) -> Quality:
        """Measure one face.

        Args:
            luma: the brightness of the analysed picture.
            detection: in pixels of it.
            scale: pixels of the full picture per pixel of the analysed one.
        """
        yaw, roll, eyes = pose(detection)
        frontal = max(0.0, 1.0 - abs(yaw))
        crop = _grey(luma, detection)
        sharpness = _sharpness(crop) if crop is not None else 0.0
        turned = abs(yaw) > _MAX_YAW or eyes < _MIN_EYE_DISTANCE
        sure = detection.score >= _SURE_SCORE and eyes >= _SURE_EYE_DISTANCE
        checks = (
            (GateReason.LOW_SCORE, detection.score < self._min_score),
            (GateReason.TOO_SMALL, detection.box.height * scale < _BOX_HEIGHT * self._smallest_face),
            (GateReason.CUT_OFF, crop is None or _outside(luma, detection) > _MAX_OUTSIDE),
            (GateReason.TURNED_AWAY, abs(roll) > _MAX_ROLL or (turned and not sure)),
            (GateReason.TOO_DARK, crop is not None and float(np.percentile(crop, 75)) < _DARK),
            (GateReason.BLURRED, sharpness < _BLURRED),
        )
        gate = next((reason for reason, holds in checks if holds), None)
        facing = gate is None and abs(yaw) <= _FACING_YAW and eyes >= _FACING_EYES
        weight = _TURNED_WEIGHT if turned else 1.0
        return Quality(gate, sharpness, frontal, facing, crop, weight)


def pose(detection: Detection) -> tuple[float, float, float]:
    """Return (yaw, roll, eye distance) of a face from its landmarks.

    Yaw is the nose's distance from the middle of the eyes in eye distances (positive: towards the
    image's right); roll is in degrees; the eye distance is in widths of the box.
    """
    right, left, nose, *_ = detection.landmarks
    dx, dy = left.x - right.x, left.y - right.y
    distance = math.hypot(dx, dy)
    width = max(detection.box.width, 1.0)
    if distance < 1e-6:
        return math.inf, 0.0, 0.0
    middle_x, middle_y = (left.x + right.x) / 2, (left.y + right.y) / 2
    along = ((nose.x - middle_x) * dx + (nose.y - middle_y) * dy) / distance
    return along / distance, math.degrees(math.atan2(dy, dx)), distance / width


def _outside(luma: Luma, detection: Detection) -> float:
    area = detection.box.area
    return 1.0 - detection.box.clipped(*luma.size).area / area if area else 1.0


def _grey(luma: Luma, detection: Detection) -> Grey | None:
    """Return grey levels (48, 48) of the part inside the picture; None under 4 px."""
    box = detection.box.clipped(*luma.size)
    crop = luma.plane[int(box.y1) : math.ceil(box.y2), int(box.x1) : math.ceil(box.x2)]
    if min(crop.shape) < 4:
        return None
    side = (_SHARPNESS_SIDE, _SHARPNESS_SIDE)
    small = cv2.resize(np.ascontiguousarray(crop), side, interpolation=cv2.INTER_AREA)
    return luma.levels(np.asarray(small, np.float32))


def _sharpness(crop: Grey) -> float:
    contrast = float(crop.std()) + 2.0
    return float(cv2.Laplacian(crop, cv2.CV_32F).std()) / contrast / 4
