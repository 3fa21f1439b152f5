"""From a frame to the network's input."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from maskwatch.domain import Box
from maskwatch.domain.frame import ImagePixels
from maskwatch.vision.preprocess import Preprocess, cut, resize, square

GOLDEN = Path(__file__).parent / "golden"


def pattern(height: int, width: int) -> np.ndarray:
    """A picture in which every pixel differs from its neighbours, without chance."""
    y, x = np.mgrid[0:height, 0:width]
    return np.stack([(3 * x + y) % 256, (x + 5 * y) % 256, (x * y) % 256], axis=2).astype(np.uint8)


def test_the_square_has_the_longer_side_and_its_margins() -> None:
    """A box of 20 x 30 at margin 0.15 becomes a square of 39 around the same middle."""
    found = square(Box(10, 20, 30, 50), 0.15)
    assert (found.width, found.height) == (pytest.approx(39), pytest.approx(39))
    assert found.centre == Box(10, 20, 30, 50).centre


def test_cut_repeats_the_edge_beyond_the_picture() -> None:
    """What lies outside looks like the last row and column."""
    image = pattern(6, 8)
    found = cut(image, Box(-2, -1, 4, 3))
    assert found.shape == (4, 6, 3)
    assert (found[0] == found[1]).all()
    assert (found[1:, 2:] == image[:3, :4]).all()
    assert (found[1:, 0] == image[:3, 0]).all()


@given(st.floats(-500, 500), st.floats(-500, 500), st.floats(0, 300), st.floats(0, 300), st.floats(0, 1))
def test_any_box_gives_a_full_input(x: float, y: float, w: float, h: float, margin: float) -> None:
    """However small, large or far outside a box is, the network gets its size and uint8."""
    crop = Preprocess(32, margin).face(ImagePixels(pattern(40, 50)), Box(x, y, x + w, y + h))
    assert crop.shape == (32, 32, 3)
    assert crop.dtype == np.uint8


def test_colours_arrive_as_rgb() -> None:
    """A blue BGR picture has its 255 in the last channel."""
    blue = np.zeros((10, 10, 3), np.uint8)
    blue[..., 0] = 255
    assert (Preprocess(8, 0.1).whole(blue) == [0, 0, 255]).all()


def test_a_whole_crop_is_resized_without_a_cut() -> None:
    """Its corners stay in the corners."""
    image = np.zeros((40, 20, 3), np.uint8)
    image[:20], image[20:] = 50, 200
    found = Preprocess(10, 0.3).whole(image)
    assert (found[:5] == 50).all()
    assert (found[5:] == 200).all()


def test_shrinking_averages() -> None:
    """A checkerboard of single pixels becomes grey, not black or white."""
    board = np.repeat(((np.indices((64, 64)).sum(axis=0) % 2) * 255)[:, :, None], 3, axis=2)
    assert abs(resize(board.astype(np.uint8), 16).astype(int) - 127).max() <= 1


@pytest.mark.parametrize(
    ("name", "box"),
    [
        ("inside", Box(40, 30, 88, 90)),
        ("outside", Box(-10, -8, 30, 44)),
        ("small", Box(60.4, 50.6, 76, 70)),
    ],
)
def test_golden_crops(name: str, box: Box) -> None:
    """Training and serving saw exactly these numbers when the shipped model was made.

    Another OpenCV may round otherwise by one.
    """
    golden = np.load(GOLDEN / f"{name}.npy")
    found = Preprocess(112, 0.15).face(ImagePixels(pattern(120, 160)), box)
    assert abs(found.astype(int) - golden).max() <= 1
