"""A scripted face detector and mask classifier, and frames for them."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta

import numpy as np

from maskwatch.domain import Box, Detection, Frame, MaskLogits, Point, Reading
from maskwatch.domain.frame import ImagePixels, Luma, Pixels

NO_MASK = MaskLogits(mask=-3.0, no_mask=3.0, incorrect=-3.0)
MASK = MaskLogits(mask=3.0, no_mask=-3.0, incorrect=-3.0)
INCORRECT = MaskLogits(mask=-3.0, no_mask=-3.0, incorrect=3.0)

SIZE = (640, 360)
EPOCH = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)  # a Monday


def face(x: float, y: float, height: float = 48.0, score: float = 0.9, yaw: float = 0.0) -> Detection:
    """A face with its middle at (x, y); `yaw` as `quality.pose` measures it."""
    width = height * 0.8
    eyes, half = y - height * 0.12, height * 0.19
    landmarks = (
        Point(x - half, eyes),
        Point(x + half, eyes),
        Point(x + yaw * 2 * half, y + height * 0.1),
        Point(x - half * 0.8, y + height * 0.28),
        Point(x + half * 0.8, y + height * 0.28),
    )
    box = Box(x - width / 2, y - height / 2, x + width / 2, y + height / 2)
    return Detection(box, score, landmarks)


def picture(seed: int = 0, size: tuple[int, int] = SIZE) -> np.ndarray:
    """Uint8 BGR noise (height, width, 3): sharp everywhere, and different for each seed."""
    width, height = size
    return np.random.default_rng(seed).integers(30, 226, (height, width, 3), dtype=np.uint8)


def frame(
    sequence: int, moment: float, *, at: datetime | None = None, image: np.ndarray | None = None
) -> Frame:
    """A frame whose full picture is the analysed one."""
    image = picture(sequence) if image is None else image
    captured = at or EPOCH + timedelta(seconds=moment)
    pixels = ImagePixels(image)
    return Frame(sequence, captured, moment, luma(image), pixels, pixels)


def luma(image: np.ndarray) -> Luma:
    """The brightness of an uint8 BGR image, whose noise is that of one channel: the green one."""
    return Luma(image[:, :, 1])


class ScriptedDetector:
    """Returns the scripted detections frame by frame, then none."""

    def __init__(self, script: Sequence[Sequence[Detection]]) -> None:
        self.script = [list(detections) for detections in script]
        self.calls = 0

    def detect(self, image: np.ndarray) -> list[Detection]:
        assert image.dtype == np.uint8
        self.calls += 1
        return self.script[self.calls - 1] if self.calls <= len(self.script) else []


class ScriptedClassifier:
    """Reads each face by `logits_for`; `read` records the detections."""

    id = "scripted"
    prior = MaskLogits(*(math.log(share) for share in (0.45, 0.45, 0.10)))

    def __init__(self, logits_for: Callable[[Detection], MaskLogits] = lambda _: NO_MASK) -> None:
        self.logits_for = logits_for
        self.read: list[Detection] = []

    def classify(self, picture: Pixels, detections: Sequence[Detection]) -> list[Reading]:
        assert picture.size
        self.read += detections
        return [Reading(self.logits_for(detection)) for detection in detections]
