"""Where a box would be now if only the camera had moved."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from maskwatch.domain import Box
from maskwatch.vision.camera_motion import CameraMotion
from tests.fakes.vision import luma

_BOX = Box(300, 150, 340, 200)


def _wall(seed: int = 0) -> np.ndarray:
    blobs = np.random.default_rng(seed).integers(40, 210, (36, 64, 3), dtype=np.uint8)
    return cv2.resize(blobs, (640, 360), interpolation=cv2.INTER_CUBIC)


def _seen(image: np.ndarray, move: np.ndarray, seed: int) -> np.ndarray:
    """What a camera that moved by the similarity `move` sees, with its noise."""
    out = cv2.warpAffine(image, move.astype(np.float32), (640, 360), borderMode=cv2.BORDER_REFLECT)
    grain = np.random.default_rng(seed).normal(0, 2.0, out.shape)
    return np.clip(out + grain, 0, 255).astype(np.uint8)


def _similarity(size: float, degrees: float, across: float, down: float) -> np.ndarray:
    turn = cv2.getRotationMatrix2D((320, 180), degrees, size)
    turn[:, 2] += (across, down)
    return turn


@pytest.mark.parametrize(
    "step",
    [(1.0, 0.0, 0.0, 0.0), (1.0, 0.0, 14.0, -3.0), (1.02, 0.0, 0.0, 0.0), (1.0, 1.0, 2.0, 0.0)],
    ids=["fixed", "pans", "zooms", "rolls"],
)
def test_a_box_moves_along_with_a_moving_camera(
    step: tuple[float, float, float, float],
) -> None:
    """After eight frames the box is where the total motion puts it, within a tenth of its size."""
    motion, carried, total = CameraMotion(), _BOX, np.eye(3)
    motion.hold(luma(_seen(_wall(), total[:2], 0)))
    step_matrix = np.vstack([_similarity(*step), (0, 0, 1)])
    for index in range(1, 9):
        total = step_matrix @ total
        carried = motion.flow(luma(_seen(_wall(), total[:2], index)), ()).carry(carried)
    x, y, _ = total @ (_BOX.centre.x, _BOX.centre.y, 1)
    assert carried.centre.x == pytest.approx(x, abs=4.0)
    assert carried.centre.y == pytest.approx(y, abs=4.0)
    assert carried.height == pytest.approx(_BOX.height * step[0] ** 8, rel=0.05)


def test_a_person_walking_through_a_still_picture_moves_no_box() -> None:
    motion, carried = CameraMotion(), _BOX
    for index in range(10):
        picture = _wall()
        left = 200 + 12 * index
        picture[100:300, left : left + 60] = _wall(9)[100:300, 300:360]
        if index == 0:
            motion.hold(luma(picture))
        else:
            body = Box(left - 12, 100, left + 60, 300)
            carried = motion.flow(luma(picture), (body,)).carry(carried)
    assert carried.centre.x == pytest.approx(_BOX.centre.x, abs=1.0)


def test_a_picture_without_corners_moves_no_box() -> None:
    motion = CameraMotion()
    motion.hold(luma(np.full((360, 640, 3), 90, np.uint8)))
    flow = motion.flow(luma(np.full((360, 640, 3), 90, np.uint8)), ())
    assert flow.carry(_BOX) == _BOX


def test_a_picture_full_of_bodies_moves_no_box() -> None:
    motion = CameraMotion()
    motion.hold(luma(_wall()))
    assert motion.flow(luma(np.roll(_wall(), 9, axis=1)), (Box(-9, -9, 999, 999),)).carry(_BOX) == _BOX


def test_without_a_comparable_frame_before_no_box_moves() -> None:
    motion = CameraMotion()
    assert motion.flow(luma(_wall()), ()).carry(_BOX) == _BOX
    assert motion.flow(luma(cv2.resize(_wall(), (320, 180))), ()).carry(_BOX) == _BOX
