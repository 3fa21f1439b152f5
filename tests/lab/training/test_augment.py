"""Augmentations, one by one and combined."""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from maskwatch.domain import Box
from maskwatch.lab.training import augment
from maskwatch.lab.training.augment import Augment
from tests.fakes.training_data import picture

STEPS: list[Callable[..., np.ndarray]] = [
    augment.light, augment.dim, augment.infrared, augment.blur, augment.noise, augment.jpeg,
]  # fmt: skip


@pytest.mark.parametrize("step", STEPS, ids=lambda step: step.__name__)
@pytest.mark.parametrize("side", [5, 48])
def test_each_step_keeps_the_shape_and_changes_the_picture(
    step: Callable[..., np.ndarray], side: int
) -> None:
    """Input and output are uint8 of the same size and differ."""
    image = picture("with_mask", 0, side)
    found = step(image, np.random.default_rng(3))
    assert found.shape == image.shape
    assert found.dtype == np.uint8
    assert (found != image).any()


@pytest.mark.parametrize("step", [*STEPS, augment.jitter], ids=lambda step: step.__name__)
def test_each_step_is_reproducible_from_a_seed(step: Callable[..., object]) -> None:
    """One seed, one training set."""
    given_ = Box(3, 4, 30, 40) if step is augment.jitter else picture("with_mask", 0)
    one, other = (step(given_, np.random.default_rng(5)) for _ in range(2))
    assert np.array_equal(one, other) if isinstance(one, np.ndarray) else one == other


def test_infrared_has_no_colour() -> None:
    """All channels are the same."""
    found = augment.infrared(picture("with_mask", 0), np.random.default_rng(0))
    assert (found[..., 0] == found[..., 1]).all()
    assert (found[..., 1] == found[..., 2]).all()


def test_blur_removes_detail() -> None:
    """Both kinds of blur soften a sharp edge."""
    image = np.zeros((48, 48, 3), np.uint8)
    image[:, 24:] = 255
    image[24:] = 255 - image[24:]
    for seed in range(8):
        found = augment.blur(image, np.random.default_rng(seed))
        assert cv2.Laplacian(found, cv2.CV_32F).std() < cv2.Laplacian(image, cv2.CV_32F).std()


def test_downscaling_gives_the_requested_side() -> None:
    for seed in range(6):
        assert augment.downscale(picture("with_mask", 0), 13, np.random.default_rng(seed)).shape == (
            13,
            13,
            3,
        )


def test_h264_keeps_the_order_of_the_tiles() -> None:
    """Each tile keeps its position."""
    tiles = [np.full((32, 32, 3), 20 + 40 * i, np.uint8) for i in range(5)]
    found = augment.compress_h264(tiles, np.random.default_rng(0))
    assert [round(float(t.mean()) / 10) for t in found] == [2, 6, 10, 14, 18]
    noisy = [np.random.default_rng(i).integers(0, 256, (32, 32, 3), np.uint8) for i in range(3)]
    assert any(
        (a != b).any()
        for a, b in zip(noisy, augment.compress_h264(noisy, np.random.default_rng(0)), strict=True)
    )


def test_an_obstacle_covers_only_a_part() -> None:
    """A part of the face is hidden, and the upper centre stays visible."""
    image, other = np.full((60, 60, 3), 200, np.uint8), np.zeros((30, 30, 3), np.uint8)
    for seed in range(10):
        found = augment.obstruct(image, other, np.random.default_rng(seed))
        assert (found != image).any()
        assert (found[5:15, 27:33] == 200).mean() > 0.5


def test_strength_zero_does_not_degrade() -> None:
    """Only geometry is left: a picture of one colour does not change."""
    plain = np.full((60, 60, 3), (10, 120, 200), np.uint8)
    for seed in range(5):
        found = Augment(32, 0.15, strength=0).face(
            plain, Box(10, 10, 50, 50), np.random.default_rng(seed)
        )
        assert (found == (10, 120, 200)).all()


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 10_000), st.integers(8, 120), st.integers(8, 120))
def test_pictures_of_any_shape_can_be_augmented(seed: int, height: int, width: int) -> None:
    """Square uint8 crops come out, never an error."""
    rng = np.random.default_rng(seed)
    image = rng.integers(0, 256, (height, width, 3), np.uint8)
    chain = Augment(32, 0.15)
    for found in (chain.whole(image, rng), chain.face(image, Box(1, 1, width, height / 2), rng, image)):
        assert found.dtype == np.uint8
        assert found.shape[0] == found.shape[1] >= 4


def test_the_papers_augmentation_gives_the_input_size() -> None:
    assert augment.classic(picture("with_mask", 0, 70), 32, np.random.default_rng(0)).shape == (
        32,
        32,
        3,
    )
