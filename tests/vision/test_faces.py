"""The face detector gives OpenCV's boxes, on pictures of any size."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import onnx
import pytest
from skimage import data

from maskwatch.domain import Detection
from maskwatch.vision.faces import FaceDetector, analysis_size
from maskwatch.vision.interpreter import PictureNetwork
from maskwatch.vision.weights import yunet_bytes

Image = np.ndarray  # uint8 BGR
_GOLDEN = Path(__file__).with_name("golden")
_ONNX = _GOLDEN / "yunet-2023mar.onnx"
"""The published network, from which the shipped one was made."""


@pytest.fixture(scope="module")
def astronaut() -> Image:
    """A portrait in the public domain, uint8 BGR (512, 512, 3)."""
    return np.ascontiguousarray(data.astronaut()[:, :, ::-1])


@pytest.fixture(scope="module")
def detector() -> FaceDetector:
    return FaceDetector(0.5)


def _with_fixed_size(height: int, width: int) -> bytes:
    """The same network with every shape stated, as OpenCV's importer needs it."""
    model = onnx.load(_ONNX)
    sides = model.graph.input[0].type.tensor_type.shape.dim
    sides[2].dim_value, sides[3].dim_value = height, width
    return onnx.shape_inference.infer_shapes(model).SerializeToString()


def _opencv(image: Image, score: float) -> np.ndarray:
    """OpenCV's own decoding of the same weights: x, y, w, h, ten of landmarks, score; best first."""
    height, width = image.shape[:2]
    weights = np.frombuffer(_with_fixed_size(height + -height % 32, width + -width % 32), np.uint8)
    peer = cv2.FaceDetectorYN.create("onnx", weights, np.zeros(0, np.uint8), (width, height), score, 0.3)
    _, rows = peer.detect(image)
    return np.zeros((0, 15)) if rows is None else rows[np.argsort(-rows[:, 14])]


def _row(found: Detection) -> list[float]:
    box = found.box
    marks = [value for point in found.landmarks for value in (point.x, point.y)]
    return [box.x1, box.y1, box.width, box.height, *marks, found.score]


def test_the_raw_outputs_equal_those_of_the_published_network(astronaut: Image) -> None:
    """Recorded from the ONNX file for the portrait at 160 px."""
    network = PictureNetwork(yunet_bytes(), "yunet", 32)
    outputs = network.run(cv2.resize(astronaut, (160, 160), interpolation=cv2.INTER_AREA))
    with np.load(_GOLDEN / "yunet-raw.npz") as recorded:
        for found in outputs:
            expected = recorded[f"stride_{160 // len(found)}"]
            np.testing.assert_allclose(found, expected, atol=1e-4)


@pytest.mark.parametrize("size", [(512, 512), (300, 200), (641, 359), (97, 131)])
def test_boxes_landmarks_and_scores_equal_those_of_opencv(
    astronaut: Image, detector: FaceDetector, size: tuple[int, int]
) -> None:
    image = cv2.resize(astronaut, size)
    expected = _opencv(image, 0.5)
    found = detector.detect(image)
    assert len(found) == len(expected) > 0
    np.testing.assert_allclose([_row(one) for one in found], expected, atol=1e-3)


def test_two_faces_are_two_detections(astronaut: Image, detector: FaceDetector) -> None:
    two = np.hstack([astronaut, astronaut[:, ::-1]])
    found = detector.detect(two)
    assert len(found) == 2
    assert found[0].box.iou(found[1].box) == 0


def test_a_picture_without_a_face_gives_no_detection(detector: FaceDetector) -> None:
    assert detector.detect(np.full((240, 320, 3), 120, np.uint8)) == []


def test_a_smaller_picture_is_not_affected_by_a_larger_one_before(
    astronaut: Image, detector: FaceDetector
) -> None:
    """The input buffer is kept between frames: what lay beyond the picture must be black again."""
    wide = detector.detect(astronaut[:, :500])
    detector.detect(np.full((512, 512, 3), 255, np.uint8))
    assert detector.detect(np.ascontiguousarray(astronaut[:, :500])) == wide


def test_a_lower_score_only_adds_detections(astronaut: Image) -> None:
    small = cv2.resize(astronaut, (320, 320))
    sure, all_ = FaceDetector(0.6).detect(small), FaceDetector(0.05).detect(small)
    assert all_[: len(sure)] == sure
    assert len(all_) >= len(sure)


@pytest.mark.parametrize(
    ("smallest", "expected"),
    [(32, (1920, 1080)), (64, (960, 540)), (16, (3840, 2160)), (400, (154, 86))],
)
def test_the_analysis_size_makes_the_smallest_face_32_px(
    smallest: float, expected: tuple[int, int]
) -> None:
    assert analysis_size((1920, 1080), smallest) == expected
