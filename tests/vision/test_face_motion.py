"""Changes of a face's pixels are distinguished from shake, light and noise."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from maskwatch.domain import Box
from maskwatch.domain.frame import Luma
from maskwatch.vision.camera_motion import find_shift
from maskwatch.vision.face_motion import FacePatch

_FACE = Box(300, 150, 340, 200)


def _wall(seed: int = 0) -> np.ndarray:
    """A poster of soft blobs on a wall of soft blobs."""
    blobs = np.random.default_rng(seed).integers(40, 210, (36, 64, 3), dtype=np.uint8)
    return cv2.resize(blobs, (640, 360), interpolation=cv2.INTER_CUBIC)


def _noisy(image: np.ndarray, seed: int, noise: float = 2.0) -> np.ndarray:
    grain = np.random.default_rng(seed).normal(0, noise, image.shape)
    return np.clip(image + grain, 0, 255).astype(np.uint8)


def _grey(image: np.ndarray) -> Luma:
    return Luma(cv2.cvtColor(image, cv2.COLOR_BGR2GRAY))


def _noisy_luma(image: np.ndarray, seed: int) -> Luma:
    return _grey(_noisy(image, seed))


def _patch(image: np.ndarray, box: Box) -> FacePatch:
    return FacePatch(_grey(image), box)


def _turned(image: np.ndarray) -> np.ndarray:
    """The face alone moves by 4 px, as one does that turns a little."""
    out = image.copy()
    out[150:200, 300:340] = image[150:200, 304:344]
    return out


def test_a_poster_changes_no_more_than_noise_explains() -> None:
    patch = _patch(_noisy(_wall(), 1), _FACE)
    changes = [patch.change(_noisy_luma(_wall(), 2 + i), _FACE) for i in range(10)]
    assert max(changes) < 0.8


def test_a_face_that_turns_a_little_changes_more_than_noise() -> None:
    patch = _patch(_noisy(_wall(), 1), _FACE)
    assert patch.change(_noisy_luma(_turned(_wall()), 2), _FACE) > 1.2


def test_a_poster_with_a_hidden_chin_changes_less_than_a_living_face() -> None:
    """Less than the 1.1 required of a living face, although a third of it is hidden."""
    patch = _patch(_noisy(_wall(), 1), _FACE)
    hidden = _wall()
    hidden[182:230, 305:335] = 20
    assert patch.change(_noisy_luma(hidden, 2), _FACE) < 1.1


@pytest.mark.parametrize("gain", [0.85, 1.15])
def test_a_change_of_light_is_no_change_of_the_face(gain: float) -> None:
    patch = _patch(_noisy(_wall(), 1), _FACE)
    lit = np.clip(_wall().astype(float) * gain + 5, 0, 255).astype(np.uint8)
    assert patch.change(_noisy_luma(lit, 2), _FACE) < 0.8


def test_a_shaking_camera_is_no_change_of_the_face() -> None:
    patch = _patch(_noisy(_wall(), 1), _FACE)
    for across, down in ((1.4, 0.0), (-0.6, 2.3), (3.0, -2.0)):
        warp = np.array([[1, 0, across], [0, 1, down]], np.float32)
        moved = cv2.warpAffine(_wall(), warp, (640, 360), borderMode=cv2.BORDER_REPLICATE)
        assert patch.change(_noisy_luma(moved, 3), _FACE) < 0.8


def test_a_large_shake_is_compensated_by_the_known_shift() -> None:
    patch = _patch(_noisy(_wall(), 1), _FACE)
    moved = np.roll(_wall(), (10, 24), axis=(0, 1))
    assert patch.change(_noisy_luma(moved, 2), _FACE.moved(24.0, 10.0)) < 0.8


def test_surroundings_that_do_not_fit_give_no_change() -> None:
    patch = _patch(_wall(), _FACE)
    assert patch.change(_grey(np.full((360, 640, 3), 90, np.uint8)), _FACE) == 0.0


@pytest.mark.parametrize("box", [Box(-30, -30, 10, 10), Box(620, 340, 700, 420), Box(5, 5, 6, 6)])
def test_a_face_at_the_edge_or_without_size_is_accepted(box: Box) -> None:
    assert _patch(_wall(), box).change(_noisy_luma(_wall(), 1), box) >= 0.0


@pytest.mark.parametrize(("across", "down"), [(0.0, 0.0), (0.4, -0.3), (2.5, 1.5)])
def test_a_shift_is_found_to_a_tenth_of_a_pixel_in_any_light(across: float, down: float) -> None:
    then = cv2.cvtColor(_wall(5), cv2.COLOR_BGR2GRAY)[:120, :160].astype(np.float32)
    warp = np.array([[1, 0, across], [0, 1, down]], np.float32)
    now = 0.8 * cv2.warpAffine(then, warp, (160, 120), borderMode=cv2.BORDER_REPLICATE) + 12
    fit, x, y = find_shift(then, now.astype(np.float32), np.ones(then.shape, np.uint8))
    assert fit > 0.95
    assert (x, y) == pytest.approx((across, down), abs=0.1)


def test_a_face_that_moves_against_the_wall_is_shifted_by_as_much() -> None:
    patch = _patch(_noisy(_wall(), 1), _FACE)
    shift = patch.shift(_noisy_luma(_turned(_wall()), 2), _FACE)
    assert shift is not None
    assert 0.042 < shift <= 4 / 50


@pytest.mark.parametrize("right", [0, 2, 4])
def test_a_poster_is_not_shifted_by_noise_light_or_shake(right: int) -> None:
    patch = _patch(_noisy(_wall(), 1), _FACE)
    shaken = np.roll(_wall(), right, axis=1)
    brighter = np.clip(shaken * 1.15 + 8, 0, 255).astype(np.uint8)
    shift = patch.shift(_noisy_luma(brighter, 2), _FACE)
    assert shift is not None
    assert shift < 0.012


def test_a_shift_is_unknown_where_nothing_fits() -> None:
    patch = _patch(_noisy(_wall(), 1), _FACE)
    assert patch.shift(_grey(np.full((360, 640, 3), 90, np.uint8)), _FACE) is None
