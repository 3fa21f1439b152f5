"""Masks and occluders are painted at the correct places."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from maskwatch.lab.training import occlude
from maskwatch.lab.truth import Wear

FACE = np.full((100, 100, 3), (120, 160, 220), np.uint8)
MARKS = np.array([(35, 40), (65, 40), (50, 58), (38, 72), (62, 72)], np.float32)


def changed(found: np.ndarray, x: int, y: int) -> bool:
    """Whether the colour at a place is another than bare skin."""
    return bool(np.abs(found[y, x].astype(int) - FACE[y, x]).max() > 12)


@pytest.mark.parametrize("seed", range(6))
def test_a_correctly_worn_mask_covers_nose_and_mouth(seed: int) -> None:
    """The eyes stay free."""
    found = occlude.paint_mask(FACE, MARKS, Wear.MASKED, np.random.default_rng(seed))
    lower = [found[58, 50], found[72, 50], found[72, 40]]
    assert sum(np.abs(p.astype(int) - FACE[0, 0]).max() > 12 for p in lower) >= 2
    assert not changed(found, 35, 38)
    assert not changed(found, 65, 38)


@pytest.mark.parametrize("seed", range(6))
def test_a_mask_on_the_chin_leaves_the_nose_and_mouth_free(seed: int) -> None:
    """That is what makes it incorrect."""
    found = occlude.paint_mask(FACE, MARKS, Wear.ON_CHIN, np.random.default_rng(seed))
    assert not changed(found, 50, 55)
    assert not changed(found, 50, 68)


@pytest.mark.parametrize("seed", range(6))
def test_a_mask_below_the_nose_leaves_the_nose_free(seed: int) -> None:
    """The tip of the nose shows skin."""
    assert not changed(
        occlude.paint_mask(FACE, MARKS, Wear.UNDER_NOSE, np.random.default_rng(seed)), 50, 55
    )


@pytest.mark.parametrize(
    "paint", [occlude.hand, occlude.held, occlude.beard, occlude.scarf, occlude.glasses]
)
def test_occluders_change_the_picture_and_not_its_shape(paint: Callable[..., np.ndarray]) -> None:
    """The input picture is not modified."""
    before = FACE.copy()
    found = paint(FACE, MARKS, np.random.default_rng(1))
    assert found.shape == FACE.shape
    assert (found != FACE).any()
    assert (before == FACE).all()


@pytest.mark.parametrize("seed", range(6))
def test_a_held_object_leaves_an_eye_and_most_of_the_face_free(seed: int) -> None:
    """A mask covers both sides."""
    found = occlude.held(FACE, MARKS, np.random.default_rng(seed))
    moved = np.abs(found.astype(int) - FACE).max(axis=2) > 12
    assert 0 < moved.mean() < 0.35
    assert not (changed(found, 35, 38) and changed(found, 65, 38))


def test_only_frontal_faces_are_painted() -> None:
    """A nose beyond the eyes is a profile."""
    assert occlude.frontal(MARKS)
    profile = MARKS.copy()
    profile[2, 0] = 75
    assert not occlude.frontal(profile)
    assert not occlude.frontal(np.zeros((5, 2), np.float32))
