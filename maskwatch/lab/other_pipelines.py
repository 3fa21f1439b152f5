"""Other ways to watch a camera, measured beside maskwatch: each decodes a clip and judges its faces.

They use the same face detector and, except for the paper's way, the same mask model. So the difference
is the way. None of them decides about people, checks the picture's health, or covers faces.
"""

from __future__ import annotations

import importlib.util
import time
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

import cv2
import numpy as np

from maskwatch.domain.frame import ImagePixels
from maskwatch.vision.faces import FaceDetector
from maskwatch.vision.masks import MaskClassifier

if TYPE_CHECKING:
    import numpy.typing as npt

    from maskwatch.domain import Detection
    from maskwatch.lab.arrays import Image

    Judge = Callable[[Image, list[Detection]], object]

OPENCV, REGIONS, PAPER = "opencv", "regions", "paper"
_ABOUT = {
    OPENCV: "a loop of OpenCV: the detector on each analysed picture, the mask model on each face",
    REGIONS: "as Frigate: the detector on regions of 320 px with motion or faces, in a picture 640 wide",
    PAPER: "the paper's: the detector on each analysed picture, Keras `predict` on each face",
}
_WIDTH, _REGION, _PAPER_SIZE = 640, 320, 224
# Of the small picture: the least change of brightness, and the area in pixels.
_MIN_CHANGE, _MIN_MOTION_AREA = 25.0, 100.0
_LEARNING_RATE = 0.05


def available() -> dict[str, str]:
    """Return what each way does, by name; the paper's needs the extra `train`."""
    has_keras = importlib.util.find_spec("tensorflow") is not None
    return {name: about for name, about in _ABOUT.items() if has_keras or name != PAPER}


def watch(way: str, clip: str, rate: float, seconds: float) -> float:
    """Watch a clip in one of these ways; return the seconds of processor time, without loading."""
    detector = FaceDetector()
    find = _Regions(detector).find if way == REGIONS else detector.detect
    judge = _keras() if way == PAPER else _mask_model()
    began = time.process_time()
    for picture in _pictures(clip, rate, seconds):
        judge(picture, find(picture))
    return time.process_time() - began


def _pictures(clip: str, rate: float, seconds: float) -> Iterator[Image]:
    """Decode all of a clip, and convert what is to be analysed to BGR."""
    capture = cv2.VideoCapture(clip, cv2.CAP_FFMPEG, [cv2.CAP_PROP_N_THREADS, 1])
    interval = capture.get(cv2.CAP_PROP_FPS) or 25.0
    number = analysed = 0
    while number < seconds * interval and capture.grab():
        if number * rate >= analysed * interval:
            analysed += 1
            picture = capture.retrieve()[1]
            yield np.asarray(picture, np.uint8)
        number += 1
    capture.release()


def _mask_model() -> Judge:

    model = MaskClassifier()
    return lambda picture, faces: model.classify(ImagePixels(picture), faces)


def _keras() -> Judge:
    """Return the paper's classifier, untrained: its weights do not matter for the time."""
    import tensorflow as tf  # noqa: PLC0415 - heavy

    from maskwatch.lab.training.network import build  # noqa: PLC0415 - heavy
    from maskwatch.lab.training.settings import Settings  # noqa: PLC0415 - heavy

    tf.config.threading.set_intra_op_parallelism_threads(1)
    tf.config.threading.set_inter_op_parallelism_threads(1)
    model = build(Settings(recipe="paper", size=_PAPER_SIZE, weights="none"), 2)
    model.predict(np.zeros((1, _PAPER_SIZE, _PAPER_SIZE, 3), np.float32), verbose=0)

    def judge(picture: Image, faces: list[Detection]) -> None:
        for face in faces:
            box = face.box
            left, top = max(0, int(box.x1)), max(0, int(box.y1))
            face_picture = picture[top : int(box.y2) + 1, left : int(box.x2) + 1]
            crop = cv2.resize(face_picture, (_PAPER_SIZE, _PAPER_SIZE))
            model.predict(crop[None].astype(np.float32) / 127.5 - 1, verbose=0)

    return judge


class _Regions:
    """Finds faces in regions of a small picture: where something moves, and where faces were."""

    def __init__(self, detector: FaceDetector) -> None:
        self._detector = detector
        self._average: npt.NDArray[np.float32] | None = None
        self._centres: list[tuple[float, float]] = []

    def find(self, picture: Image) -> list[Detection]:
        scale = picture.shape[1] / _WIDTH
        height = round(picture.shape[0] / scale)
        small = np.asarray(cv2.resize(picture, (_WIDTH, height)), np.uint8)
        found = {
            face.moved(left, top).scaled(scale)
            for left, top in self._corners(small)
            for face in self._detector.detect(small[top : top + _REGION, left : left + _REGION])
        }
        centres = [face.box.centre for face in found]
        self._centres = [(centre.x / scale, centre.y / scale) for centre in centres]
        return list(found)

    def _corners(self, small: Image) -> set[tuple[int, int]]:
        """Return the left and top of each region to look at, on a grid of half a region."""
        step, (height, width) = _REGION // 2, small.shape[:2]
        return {
            (
                max(0, min(width - _REGION, round((x - step) / step) * step)),
                max(0, min(height - _REGION, round((y - step) / step) * step)),
            )
            for x, y in [*self._moving(small), *self._centres]
        }

    def _moving(self, small: Image) -> Iterator[tuple[float, float]]:
        """Yield the centres of the areas that differ from the average of the pictures before."""
        grey = cv2.GaussianBlur(cv2.cvtColor(small, cv2.COLOR_BGR2GRAY), (0, 0), 3).astype(np.float32)
        if self._average is None:
            self._average = grey
        changed = (np.abs(grey - self._average) > _MIN_CHANGE).astype(np.uint8)
        cv2.accumulateWeighted(grey, self._average, _LEARNING_RATE)
        contours, _ = cv2.findContours(changed, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_SIMPLE)
        for contour in contours:
            if cv2.contourArea(contour) >= _MIN_MOTION_AREA:
                left, top, width, height = cv2.boundingRect(contour)
                yield left + width / 2, top + height / 2
