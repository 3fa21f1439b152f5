"""Whether a camera is blind, detected from its pictures alone."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from maskwatch.capture.file import FileSource
from maskwatch.capture.health import HealthLimits, HealthMonitor, edge_correlation, measure
from maskwatch.domain import BlindReason
from tests.fakes.views import FAULTY_VIEWS, scene
from tests.fakes.vision import luma

Image = npt.NDArray[np.uint8]

_LIMITS = HealthLimits(hold=2.0, frozen_hold=5.0, learn=4.0, relearn=20.0)


class LearntMonitor:
    """A monitor that has learnt a good view."""

    def __init__(self) -> None:
        self.monitor = HealthMonitor(_LIMITS)
        self.moment = 0.0
        self.show(lambda at: scene(moment=at), 10.0)

    def show(self, picture: object, seconds: float) -> BlindReason | None:
        """Show `picture` (or its value at a moment) at five per second; return the last result."""
        found = None
        for _ in range(int(seconds * 5)):
            image = picture(self.moment) if callable(picture) else picture
            found = self.monitor.observe(luma(image), self.moment)
            self.moment += 0.2
        return found


def test_a_good_view_is_healthy() -> None:
    assert LearntMonitor().show(lambda at: scene(moment=at), 20.0) is None


@pytest.mark.parametrize(
    ("picture", "reason"),
    [
        (lambda at: scene(moment=at) // 30, BlindReason.BLACK),
        (FAULTY_VIEWS[BlindReason.COVERED], BlindReason.COVERED),
        (FAULTY_VIEWS[BlindReason.OUT_OF_FOCUS], BlindReason.OUT_OF_FOCUS),
        (FAULTY_VIEWS[BlindReason.MOVED], BlindReason.MOVED),
        (lambda at: np.roll(scene(moment=at), 60, axis=1), BlindReason.MOVED),
    ],
)
def test_a_fault_is_reported_once_it_has_lasted_until_it_is_over(
    picture: object, reason: BlindReason
) -> None:
    monitored = LearntMonitor()
    assert monitored.show(picture, 1.4) is None
    assert monitored.show(picture, 2.0) is reason
    assert monitored.show(lambda at: scene(moment=at), 0.6) is reason
    assert monitored.show(lambda at: scene(moment=at), 1.4) is None


def test_a_picture_in_which_no_pixel_changes_is_frozen() -> None:
    monitored, still = LearntMonitor(), FAULTY_VIEWS[BlindReason.FROZEN]
    assert monitored.show(still, 4.8) is None
    assert monitored.show(still, 1.0) is BlindReason.FROZEN
    assert monitored.show(lambda at: scene(moment=at), 2.0) is None


def test_a_quiet_scene_with_a_sensor_s_noise_is_not_frozen() -> None:
    monitored = LearntMonitor()
    assert monitored.show(lambda at: scene(noise=0.7, moment=at), 20.0) is None


def test_dimmed_light_is_neither_moved_nor_out_of_focus() -> None:
    monitored = LearntMonitor()
    assert monitored.show(lambda at: (scene(moment=at) * 0.5).astype(np.uint8), 10.0) is None
    assert monitored.show(lambda at: (scene(moment=at) * 0.8 + 40).astype(np.uint8), 10.0) is None


def test_a_person_in_front_of_the_camera_is_no_fault() -> None:
    def crowded(moment: float) -> Image:
        image = scene(moment=moment)
        left = int(moment * 20) % 200
        image[30:, left : left + 90] = scene(seed=9, moment=moment)[30:, :90]
        return image

    assert LearntMonitor().show(crowded, 20.0) is None


def test_a_short_fault_is_not_reported() -> None:
    monitored = LearntMonitor()
    for _ in range(5):
        assert monitored.show(np.zeros((180, 320, 3), np.uint8), 1.0) is None
        assert monitored.show(lambda at: scene(moment=at), 1.0) is None


def test_a_new_view_becomes_the_usual_one() -> None:
    monitored = LearntMonitor()
    assert monitored.show(lambda at: scene(seed=5, moment=at), 10.0) is BlindReason.MOVED
    assert monitored.show(lambda at: scene(seed=5, moment=at), 20.0) is None
    assert monitored.show(lambda at: scene(moment=at), 10.0) is BlindReason.MOVED


def test_the_usual_view_survives_a_reconnection() -> None:
    monitored = LearntMonitor()
    monitored.monitor.reset()
    monitored.moment += 600.0
    assert monitored.show(lambda at: scene(seed=5, moment=at), 3.0) is BlindReason.MOVED


def test_another_picture_size_is_learnt_again() -> None:
    monitored = LearntMonitor()
    assert monitored.show(lambda at: cv2.resize(scene(moment=at), (640, 360)), 10.0) is None


@given(st.floats(0.3, 3.0), st.floats(-50, 50))
def test_edge_correlation_ignores_brightness_and_contrast(gain: float, offset: float) -> None:
    plane = measure(luma(scene())).plane
    assert edge_correlation(plane, plane * np.float32(gain) + np.float32(offset)) == pytest.approx(
        1, abs=1e-3
    )
    assert edge_correlation(plane, -plane) == pytest.approx(-1, abs=1e-3)


def test_detail_falls_with_blur_and_not_with_the_light() -> None:
    sharp = measure(luma(scene(noise=0))).detail
    assert measure(luma((scene(noise=0) * 0.5).astype(np.uint8))).detail == pytest.approx(sharp, rel=0.1)
    assert measure(luma(cv2.GaussianBlur(scene(noise=0), (0, 0), 4))).detail < 0.35 * sharp


@pytest.mark.long
@pytest.mark.shared
@pytest.mark.parametrize("clip", ["channy_mtcnn", "deshraj_mask", "intel_onebyone", "gituatu_mask"])
def test_real_clips_of_fixed_cameras_are_healthy(shared_data: Path, clip: str) -> None:
    monitor = HealthMonitor(HealthLimits(hold=2.0, learn=1.0))
    with FileSource(
        shared_data / "videos" / f"{clip}.mp4", fit=lambda size: (640, 640 * size[1] // size[0])
    ) as source:
        assert {monitor.observe(frame.luma, frame.moment) for frame in source} == {None}
