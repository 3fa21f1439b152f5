"""A mosaic depends only on the means of its cells."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from maskwatch.privacy.anonymize import mosaic
from tests.fakes.vision import picture


def _shuffled(image: np.ndarray, cell: int, seed: int) -> np.ndarray:
    """Permute the pixels within each cell: every cell keeps its mean."""
    rng, out = np.random.default_rng(seed), image.copy()
    for y in range(0, image.shape[0], cell):
        for x in range(0, image.shape[1], cell):
            block = out[y : y + cell, x : x + cell]
            block[:] = rng.permutation(block.reshape(-1, 3)).reshape(block.shape)
    return out


@given(st.integers(1, 70), st.integers(1, 70), st.integers(1, 40), st.integers(0, 9))
def test_permuting_pixels_within_cells_changes_nothing(
    width: int, height: int, cell: int, seed: int
) -> None:
    image = picture(seed, (width, height))
    np.testing.assert_array_equal(mosaic(_shuffled(image, cell, seed), cell), mosaic(image, cell))


def test_each_cell_is_one_colour_near_its_mean() -> None:
    image = picture(4, (64, 48))
    out = mosaic(image, 16)
    assert out.shape == image.shape
    for y in range(0, 48, 16):
        for x in range(0, 64, 16):
            block = out[y : y + 16, x : x + 16].reshape(-1, 3)
            assert len(np.unique(block, axis=0)) == 1
            mean = image[y : y + 16, x : x + 16].reshape(-1, 3).mean(0)
            assert np.abs(block[0] - mean).max() <= 5


@pytest.mark.parametrize("value", [0, 7, 128, 255])
def test_cell_means_are_quantized_to_32_levels(value: int) -> None:
    """Smaller differences between means are lost."""
    flat = np.full((8, 8, 3), value, np.uint8)
    assert len({int(mosaic(np.full((8, 8, 3), v, np.uint8), 8)[0, 0, 0]) for v in range(256)}) == 32
    assert abs(int(mosaic(flat, 8)[0, 0, 0]) - value) <= 4
